"""A pushed console.toml counts only once it is trusted: real verbs, real clones, real listeners, real signatures."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from support.clones import Folder
from support.desk import Desk

from console.paths import find_root
from console.verbs import run as verb

TOKEN = "hunter2-token"
KILLED = "\nML_KILL_SWITCH=1\n"


@dataclass
class Asked:
    """A server of a stranger: its address, and the headers of every request that it got."""

    url: str
    requests: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def stranger() -> Iterator[Asked]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.requests.append(dict(self.headers))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"success","data":{"resultType":"vector","result":[]}}')

        do_POST = do_GET  # noqa: N815 the standard library's name

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    asked = Asked(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- a stranger's addresses and credentials ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "pushed",
    [
        '[prometheus]\nurl = "{url}"\n',
        '[prometheus]\nurl = "{url}"\nbearer_token_file = "{secret}"\n',
        '[prometheus]\nurl = "{url}"\nusername = "ann"\npassword_file = "{secret}"\n',
        '[prometheus]\nfallback_url = "{url}"\n',
        '[alertmanager]\nurl = "{url}"\n',
        '[notify]\nurl = "{url}"\n',
        '[[kill_switch.actuator]]\ntype = "http"\nurl = "{url}"\nbearer_token_file = "{secret}"\n',
        '[[kill_switch.actuator]]\ntype = "http"\nurl = "{url}"\nheaders = {{X = {{env = "SECRET"}}}}\n',
    ],
)
def test_a_pushed_address_gets_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch, pushed: str) -> None:
    monkeypatch.setenv("MLCONSOLE_PROMETHEUS_BEARER_TOKEN", TOKEN)
    monkeypatch.setenv("SECRET", TOKEN)
    (desk.home / "secret").write_text(TOKEN)
    with stranger() as asked:
        desk.push(pushed.format(url=asked.url, secret=desk.home / "secret"))
        for argv in (["status"], ["doctor"], ["check"], ["kill", "on", "--no-wait"], ["kill", "status"]):
            desk.say(*argv)
        assert asked.requests == []
        code, found = desk.document("trust", "--yes")
        assert code == 0
        assert found["state"] == "trusted"
        if "[prometheus]\nurl" in pushed:  # and once trusted it is asked, with what it was trusted with
            desk.say("doctor")
            assert asked.requests
            assert any("Authorization" in each for each in asked.requests)


def test_a_pushed_fallback_gets_no_token_of_the_users_own_file(desk: Desk) -> None:
    """The user's own address does not answer, so that a pushed fallback or Alertmanager would be asked next."""
    (desk.home / "secret").write_text(TOKEN)
    with stranger() as asked:
        desk.own(f'[prometheus]\nurl = "http://127.0.0.1:9"\nbearer_token_file = "{desk.home / "secret"}"\n')
        desk.push(f'[prometheus]\nfallback_url = "{asked.url}"\n[alertmanager]\nurl = "{asked.url}"\n')
        desk.say("doctor")
        desk.say("status")
        assert asked.requests == []


def test_what_was_trusted_last_holds_and_every_face_says_so(desk: Desk) -> None:
    with stranger() as ours, stranger() as theirs:
        desk.push(f'[prometheus]\nurl = "{ours.url}"\n[environment]\nname = "desk"\nproduction = true\n')
        assert desk.say("trust", "--yes")[0] == 0
        desk.push(f'[prometheus]\nurl = "{theirs.url}"\nstale_seconds = 9e9\n[registry]\nref = "origin/evil"\n')
        _, found = desk.document("status")
        assert found["environment"] == {"name": "desk", "production": True, "read_only": True}  # no registry here
        assert found["registry"]["ref"] == "origin/main"
        (problem,) = [each for each in found["problems"] if each["where"] == "configuration"]
        assert "not what was trusted" in problem["what"]
        assert "prometheus.url" in problem["what"]
        assert "mlconsole trust" in problem["remedy"]
        assert "console.toml is not what was trusted" in desk.say("status")[1]
        code, out, _ = desk.say("doctor")
        assert code == 1
        assert "[FAIL]    trust          console.toml is not what was trusted" in out
        assert ours.requests
        assert theirs.requests == []
        shown = desk.document("config", "show")[1]["settings"]["prometheus.url"]
        assert shown["value"] == ours.url
        assert shown["source"].endswith("console.toml, as trusted last")


