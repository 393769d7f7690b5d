"""Reader of the configuration: one frozen `Settings` from console.toml, the user's file, MLCONSOLE_* and flags.

Each layer overrides the one before; the repository's counts in full only when it is trusted (`console.trust`). The kill
key and the first frame wait for this module, so it uses the standard library only (docs/decisions/configuration.md).
"""

import os
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.kill_form import is_value, kill_format
from console.paths import find_root, lies_in, of_a_repository, state_of, user_file
from console.settings import CHOICES, CONFIG_NAME, SECRETS, SECTIONS, Actuator, Settings, tells_a_secret
from console.trust import (
    Layer,
    Standing,
    harmless,
    layer_of,
    left_out,
    read_whole,
    require_short_names,
    standing,
)
from ml.errors import Usage
from ml.text import visible

if TYPE_CHECKING:
    from ml.emergency.actuators import Credential

_PREFIX = "MLCONSOLE_"
_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9._:-]*@)?[A-Za-z0-9][A-Za-z0-9._:-]*"
_LONGEST_HOST = 253
_KINDS = {str: "a text", bool: "true or false", float: "a number", tuple: "a list of texts", dict: "a table of texts"}
_SWITCH_VALUES = ("kill_switch.on", "kill_switch.off")
_MOST_BITS = 1024
"""An integer of so many bits is above every float."""
_NOT_SETTINGS = frozenset({"MLCONSOLE_REPO", "MLCONSOLE_CONFIG", "MLCONSOLE_READ_ONLY", "MLCONSOLE_DEBUG"})


def load(
    *,
    repo: str | None = None,
    config: str | None = None,
    read_only: bool = False,
    kill_allowed: bool = True,
    ascii_only: bool = False,
    environ: Mapping[str, str] = os.environ,
    only: Collection[str] = (),
) -> Settings:
    """Read all layers.

    Args:
        repo: a path in or of the repository; the current directory without one.
        config: a file to read in place of the repository's console.toml.
        ascii_only: draw with plain ASCII, whatever the files say.
        only: sections to read, by name, past mistakes in the others, which get their defaults; empty: all. A name that
            nobody knows is refused all the same: it may be a misspelling of one of these.

    Raises:
        Usage: no repository, an unreadable file, an unknown name or a value of the wrong type.
    """
    root = find_root(Path(repo or environ.get("MLCONSOLE_REPO") or os.getcwd()))
    named = config or environ.get("MLCONSOLE_CONFIG")
    here = _standing(root, named, environ)
    user, shown = _file_layer(user_file(environ), only, required=False)
    own_left_out: tuple[str, ...] = ()
    if user and lies_in(user_file(environ), root):  # Everybody who pushes can write there, so it needs trust as well.
        user, own_left_out = harmless(user)
    parse = partial(_parsed, only=only)
    repository = layer_of(here, parse, only) if here else _file_layer(Path(named or ""), only, required=True)
    flags: Layer = {"interface": {"ascii": True}} if ascii_only else {}
    merged: Layer = {name: {} for name in SECTIONS}
    sources: dict[str, str] = {}
    for layer, origin in (repository, (user, shown), _environment_layer(environ, only), (flags, "flags")):
        for section, values in layer.items():
            merged[section].update(values)
            sources.update({f"{section}.{field}": origin for field in values})
    sections = {name: kind(**merged[name]) for name, kind in SECTIONS.items()}
    kill_format(sections["kill_switch"])
    return Settings(
        root=root,
        read_only=read_only or environ.get("MLCONSOLE_READ_ONLY", "") not in ("", "0"),
        kill_allowed=kill_allowed,
        sources=sources,
        standing=here,
        own_file_left_out=own_left_out,
        **sections,
    )


def _standing(root: Path, named: str | None, environ: Mapping[str, str]) -> Standing | None:
    """Read the configuration file from the repository; ``None`` when a person named a file outside it.

    Raises:
        Usage: there is no such file, and nothing was trusted in its place.
    """
    path = Path(named).expanduser() if named else root / CONFIG_NAME
    if named and not of_a_repository(path, root):
        return None
    default = os.path.realpath(path) == os.path.realpath(root / CONFIG_NAME)
    here = standing(path, root, state_of(root, environ), default=default)
    if named and here.record is None and not path.exists():
        raise _no_such_file(path)
    return here


def _user_layer(
    root: Path, environ: Mapping[str, str], only: Collection[str]
) -> tuple[tuple[Layer, str], tuple[str, ...]]:
    """Read the user's own file. It needs no trust unless it lies where everybody who pushes can write."""
    path = user_file(environ)
    layer, shown = _file_layer(path, only, required=False)
    if not layer or not lies_in(path, root):
        return (layer, shown), ()
    counting, left_out = harmless(layer)
    return (counting, shown), left_out


def not_counting(here: Standing | None) -> tuple[str, ...]:
    """List the settings of the repository's configuration that do not count because the file is not trusted as it is.

    Raises:
        Usage: it cannot be read or is not valid, so that nobody can tell.
    """
    return left_out(here, partial(_parsed, only=())) if here else ()


