"""Configuration: layers override in order, unknown names are refused with the nearest one, sources are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.trusting import configure

from console.config import load
from console.kill_form import kill_format
from console.paths import find_root
from console.settings import Actuator, KillSwitch, Settings
from console.switch import actuator_headers, kill_switch
from console.verbs.setup import _rows
from ml.emergency.actuators import Credential
from ml.errors import Usage


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    (root / ".git").mkdir(parents=True)
    return root


def settings(repo: Path, text: str = "", environ: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
    home = {"HOME": str(repo.parent)}
    if text:
        configure(repo, text, home)
    return load(repo=str(repo), environ=home | (environ or {}))


def test_without_anything_the_defaults_hold(repo: Path) -> None:
    loaded = settings(repo)
    assert loaded.registry.ref == "origin/main"
    assert loaded.kill_switch.file == "var/kill_switch.env"
    assert not loaded.environment.production
    assert loaded.sources == {}


def test_user_file_overrides_repository_and_environment_overrides_both(repo: Path) -> None:
    user = repo.parent / ".config" / "mlconsole" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text('[prometheus]\nurl = "http://user"\npoll_seconds = 7\n')
    loaded = settings(
        repo,
        '[prometheus]\nurl = "http://repo"\npoll_seconds = 9\ntimeout_seconds = 2\n',
        {"MLCONSOLE_PROMETHEUS_URL": "http://env"},
    )
    assert loaded.prometheus.url == "http://env"
    assert loaded.prometheus.poll_seconds == 7.0
    assert loaded.prometheus.timeout_seconds == 2.0
    assert loaded.sources["prometheus.url"] == "environment"
    assert loaded.sources["prometheus.poll_seconds"].endswith("config.toml")
    assert loaded.sources["prometheus.timeout_seconds"].endswith("console.toml")


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ('[prometeus]\nurl = "x"', "prometheus"),
        ('[prometheus]\nurll = "x"', "url"),
        ('[[kill_switch.actuator]]\ntype = "file"\nargs = ["a"]', "argv"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(repo: Path, text: str, nearest: str) -> None:
    with pytest.raises(Usage) as caught:
        settings(repo, text)
    assert f"'{nearest}'" in caught.value.remedy


def test_an_unknown_environment_variable_is_refused_too(repo: Path) -> None:
    with pytest.raises(Usage, match="MLCONSOLE_PROMETHEUS_URI") as caught:
        settings(repo, environ={"MLCONSOLE_PROMETHEUS_URI": "x"})
    assert "MLCONSOLE_PROMETHEUS_URL" in caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "[prometheus]\nurl = 5",
        "[prometheus]\npoll_seconds = true",
        "[prometheus]\npoll_seconds = 0",
        f"[prometheus]\nstale_seconds = 1{'0' * 400}",
        "[prometheus]\nheaders = ['a']",
        "[[kill_switch.actuator]]\ntype = 'command'\nargv = {a = 'b'}",
        "[prometheus]\nheaders = {a = 1}",
        '[environment]\nproduction = "yes"',
        '[pull_request]\ntool = "hub"',
        "[kill_switch]\nactuator = 3",
        '[[kill_switch.actuator]]\ntype = "command"',
        '[[kill_switch.actuator]]\ntype = "telepathy"',
        "[environment\n",
        "environment = 1",
    ],
)
def test_a_wrong_value_is_a_usage_error_that_names_it(repo: Path, text: str) -> None:
    with pytest.raises(Usage) as caught:
        settings(repo, text)
    assert caught.value.cause
    assert caught.value.remedy


def test_secrets_are_refused_in_files_and_taken_from_the_environment(repo: Path) -> None:
    with pytest.raises(Usage, match="secret"):
        settings(repo, '[prometheus]\nbearer_token = "abc"')
    (repo / "console.toml").unlink()
    assert settings(repo, environ={"MLCONSOLE_PROMETHEUS_BEARER_TOKEN": "abc"}).prometheus.bearer_token == "abc"


HTTP = '[[kill_switch.actuator]]\ntype = "http"\nurl = "http://engine/kill"\n'


def test_headers_of_an_actuator_come_from_where_secrets_may_be(repo: Path) -> None:
    text = 'headers = {Authorization = {file = "run/token"}, X-Key = {env = "ENGINE_KEY"}, X-Scope-OrgID = "desk"}\n'
    (actuator,) = settings(repo, f"{HTTP}{text}").kill_switch.actuator
    assert actuator.headers == {
        "Authorization": Credential(file="run/token"),
        "X-Key": Credential(env="ENGINE_KEY"),
        "X-Scope-OrgID": "desk",
    }
    loaded = settings(repo, f'{HTTP}bearer_token_file = "run/token"\n')
    sent = actuator_headers(loaded, loaded.kill_switch.actuator[0])
    assert sent == {"Authorization": Credential(file=str(repo / "run/token"), prefix="Bearer ")}


@pytest.mark.parametrize(
    "line",
    [
        'headers = {Authorization = "Bearer hunter2"}',
        'headers = {X-Api-Key = "hunter2"}',
        'headers = {Cookie = "hunter2"}',
        'headers = {X-Key = {value = "hunter2"}}',
        'headers = {X-Key = {file = "a", env = "hunter2"}}',
        'headers = {X-Key = {file = ""}}',
        "headers = {X-Key = 3}",
        'headers = "hunter2"',
        'url = "http://ann:hunter2@engine/kill"',
    ],
)
def test_a_secret_in_an_actuator_is_refused_and_not_repeated(repo: Path, line: str) -> None:
    kept = HTTP.replace('url = "http://engine/kill"\n', "") if line.startswith("url") else HTTP
    with pytest.raises(Usage) as refused:
        settings(repo, f"{kept}{line}\n")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["prometheus.url", "prometheus.fallback_url", "alertmanager.url", "notify.url"])
def test_a_password_in_any_url_is_refused_and_not_repeated(repo: Path, name: str) -> None:
    section, _, key = name.partition(".")
    with pytest.raises(Usage) as refused:
        settings(repo, f'[{section}]\n{key} = "https://ann:hunter2@host/path"\n')
    assert name in refused.value.cause
    assert "hunter2" not in str(refused.value)
    assert getattr(getattr(settings(repo, f'[{section}]\n{key} = "https://host/@x"\n'), section), key)


def test_actuators_keep_their_order(repo: Path) -> None:
    loaded = settings(
        repo,
        '[[kill_switch.actuator]]\ntype = "file"\n[[kill_switch.actuator]]\ntype = "command"\nargv = ["true"]\n',
    )
    assert loaded.kill_switch.actuator == (Actuator(type="file"), Actuator(type="command", argv=("true",)))


def test_the_repository_is_found_from_below_and_a_bare_one_is_its_own(repo: Path, tmp_path: Path) -> None:
    deep = repo / "a" / "b"
    deep.mkdir(parents=True)
    assert find_root(deep) == repo
    bare = tmp_path / "bare.git"
    (bare / "objects").mkdir(parents=True)
    (bare / "refs").mkdir()
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    assert find_root(bare) == bare


def test_no_repository_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="not inside a git repository"):
        find_root(tmp_path)


def test_a_missing_file_that_was_named_is_an_error(repo: Path) -> None:
    with pytest.raises(Usage, match="does not exist"):
        load(repo=str(repo), config=str(repo / "nope.toml"), environ={"HOME": str(repo)})


HOSTS = """
[[kill_switch.actuator]]
type = "command"
argv = ["ssh", "{host}", "restart"]
"""


def configured(folder: Path, text: str) -> Settings:
    repo, environ = folder / "repo", {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    (repo / ".git").mkdir(parents=True, exist_ok=True)
    configure(repo, text, environ)
    return load(repo=str(repo), environ=environ)


def test_a_command_template_becomes_one_actuator_for_each_host(tmp_path: Path) -> None:
    hosts = 'hosts = ["trade-1.example.com", "ops@10.0.0.2", "fe80::1"]'
    settings = configured(tmp_path, HOSTS + hosts)
    made = kill_switch(settings).by_hand(engage=True)
    assert made[1:4] == (
        "ML_KILL_SWITCH=1 ssh trade-1.example.com restart",
        "ML_KILL_SWITCH=1 ssh ops@10.0.0.2 restart",
        "ML_KILL_SWITCH=1 ssh fe80::1 restart",
    )


@pytest.mark.parametrize(
    "host",
    ["-oProxyCommand=x", "", "a b", "a;b", "$(id)", "a/b", "ops@-x", "@a", "a@b@c", "ä", "a\\n", "a{host}", "x" * 254],
)
def test_a_host_that_a_program_or_a_shell_might_take_for_more_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(Usage, match="not a host name"):
        configured(tmp_path, f'{HOSTS}hosts = ["good", "{host}"]')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HOSTS, "there are no hosts"),
        (HOSTS + 'hosts = ["a", "a"]', "names a twice"),
        (HOSTS.replace("{host}", "x") + 'hosts = ["a"]', r"no argument of argv holds \{host\}"),
        (HOSTS.replace('"ssh", "{host}"', '"{host}"') + 'hosts = ["a"]', r"no argument of argv holds \{host\}"),
        ('[[kill_switch.actuator]]\ntype = "http"\nurl = "http://a"\nhosts = ["a"]', "of type command"),
    ],
)
def test_hosts_without_a_place_for_them_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(Usage, match=words):
        configured(tmp_path, text)


def test_lines_for_commit_messages_count_only_after_trust(repo: Path) -> None:
    text = '[commit]\nsignoff = true\ntrailers = ["Change-Id: {change_id}"]\nhooks = true\n'
    (repo / "console.toml").write_text(text)
    assert load(repo=str(repo), environ={"HOME": str(repo.parent)}).commit == Settings(repo).commit
    loaded = settings(repo, text).commit
    assert (loaded.signoff, loaded.trailers, loaded.hooks) == (True, ("Change-Id: {change_id}",), True)
    assert not settings(repo, text, {"MLCONSOLE_COMMIT_HOOKS": "false"}).commit.hooks


@pytest.mark.parametrize("line", ["Model: x", "no trailer", "X: {nobody}"])
def test_a_line_that_would_break_a_commit_message_is_refused(repo: Path, line: str) -> None:
    with pytest.raises(Usage, match=r"commit\.trailers"):
        settings(repo, f'[commit]\ntrailers = ["{line}"]\n')


# --- the kill file's own format -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ('format = "env"', None),
        ('format = "json"\nkey = "a.b"', ("json", ("a", "b"), True, False)),
        ('format = "toml"\nkey = \'a."b.c".d\'\non = 1\noff = 0', ("toml", ("a", "b.c", "d"), 1, 0)),
        ('format = "json"\nkey = "schön"\non = "on"\noff = false', ("json", ("schön",), "on", False)),
        ('format = "text"', ("text", (), "1", "0")),
        ('format = "text"\non = true\noff = 0', ("text", (), "true", "0")),
    ],
)
def test_the_format_of_the_kill_file(repo: Path, text: str, expected: object) -> None:
    form = kill_format(settings(repo, f"[kill_switch]\n{text}\n").kill_switch)
    assert (form if form is None else tuple(form)) == expected
    assert repr(form and (form.on, form.off)) == repr(expected and expected[2:])  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('format = "yaml"', "one of env, json, toml, text"),
        ('format = "json"', "key is missing"),
        ('key = "a"', "has no keys"),
        ('format = "text"\nkey = "a"', "has no keys"),
        ("on = 1\noff = 0", "an env file says"),
        ('format = "json"\nkey = "a"\non = 1', "one of on and off without the other"),
        ('format = "json"\nkey = "a"\non = 1\noff = 1', "the same value"),
        ('format = "json"\nkey = "a"\non = 1\noff = true', "the same value"),
        ('format = "text"\non = 1\noff = "1"', "the same value"),
        ('format = "json"\nkey = "a"\non = 1.5\noff = 0', "short text, a whole number"),
        ('format = "json"\nkey = "a"\non = ""\noff = 0', "short text"),
        ('format = "text"\non = "a\\nb"\noff = "0"', "short text"),
        ('format = "text"\non = " a"\noff = "0"', "short text"),
        ('format = "json"\nkey = "a"\non = [1]\noff = 0', "short text"),
        ('format = "json"\nkey = "a"\non = 9223372036854775808\noff = 0', "short text"),
        *(
            (f"format = \"json\"\nkey = '{key}'", "is no path of a key")
            for key in (".", "a.", ".a", "a..b", 'a"b"', '"a', "a b")
        ),
    ],
)
def test_a_format_that_does_not_fit_is_refused(repo: Path, text: str, says: str) -> None:
    with pytest.raises(Usage, match=says):
        settings(repo, f"[kill_switch]\n{text}\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('method = "BREW"', "one of POST"),
        ('on = "a"', "neither url nor body"),
        ('body = "stop"', "the same for on and off"),
        ('method = "GET"', "must hold {value} in its url"),
        ('method = "DELETE"', "must hold {value}"),
        ('body = "{value}"\non = "a"\noff = "a"', "are the same"),
        ("expect_status = 99", "no status"),
        ("expect_status = 200.5", "no status"),
        ("expect = 3", "must be a text"),
    ],
)
def test_an_http_request_that_would_not_do_what_it_says_is_refused(repo: Path, text: str, says: str) -> None:
    with pytest.raises(Usage, match=says):
        settings(repo, f"{HTTP}{text}\n")


def test_an_http_request_belongs_to_http(repo: Path) -> None:
    with pytest.raises(Usage, match=r"kill_switch\.actuator\.expect belongs to an actuator of type http"):
        settings(repo, '[[kill_switch.actuator]]\ntype = "command"\nargv = ["true"]\nexpect = "x"\n')


def test_the_key_is_no_secret_of_config_show() -> None:
    shown = {name: value for name, value, _ in _rows(Settings(Path(), kill_switch=KillSwitch(key="a.b")))}
    assert shown["kill_switch.key"] == "a.b"