def test_harmless_settings_count_before_anything_was_trusted(desk: Desk) -> None:
    desk.push('[environment]\nname = "desk"\n[registry]\nfetch_seconds = 7\n[interface]\nascii = true\n')
    settings = desk.document("config", "show")[1]["settings"]
    assert settings["environment.name"]["value"] == "desk"
    assert settings["registry.fetch_seconds"]["value"] == 7
    assert settings["interface.ascii"]["value"] is True
    assert [each for each in desk.document("status")[1]["problems"] if each["where"] == "configuration"] == []


# --- the kill ----------------------------------------------------------------------------------------------------
def test_a_kill_goes_to_the_last_trusted_target_and_says_what_it_left_out(desk: Desk) -> None:
    trusted, evil = desk.home / "engines.env", desk.home / "evil.env"
    ran = desk.home / "ran"
    desk.push(f'[kill_switch]\nfile = "{trusted}"\n')
    desk.say("trust", "--yes")
    desk.push(
        f'[kill_switch]\nfile = "{evil}"\n[[kill_switch.actuator]]\ntype = "command"\nargv = ["touch", "{ran}"]\n'
    )
    code, out, err = desk.say("kill", "on", "--no-wait", "--json")
    assert trusted.read_text().endswith(KILLED)
    assert not evil.exists()
    assert not ran.exists()
    assert code == 4  # the engines may read the other file by now
    assert json.loads(out)["state"] == "WRITTEN"
    assert json.loads(out)["left_out"] == ["kill_switch.actuator", "kill_switch.file"]
    assert "LEFT OUT console.toml is not what was trusted" in err


@pytest.mark.parametrize(
    "pushed",
    [
        "[kill_switch\n",
        "\x00",
        "a" * 70_000,
        "x" + ".x" * 30_000 + " = 1\n",
        "a = " + "[" * 60_000,
        "a = " + "1" * 5000,
    ],
    ids=["torn", "binary", "long", "many parts", "deep", "huge number"],
)
def test_no_pushed_file_keeps_a_kill_from_the_last_trusted_target(desk: Desk, pushed: str) -> None:
    trusted = desk.home / "engines.env"
    desk.push(f'[kill_switch]\nfile = "{trusted}"\n')
    desk.say("trust", "--yes")
    desk.push(pushed)
    code, _, err = desk.say("kill", "on", "--no-wait")
    assert code == 4
    assert trusted.read_text().endswith(KILLED)
    assert "LEFT OUT" in err
    assert desk.say("trust", "--yes")[0] == 2  # what is not valid cannot be trusted


def test_a_removed_file_leaves_the_last_trusted_target(desk: Desk) -> None:
    trusted = desk.home / "engines.env"
    desk.push(f'[kill_switch]\nfile = "{trusted}"\n')
    desk.say("trust", "--yes")
    desk.push(None)
    assert desk.say("kill", "on", "--no-wait")[0] == 4
    assert trusted.read_text().endswith(KILLED)
    assert not (desk.path / "var").exists()


@pytest.mark.parametrize("pushed", ['[kill_switch]\nfile = "{evil}"\n', "[kill_switch\n", "[kill_swich]\n"])
def test_where_nothing_was_ever_trusted_the_default_holds(desk: Desk, pushed: str) -> None:
    evil = desk.home / "evil.env"
    desk.push(pushed.format(evil=evil))
    code, _, err = desk.say("kill", "on", "--no-wait")
    assert code == 4
    assert not evil.exists()
    assert (desk.path / "var/kill_switch.env").read_text().endswith(KILLED)
    assert "LEFT OUT" in err