def _file_layer(path: Path, only: Collection[str], *, required: bool) -> tuple[Layer, str]:
    shown = visible(str(path))
    try:
        content = read_whole(path)
    except FileNotFoundError as error:
        if not required:
            return {}, ""
        raise _no_such_file(path) from error
    except OSError as error:
        raise Usage(f"{shown} cannot be read: {error.strerror}.", "Correct its permissions.") from error
    return _parsed(content, shown, only), shown


def _no_such_file(path: Path) -> Usage:
    return Usage(f"The configuration file {visible(str(path))} does not exist.", "Correct the path given to --config.")


def _parsed(content: bytes, shown: str, only: Collection[str]) -> Layer:
    """Parse a file's settings by section. Raises Usage for an unknown or invalid setting."""
    try:
        text = content.decode("utf-8")
        require_short_names(text, shown)
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise Usage(f"{shown} is nested too deeply.", "Correct it.") from error
    except ValueError as error:  # invalid TOML, invalid UTF-8, or a number outside every range
        raise Usage(f"{shown} is not valid TOML: {visible(str(error), limit=300)}.", "Correct that line.") from error
    layer: Layer = {}
    for name, table in tables.items():
        if only and name in SECTIONS and name not in only:
            continue
        kind = SECTIONS.get(name)
        if kind is None or not isinstance(table, dict):
            raise _unknown(name, SECTIONS, f"{shown}, section")
        layer[name] = _section(kind, table, name, shown, from_file=True)
    return layer


def _environment_layer(environ: Mapping[str, str], only: Collection[str]) -> tuple[Layer, str]:
    known = {
        f"{_PREFIX}{section}_{field}".upper(): (section, field)
        for section, kind in SECTIONS.items()
        for field in kind._fields
        if isinstance(kind._field_defaults[field], str | bool | float)
    }
    layer: Layer = {}
    for name, text in environ.items():
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        if name not in known:
            raise _unknown(name, [*known, *_NOT_SETTINGS], "Environment variable")
        section, field = known[name]
        if not only or section in only:
            value = _from_text(text, SECTIONS[section]._field_defaults[field], name)
            read = _section(SECTIONS[section], {field: value}, section, "the environment")
            layer.setdefault(section, {}).update(read)
    return layer, "environment"


def _from_text(text: str, default: object, name: str) -> object:
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
        return float(text) if isinstance(default, float) else text
    except (KeyError, ValueError) as error:
        raise Usage(
            f"{name} must be {_KINDS[type(default)]}, not {visible(text)!r}.", "Correct or unset it."
        ) from error


