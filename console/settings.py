"""Settings of the console as frozen values, by section, with their defaults.

Named tuples, because the kill key reads its settings before anything else: dataclasses would load a parser first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from console.paths import state_of
from console.trust import Standing

if TYPE_CHECKING:
    from ml.emergency.actuators import Credential

CONFIG_NAME = "console.toml"
SECRETS = frozenset({"prometheus.bearer_token", "prometheus.password"})
_SECRET_WORDS = ("auth", "cookie", "token", "key", "secret", "password", "credential", "signature")


class Environment(NamedTuple):
    """The environment's name, and whether it is production. ``production`` puts ``!PROD!`` on every screen."""

    name: str = "local"
    production: bool = False


class Registry(NamedTuple):
    """The registry's location: a git ``ref``, and an ``artifact_base`` unless the policy sets its own."""

    path: str = "ml/registry/models.json"
    ref: str = "origin/main"
    artifact_base: str = "."
    fetch_seconds: float = 30.0


class Prometheus(NamedTuple):
    """The Prometheus connection. Secrets come from files or from MLCONSOLE_PROMETHEUS_BEARER_TOKEN and _PASSWORD."""

    url: str = ""
    fallback_url: str = ""
    poll_seconds: float = 5.0
    timeout_seconds: float = 5.0
    stale_seconds: float = 60.0
    bearer_token_file: str = ""
    bearer_token: str = ""
    username: str = ""
    password_file: str = ""
    password: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    headers: Mapping[str, str] = {}


class Actuator(NamedTuple):
    """One way to deliver the kill switch before a deadline: ``file``, ``command`` (argv) or ``http``.

    A header is a text. A header with a secret is ``{file = "PATH"}`` or ``{env = "NAME"}``, like ``bearer_token_file``.
    With ``hosts``, the command runs once per host, all in parallel; ``{host}`` in its argv stands for the host name.

    An ``http`` actuator sends ``body`` by ``method``; ``{value}`` in url, body and expect stands for ``on`` or ``off``.
    Without a body it posts ``{"ML_KILL_SWITCH": "1"}`` or ``"0"``. The answer must have the status ``expect_status``
    (0: any 2xx), and its content must hold ``expect``.
    """

    type: str = ""
    argv: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    url: str = ""
    headers: Mapping[str, "str | Credential"] = {}
    bearer_token_file: str = ""
    method: str = "POST"
    body: str = ""
    on: str = "1"
    off: str = "0"
    expect: str = ""
    expect_status: float = 0.0
    deadline_seconds: float = 10.0


class KillSwitch(NamedTuple):
    """The kill file that engines read, the time to wait for confirmation, and further actuators in order.

    ``format`` is ``env``, ``json``, ``toml`` or ``text``. In JSON and TOML, ``key`` is the path of the switch, such as
    ``"trading.ml.disabled"``, and only its value is changed; a text file holds the value alone. ``on`` and ``off`` are
    the two values: true and false, or ``"1"`` and ``"0"`` in a text file, unless they are given.
    """

    file: str = "var/kill_switch.env"
    format: str = "env"
    key: str = ""
    on: bool | int | str | None = None
    off: bool | int | str | None = None
    confirm_seconds: float = 30.0
    actuator: tuple[Actuator, ...] = ()


class Alertmanager(NamedTuple):
    """The Alertmanager to ask about silences. An empty URL turns the lookup off."""

    url: str = ""


class PullRequest(NamedTuple):
    """The tool that opens pull requests: ``auto``, ``gh``, ``glab`` or ``none``."""

    tool: str = "auto"


class Commit(NamedTuple):
    """The lines that every commit message of the console gets, and the clone's hooks that may add more.

    ``signoff`` adds ``Signed-off-by`` (DCO), as does git's own ``format.signOff``. ``trailers`` are lines
    ``Key: value`` with ``{name}``, ``{email}`` or ``{change_id}`` in them. ``hooks`` runs the clone's
    ``prepare-commit-msg`` and ``commit-msg``.
    """

    signoff: bool = False
    trailers: tuple[str, ...] = ()
    hooks: bool = False


class Notify(NamedTuple):
    """A webhook for promotions, kills, releases, rollbacks, breaches and rungs, in ``json`` or ``slack`` form."""

    url: str = ""
    style: str = "json"


class Interface(NamedTuple):
    """The look of the interface and its keymap (binding id → key)."""

    theme: str = ""
    ascii: bool = False
    keymap: Mapping[str, str] = {}


class Settings(NamedTuple):
    """The effective configuration. ``root`` is the repository; ``sources`` gives the source of each value.

    ``standing`` is the configuration file from the repository; ``None`` when a person named another file.
    """

    root: Path
    environment: Environment = Environment()
    registry: Registry = Registry()
    prometheus: Prometheus = Prometheus()
    kill_switch: KillSwitch = KillSwitch()
    alertmanager: Alertmanager = Alertmanager()
    pull_request: PullRequest = PullRequest()
    commit: Commit = Commit()
    notify: Notify = Notify()
    interface: Interface = Interface()
    read_only: bool = False
    kill_allowed: bool = True
    sources: Mapping[str, str] = {}
    standing: Standing | None = None
    own_file_left_out: tuple[str, ...] = ()

    @property
    def state(self) -> Path:
        """The state folder of this repository: journal, audit log, drafts and watches.

        Other repositories do not share it.
        """
        return state_of(self.root)

    def resolve(self, path: str) -> Path:
        """Resolve a configured path. A relative path starts at the repository's root."""
        return self.root / Path(path).expanduser()


SECTIONS = {name: type(default) for name, default in Settings._field_defaults.items() if hasattr(default, "_fields")}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "pull_request.tool": ("auto", "gh", "glab", "none"),
    "notify.style": ("json", "slack"),
    "kill_switch.format": ("env", "json", "toml", "text"),
    "kill_switch.actuator.type": ("file", "command", "http"),
    "kill_switch.actuator.method": ("POST", "PUT", "PATCH", "DELETE", "GET"),
}


def tells_a_secret(name: str) -> bool:
    """Return True when a header's name suggests a secret value."""
    return any(word in name.lower() for word in _SECRET_WORDS)