def test_the_users_own_target_holds_against_a_pushed_one(desk: Desk) -> None:
    mine, evil = desk.home / "mine.env", desk.home / "evil.env"
    desk.own(f'[kill_switch]\nfile = "{mine}"\n')
    desk.push(f'[kill_switch]\nfile = "{evil}"\n')
    desk.say("kill", "on", "--no-wait")
    assert mine.read_text().endswith(KILLED)
    assert not evil.exists()


def test_a_device_in_the_files_place_hangs_nobody(desk: Desk) -> None:
    os.mkfifo(desk.path / "console.toml")
    assert desk.say("kill", "on", "--no-wait")[0] == 4
    assert (desk.path / "var/kill_switch.env").read_text().endswith(KILLED)
    (desk.path / "console.toml").unlink()
    (desk.path / "console.toml").symlink_to("/dev/zero")
    assert desk.say("kill", "on", "--no-wait")[0] == 4
    code, _, err = desk.say("status")
    assert code == 2
    assert "it is no regular file" in err


# --- the question ------------------------------------------------------------------------------------------------
def test_nobody_is_taken_to_have_said_yes(desk: Desk) -> None:
    desk.push('[prometheus]\nurl = "http://127.0.0.1:9"\n')
    code, _, err = desk.say("trust")
    assert code == 5
    assert '+url = "http://127.0.0.1:9"' in err
    assert "There is no terminal for the question" in err
    assert desk.say("trust", "--show")[0] == 1
    assert desk.say("--read-only", "trust", "--yes")[0] == 5
    assert desk.document("config", "show")[1]["settings"]["prometheus.url"]["value"] == ""


def test_what_is_shown_is_the_whole_file_and_only_shown(desk: Desk) -> None:
    long = "a" * 9000
    desk.push(f'# {long}END \x9b31m \u202e \u200b\n[prometheus]\nurl = "http://127.0.0.1:9" # \u2028x\n')
    _, out, err = desk.say("trust", "--show")
    assert "END \\x9b31m \\u{202e} \\u{200b}" in out
    assert "\\u{2028}x" in out
    assert not {"\x9b", "\u202e", "\u200b", "\u2028"} & set(out + err)
    assert "line 1 holds characters that are not plain ASCII" in out


def test_a_digest_binds_the_yes_to_what_was_read(desk: Desk) -> None:
    desk.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    digest = desk.document("trust", "--show")[1]["digest"]
    assert digest == hashlib.sha256((desk.path / "console.toml").read_bytes()).hexdigest()
    desk.push('[notify]\nurl = "http://127.0.0.1:9/b"\n')
    code, _, err = desk.say("trust", "--yes", "--digest", digest)
    assert code == 5
    assert "The file has another digest" in err
    assert desk.document("trust", "--show")[1]["trusted"] is None
    again = desk.document("trust", "--show")[1]["digest"]
    assert desk.say("trust", "--yes", "--digest", again)[0] == 0


def test_trust_is_taken_back(desk: Desk) -> None:
    desk.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    desk.say("trust", "--yes")
    assert desk.document("trust", "--show")[1]["state"] == "trusted"
    assert desk.say("trust", "--revoke")[0] == 0
    assert desk.document("trust", "--show")[1]["state"] == "untrusted"
    kinds = [line.split()[1] for line in desk.say("log")[1].splitlines()]
    assert kinds == ["trust", "trust"]


def test_a_program_in_the_repository_is_pointed_out(desk: Desk) -> None:
    (desk.path / "restart.sh").write_text("#!/bin/sh\n")
    desk.push('[[kill_switch.actuator]]\ntype = "command"\nargv = ["./restart.sh"]\n')
    assert "restart.sh lies in the repository" in desk.say("trust", "--show")[1]