def _section(
    kind: type[Any], table: Mapping[str, object], where: str, origin: str, *, from_file: bool = False
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in kind._fields:
            raise _unknown(key, kind._fields, f"{origin}, [{where}] key")
        full = f"{where}.{key}"
        if from_file and full in SECRETS:
            raise Usage(
                f"{origin} holds the secret {full}.",
                f"Put it into a file and name that with {key}_file, or set it as MLCONSOLE_*.",
            )
        values[key] = _value(value, kind._field_defaults[key], full, origin)
    return values


def _value(value: object, default: object, full: str, origin: str) -> object:
    if full == "kill_switch.actuator":
        return _actuators(value, origin)
    if full in _SWITCH_VALUES:
        if not is_value(value):
            raise Usage(f"{origin}: {full} must be a short text, a whole number, true or false.", "Correct it.")
        return value
    kind: type[Any] = type(default)
    if not _fits(value, kind):
        raise Usage(f"{origin}: {full} must be {_KINDS[kind]}.", "Correct it.")
    if isinstance(value, int | float) and kind is float and value <= 0:
        raise Usage(f"{origin}: {full} must be above zero.", "Correct it.")
    if isinstance(value, str) and full.endswith("url"):
        _require_no_password(value, full, origin)
    if full in CHOICES and value not in CHOICES[full]:
        raise Usage(f"{origin}: {full} must be one of {', '.join(CHOICES[full])}.", "Correct it.")
    if full == "commit.trailers":
        _require_trailers(value, origin)
    return kind(value)


def _fits(value: object, kind: type[Any]) -> bool:
    """Return True when a value of a TOML file is of a setting's type."""
    if isinstance(value, list | dict):
        texts = value if isinstance(value, list) else value.values()
        return kind is (tuple if texts is value else dict) and all(isinstance(each, str) for each in texts)
    return type(value) is kind or (kind is float and type(value) is int and value.bit_length() < _MOST_BITS)


def _require_trailers(lines: object, origin: str) -> None:
    # Imported here: the kill key reads no commit settings.
    from ml.promotion.trailers import fault  # noqa: PLC0415

    for line in lines if isinstance(lines, list) else ():
        why = fault(line)
        if why:
            raise Usage(f"{origin}: commit.trailers: {visible(line, limit=80)!r} {why}.", "Correct that line.")


def _require_no_password(url: str, full: str, origin: str) -> None:
    """Refuse a password in a URL: URLs appear in messages and documents, which must not show secrets."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        beside = {"prometheus": "prometheus.username and password_file", "kill_switch": "bearer_token_file"}
        remedy = f"Use {beside.get(full.partition('.')[0], 'an address without one')} in its place."
        raise Usage(f"{origin}: {full} holds a user or a password.", remedy)


def _actuators(value: object, origin: str) -> tuple[Actuator, ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Usage(f"{origin}: kill_switch.actuator must be tables.", "Write them as [[kill_switch.actuator]].")
    return tuple(_actuator(item, origin) for item in value)


def _actuator(item: dict[str, object], origin: str) -> Actuator:
    headers = item.get("headers", {})
    others = {name: value for name, value in item.items() if name != "headers"}
    made = Actuator(**_section(Actuator, others, "kill_switch.actuator", origin))
    if not isinstance(headers, dict):
        raise Usage(f"{origin}: kill_switch.actuator.headers must be a table.", "Write headers = {NAME = VALUE}.")
    needs = {"file": "type", "command": "argv", "http": "url"}.get(made.type, "type")
    if not getattr(made, needs):
        raise Usage(f"{origin}: a kill_switch.actuator lacks {needs}.", f"Give it {needs}.")
    _require_hosts(made, origin)
    _require_http(made, others, origin)
    return made._replace(headers={name: _header(name, value, origin) for name, value in headers.items()})


_HTTP_ONLY = ("method", "body", "on", "off", "expect", "expect_status")


def _require_http(actuator: Actuator, given: Collection[str], origin: str) -> None:
    """Refuse settings of an HTTP exchange that would not do what they say."""
    full = f"{origin}: kill_switch.actuator"
    named = [name for name in _HTTP_ONLY if name in given]
    if actuator.type != "http":
        if named:
            raise Usage(f"{full}.{named[0]} belongs to an actuator of type http.", "Remove it.")
        return
    placed = "{value}" in actuator.url + actuator.body
    if ("on" in given or "off" in given) and not placed:
        raise Usage(f"{full} has on or off, but neither url nor body holds {{value}}.", "Write {value} there.")
    if actuator.body and not placed:
        raise Usage(f"{full}.body is the same for on and off.", "Write {value} where the value belongs.")
    if actuator.method == "GET" and not ("{value}" in actuator.url and not actuator.body):
        raise Usage(f"{full} with method GET must hold {{value}} in its url, and have no body.", "Correct it.")
    if actuator.method == "DELETE" and not placed:
        raise Usage(f"{full} with method DELETE must hold {{value}} in url or body.", "Correct it.")
    if actuator.on == actuator.off:
        raise Usage(f"{full}.on and off are the same.", "Correct one of them.")
    if actuator.expect_status and actuator.expect_status not in range(200, 600):
        raise Usage(f"{full}.expect_status is no status of an answer.", "Write one such as 202.")


def _require_hosts(actuator: Actuator, origin: str) -> None:
    """Refuse host names that a program could read as an option or as syntax: they end up in argument lists."""
    placed = any("{host}" in part for part in actuator.argv)
    if not actuator.hosts and not placed:
        return
    full = f"{origin}: kill_switch.actuator.hosts"
    if actuator.type != "command":
        raise Usage(f"{full} belongs to an actuator of type command.", "Remove it, or write a command for it.")
    if not actuator.hosts:
        raise Usage(f"{origin}: argv of a kill_switch.actuator holds {{host}}, but there are no hosts.", "List hosts.")
    if not placed or "{host}" in actuator.argv[0]:
        raise Usage(f"{full} is set, but no argument of argv holds {{host}}.", "Write {host} where the name belongs.")
    for number, host in enumerate(actuator.hosts):
        if len(host) > _LONGEST_HOST or not re.fullmatch(_HOST, host):
            raise Usage(
                f"{full} holds {visible(host, limit=80)!r}, which is not a host name.",
                "Write NAME, USER@NAME or an address, of letters, digits and . _ - : only.",
            )
        if host in actuator.hosts[:number]:
            raise Usage(f"{full} names {visible(host)} twice.", "Name each host once.")


def _header(name: str, value: object, origin: str) -> "str | Credential":
    """Parse a header: a text, or the place to read it from. A secret is never a text."""
    # Imported here: most kill switches are only a file and have no headers.
    from ml.emergency.actuators import Credential  # noqa: PLC0415

    shown = f"{origin}: the header {visible(name)} of a kill_switch.actuator"
    if isinstance(value, str):
        if tells_a_secret(name):
            raise Usage(f"{shown} holds a secret.", 'Write {file = "PATH"} or {env = "NAME"} in its place.')
        return value
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= {"file", "env"}:
        (where,) = value.values()
        if isinstance(where, str) and where:
            return Credential(**value)
    raise Usage(f"{shown} must be a text, or where to read it.", 'Write {file = "PATH"} or {env = "NAME"}.')


def _unknown(name: str, known: Iterable[str], what: str) -> Usage:
    # Imported here: only a configuration with mistakes needs it.
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(name, list(known), n=1, cutoff=0.0)
    return Usage(f"{what} {visible(name)!r} is not known.", f"The nearest known name is {near[0]!r}.")