@pytest.mark.parametrize("damage", [b"", b"mlconsole trust 1\tx\n", b"\0" * 100])
def test_a_damaged_record_is_no_trust(desk: Desk, damage: bytes) -> None:
    desk.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    desk.say("trust", "--yes")
    (store,) = (desk.home / "state").rglob("trusted")
    store.write_bytes(damage)
    assert desk.document("trust", "--show")[1]["state"] == "untrusted"


def test_a_record_that_others_can_write_is_no_trust(desk: Desk) -> None:
    desk.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    desk.say("trust", "--yes")
    (store,) = (desk.home / "state").rglob("trusted")
    store.chmod(0o666)
    assert desk.document("trust", "--show")[1]["state"] == "untrusted"


# --- ways around -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["flag", "variable", "link out", "link in", "worktree"])
def test_a_file_of_a_repository_is_hostile_however_it_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    text = '[notify]\nurl = "http://127.0.0.1:9/evil"\n'
    inside, outside = desk.path / "ops.toml", desk.home / "outside.toml"
    file = inside
    if how == "link out":
        outside.write_text(text)
        inside.symlink_to(outside)
    elif how == "link in":
        inside.write_text(text)
        outside.symlink_to(inside)
        file = outside
    elif how == "worktree":
        desk.clones.operator.commit("More", {"ops.toml": text})
        desk.clones.operator.git("worktree", "add", "-q", desk.home / "tree")
        file = desk.home / "tree" / "ops.toml"
    else:
        inside.write_text(text)
    if how == "variable":
        monkeypatch.setenv("MLCONSOLE_CONFIG", str(file))
        where: list[str] = []
    else:
        where = ["--config", str(file)]
    assert desk.document(*where, "trust", "--show")[1]["left_out"] == ["notify.url"]
    assert desk.document(*where, "config", "show")[1]["settings"]["notify.url"]["value"] == ""
    assert desk.say(*where, "trust", "--yes")[0] == 0
    assert desk.document(*where, "config", "show")[1]["settings"]["notify.url"]["value"] == "(secret)"
    monkeypatch.delenv("MLCONSOLE_CONFIG", raising=False)
    assert desk.document("trust", "--show")[1]["state"] == "none"  # the trust is in that file alone


def test_a_named_file_of_ones_own_needs_no_trust(desk: Desk) -> None:
    own = desk.home / "mine.toml"
    own.write_text('[notify]\nurl = "http://127.0.0.1:9/mine"\n')
    assert desk.document("--config", str(own), "config", "show")[1]["settings"]["notify.url"]["value"] == "(secret)"


def test_a_state_folder_in_the_repository_holds_no_trust(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pushes could push a record of trust with it."""
    desk.push('[notify]\nurl = "http://127.0.0.1:9/evil"\n')
    desk.say("trust", "--yes")
    (store,) = (desk.home / "state").rglob("trusted")
    inside = desk.path / "state" / "mlconsole" / store.parent.name / "trusted"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(store.read_bytes())
    inside.chmod(0o600)
    monkeypatch.setenv("XDG_STATE_HOME", str(desk.path / "state"))
    assert desk.document("trust", "--show")[1]["state"] == "untrusted"
    code, _, err = desk.say("trust", "--yes")
    assert code == 5
    assert "XDG_STATE_HOME" in err


def test_a_users_file_in_the_repository_is_not_ones_own(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(desk.path / "conf"))
    file = desk.path / "conf" / "mlconsole" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[notify]\nurl = "http://127.0.0.1:9/evil"\n[environment]\nname = "desk"\n')
    settings = desk.document("config", "show")[1]["settings"]
    assert settings["notify.url"]["value"] == ""
    assert settings["environment.name"]["value"] == "desk"
    (problem,) = [each for each in desk.document("status")[1]["problems"] if each["where"] == "configuration"]
    assert "is inside the repository" in problem["what"]


def test_each_clone_and_worktree_is_trusted_on_its_own(desk: Desk) -> None:
    desk.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    desk.say("trust", "--yes")
    desk.clones.operator.git("worktree", "add", "-q", desk.home / "tree")
    desk.capfd.readouterr()
    assert verb(["--repo", str(desk.home / "tree"), "trust", "--show"]) == 1


# --- programs that a repository names otherwise --------------------------------------------------------------------
def test_neither_tracked_files_nor_a_repositorys_git_settings_run_a_program(desk: Desk) -> None:
    ran = desk.home / "ran"
    program = desk.home / "program.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> "{ran}"\n')
    program.chmod(0o755)
    hooks = desk.path / ".git" / "hooks"
    for name in ("post-checkout", "reference-transaction", "pre-push", "pre-commit", "post-index-change"):
        (hooks / name).write_text(program.read_text())
        (hooks / name).chmod(0o755)
    for key in (
        *("core.fsmonitor", "core.pager", "core.editor", "sequence.editor", "diff.external", "core.askPass"),
        *("gpg.program", "gpg.ssh.program", "core.hooksPath", "diff.evil.textconv", "filter.evil.process"),
        *("filter.evil.clean", "filter.evil.smudge", "pager.log", "pager.status", "interactive.diffFilter"),
    ):
        desk.clones.operator.git("config", key, str(program))
    desk.clones.operator.git("config", "log.showSignature", "true")
    (desk.path / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (desk.path / ".env").write_text(f'MLCONSOLE_NOTIFY_URL="http://127.0.0.1:9"\nGIT_SSH_COMMAND={program}\n')
    (desk.path / ".envrc").write_text(f"{program}\n")
    for argv in (["status"], ["check"], ["doctor"], ["trust", "--show"], ["trust", "--yes"], ["info"], ["log"]):
        desk.say(*argv)
    assert not ran.exists(), ran.read_text()


def test_the_question_is_asked_on_a_terminal_and_only_yes_counts(desk: Desk) -> None:
    from support.terminal import Terminal  # noqa: PLC0415 only this test needs a terminal

    desk.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    argv = [sys.executable, "-m", "console", "--repo", str(desk.path), "trust"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for typed, code, state in (("", 5, "untrusted"), ("y", 5, "untrusted"), ("yes", 0, "trusted")):
        with Terminal(argv, env=env) as running:
            running.wait_for("Type yes to trust this")
            assert '+url = "http://127.0.0.1:9/a"' in running.text()
            running.press(*typed, "enter")
            assert running.wait_exit() == code
        assert desk.document("trust", "--show")[1]["state"] == state


def test_a_pushed_bare_repository_is_not_taken_for_the_repository(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its git configuration would come with the push, and git runs the programs that it names."""
    ran = desk.home / "ran"
    program = desk.home / "program.sh"
    program.write_text(f'#!/bin/sh\ntouch "{ran}"\n')
    program.chmod(0o755)
    folder = desk.path / "docs"
    Folder(desk.home, desk.home).git("init", "-q", "--bare", folder)
    with (folder / "config").open("a") as config:
        config.write(f'[core]\n\tsshCommand = {program}\n\tfsmonitor = {program}\n[remote "origin"]\n\turl = a@b:c\n')
    monkeypatch.chdir(folder)
    assert find_root(folder) == desk.path
    for argv in (["status"], ["doctor"], ["kill", "on", "--no-wait"]):
        verb(argv)
    assert not ran.exists()
    assert (desk.path / "var/kill_switch.env").read_text().endswith(KILLED)
    monkeypatch.setenv("GIT_DIR", ".")  # as git calls a hook of a bare repository
    assert find_root(folder) == folder


def test_the_doctor_names_a_kill_file_that_a_pushed_link_leads_away(desk: Desk) -> None:
    (desk.home / "elsewhere").mkdir()
    (desk.path / "var").symlink_to(desk.home / "elsewhere")
    code, out, _ = desk.say("doctor")
    assert code == 1
    assert f"leads to {desk.home / 'elsewhere'} by a link in the repository" in out.replace("\n", " ")
