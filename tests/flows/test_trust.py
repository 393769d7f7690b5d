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
from support.shared_remote import SharedRemote

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
def test_a_pushed_address_gets_nothing(shared: SharedRemote, monkeypatch: pytest.MonkeyPatch, pushed: str) -> None:
    monkeypatch.setenv("MLCONSOLE_PROMETHEUS_BEARER_TOKEN", TOKEN)
    monkeypatch.setenv("SECRET", TOKEN)
    (shared.home / "secret").write_text(TOKEN)
    with stranger() as asked:
        shared.push(pushed.format(url=asked.url, secret=shared.home / "secret"))
        for argv in (["status"], ["doctor"], ["check"], ["kill", "on", "--no-wait"], ["kill", "status"]):
            shared.say(*argv)
        assert asked.requests == []
        code, found = shared.document("trust", "--yes")
        assert code == 0
        assert found["state"] == "trusted"
        if "[prometheus]\nurl" in pushed:  # and once trusted it is asked, with what it was trusted with
            shared.say("doctor")
            assert asked.requests
            assert any("Authorization" in each for each in asked.requests)


def test_a_pushed_fallback_gets_no_token_of_the_users_own_file(shared: SharedRemote) -> None:
    """The user's own address does not answer, so that a pushed fallback or Alertmanager would be asked next."""
    (shared.home / "secret").write_text(TOKEN)
    with stranger() as asked:
        shared.own(f'[prometheus]\nurl = "http://127.0.0.1:9"\nbearer_token_file = "{shared.home / "secret"}"\n')
        shared.push(f'[prometheus]\nfallback_url = "{asked.url}"\n[alertmanager]\nurl = "{asked.url}"\n')
        shared.say("doctor")
        shared.say("status")
        assert asked.requests == []


def test_what_was_trusted_last_holds_and_every_face_says_so(shared: SharedRemote) -> None:
    with stranger() as ours, stranger() as theirs:
        shared.push(f'[prometheus]\nurl = "{ours.url}"\n[environment]\nname = "shared"\nproduction = true\n')
        assert shared.say("trust", "--yes")[0] == 0
        shared.push(f'[prometheus]\nurl = "{theirs.url}"\nstale_seconds = 9e9\n[registry]\nref = "origin/evil"\n')
        _, found = shared.document("status")
        assert found["environment"] == {"name": "shared", "production": True, "read_only": True}  # no registry here
        assert found["registry"]["ref"] == "origin/main"
        (problem,) = [each for each in found["problems"] if each["where"] == "configuration"]
        assert "not what was trusted" in problem["what"]
        assert "prometheus.url" in problem["what"]
        assert "mlconsole trust" in problem["remedy"]
        assert "console.toml is not what was trusted" in shared.say("status")[1]
        code, out, _ = shared.say("doctor")
        assert code == 1
        assert "[FAIL]    trust          console.toml is not what was trusted" in out
        assert ours.requests
        assert theirs.requests == []
        shown = shared.document("config", "show")[1]["settings"]["prometheus.url"]
        assert shown["value"] == ours.url
        assert shown["source"].endswith("console.toml, as trusted last")


def test_harmless_settings_count_before_anything_was_trusted(shared: SharedRemote) -> None:
    shared.push('[environment]\nname = "shared"\n[registry]\nfetch_seconds = 7\n[interface]\nascii = true\n')
    settings = shared.document("config", "show")[1]["settings"]
    assert settings["environment.name"]["value"] == "shared"
    assert settings["registry.fetch_seconds"]["value"] == 7
    assert settings["interface.ascii"]["value"] is True
    assert [each for each in shared.document("status")[1]["problems"] if each["where"] == "configuration"] == []


# --- the kill ----------------------------------------------------------------------------------------------------
def test_a_kill_goes_to_the_last_trusted_target_and_says_what_it_left_out(shared: SharedRemote) -> None:
    trusted, evil = shared.home / "engines.env", shared.home / "evil.env"
    ran = shared.home / "ran"
    shared.push(f'[kill_switch]\nfile = "{trusted}"\n')
    shared.say("trust", "--yes")
    shared.push(
        f'[kill_switch]\nfile = "{evil}"\n[[kill_switch.actuator]]\ntype = "command"\nargv = ["touch", "{ran}"]\n'
    )
    code, out, err = shared.say("kill", "on", "--no-wait", "--json")
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
def test_no_pushed_file_keeps_a_kill_from_the_last_trusted_target(shared: SharedRemote, pushed: str) -> None:
    trusted = shared.home / "engines.env"
    shared.push(f'[kill_switch]\nfile = "{trusted}"\n')
    shared.say("trust", "--yes")
    shared.push(pushed)
    code, _, err = shared.say("kill", "on", "--no-wait")
    assert code == 4
    assert trusted.read_text().endswith(KILLED)
    assert "LEFT OUT" in err
    assert shared.say("trust", "--yes")[0] == 2  # what is not valid cannot be trusted


def test_a_removed_file_leaves_the_last_trusted_target(shared: SharedRemote) -> None:
    trusted = shared.home / "engines.env"
    shared.push(f'[kill_switch]\nfile = "{trusted}"\n')
    shared.say("trust", "--yes")
    shared.push(None)
    assert shared.say("kill", "on", "--no-wait")[0] == 4
    assert trusted.read_text().endswith(KILLED)
    assert not (shared.path / "var").exists()


@pytest.mark.parametrize("pushed", ['[kill_switch]\nfile = "{evil}"\n', "[kill_switch\n", "[kill_swich]\n"])
def test_where_nothing_was_ever_trusted_the_default_holds(shared: SharedRemote, pushed: str) -> None:
    evil = shared.home / "evil.env"
    shared.push(pushed.format(evil=evil))
    code, _, err = shared.say("kill", "on", "--no-wait")
    assert code == 4
    assert not evil.exists()
    assert (shared.path / "var/kill_switch.env").read_text().endswith(KILLED)
    assert "LEFT OUT" in err


def test_the_users_own_target_holds_against_a_pushed_one(shared: SharedRemote) -> None:
    mine, evil = shared.home / "mine.env", shared.home / "evil.env"
    shared.own(f'[kill_switch]\nfile = "{mine}"\n')
    shared.push(f'[kill_switch]\nfile = "{evil}"\n')
    shared.say("kill", "on", "--no-wait")
    assert mine.read_text().endswith(KILLED)
    assert not evil.exists()


def test_a_device_in_the_files_place_hangs_nobody(shared: SharedRemote) -> None:
    os.mkfifo(shared.path / "console.toml")
    assert shared.say("kill", "on", "--no-wait")[0] == 4
    assert (shared.path / "var/kill_switch.env").read_text().endswith(KILLED)
    (shared.path / "console.toml").unlink()
    (shared.path / "console.toml").symlink_to("/dev/zero")
    assert shared.say("kill", "on", "--no-wait")[0] == 4
    code, _, err = shared.say("status")
    assert code == 2
    assert "it is no regular file" in err


# --- the question ------------------------------------------------------------------------------------------------
def test_nobody_is_taken_to_have_said_yes(shared: SharedRemote) -> None:
    shared.push('[prometheus]\nurl = "http://127.0.0.1:9"\n')
    code, _, err = shared.say("trust")
    assert code == 5
    assert '+url = "http://127.0.0.1:9"' in err
    assert "There is no terminal for the question" in err
    assert shared.say("trust", "--show")[0] == 1
    assert shared.say("--read-only", "trust", "--yes")[0] == 5
    assert shared.document("config", "show")[1]["settings"]["prometheus.url"]["value"] == ""


def test_what_is_shown_is_the_whole_file_and_only_shown(shared: SharedRemote) -> None:
    long = "a" * 9000
    shared.push(f'# {long}END \x9b31m \u202e \u200b\n[prometheus]\nurl = "http://127.0.0.1:9" # \u2028x\n')
    _, out, err = shared.say("trust", "--show")
    assert "END \\x9b31m \\u{202e} \\u{200b}" in out
    assert "\\u{2028}x" in out
    assert not {"\x9b", "\u202e", "\u200b", "\u2028"} & set(out + err)
    assert "line 1 holds characters that are not plain ASCII" in out


def test_a_digest_binds_the_yes_to_what_was_read(shared: SharedRemote) -> None:
    shared.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    digest = shared.document("trust", "--show")[1]["digest"]
    assert digest == hashlib.sha256((shared.path / "console.toml").read_bytes()).hexdigest()
    shared.push('[notify]\nurl = "http://127.0.0.1:9/b"\n')
    code, _, err = shared.say("trust", "--yes", "--digest", digest)
    assert code == 5
    assert "The file has another digest" in err
    assert shared.document("trust", "--show")[1]["trusted"] is None
    again = shared.document("trust", "--show")[1]["digest"]
    assert shared.say("trust", "--yes", "--digest", again)[0] == 0


def test_trust_is_taken_back(shared: SharedRemote) -> None:
    shared.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    shared.say("trust", "--yes")
    assert shared.document("trust", "--show")[1]["state"] == "trusted"
    assert shared.say("trust", "--revoke")[0] == 0
    assert shared.document("trust", "--show")[1]["state"] == "untrusted"
    kinds = [line.split()[1] for line in shared.say("log")[1].splitlines()]
    assert kinds == ["trust", "trust"]


def test_a_program_in_the_repository_is_pointed_out(shared: SharedRemote) -> None:
    (shared.path / "restart.sh").write_text("#!/bin/sh\n")
    shared.push('[[kill_switch.actuator]]\ntype = "command"\nargv = ["./restart.sh"]\n')
    assert "restart.sh lies in the repository" in shared.say("trust", "--show")[1]


@pytest.mark.parametrize("damage", [b"", b"mlconsole trust 1\tx\n", b"\0" * 100])
def test_a_damaged_record_is_no_trust(shared: SharedRemote, damage: bytes) -> None:
    shared.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    shared.say("trust", "--yes")
    (store,) = (shared.home / "state").rglob("trusted")
    store.write_bytes(damage)
    assert shared.document("trust", "--show")[1]["state"] == "untrusted"


def test_a_record_that_others_can_write_is_no_trust(shared: SharedRemote) -> None:
    shared.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    shared.say("trust", "--yes")
    (store,) = (shared.home / "state").rglob("trusted")
    store.chmod(0o666)
    assert shared.document("trust", "--show")[1]["state"] == "untrusted"


# --- ways around -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["flag", "variable", "link out", "link in", "worktree"])
def test_a_file_of_a_repository_is_hostile_however_it_is_named(
    shared: SharedRemote, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    text = '[notify]\nurl = "http://127.0.0.1:9/evil"\n'
    inside, outside = shared.path / "ops.toml", shared.home / "outside.toml"
    file = inside
    if how == "link out":
        outside.write_text(text)
        inside.symlink_to(outside)
    elif how == "link in":
        inside.write_text(text)
        outside.symlink_to(inside)
        file = outside
    elif how == "worktree":
        shared.clones.operator.commit("More", {"ops.toml": text})
        shared.clones.operator.git("worktree", "add", "-q", shared.home / "tree")
        file = shared.home / "tree" / "ops.toml"
    else:
        inside.write_text(text)
    if how == "variable":
        monkeypatch.setenv("MLCONSOLE_CONFIG", str(file))
        where: list[str] = []
    else:
        where = ["--config", str(file)]
    assert shared.document(*where, "trust", "--show")[1]["left_out"] == ["notify.url"]
    assert shared.document(*where, "config", "show")[1]["settings"]["notify.url"]["value"] == ""
    assert shared.say(*where, "trust", "--yes")[0] == 0
    assert shared.document(*where, "config", "show")[1]["settings"]["notify.url"]["value"] == "(secret)"
    monkeypatch.delenv("MLCONSOLE_CONFIG", raising=False)
    assert shared.document("trust", "--show")[1]["state"] == "none"  # the trust is in that file alone


def test_a_named_file_of_ones_own_needs_no_trust(shared: SharedRemote) -> None:
    own = shared.home / "mine.toml"
    own.write_text('[notify]\nurl = "http://127.0.0.1:9/mine"\n')
    assert shared.document("--config", str(own), "config", "show")[1]["settings"]["notify.url"]["value"] == "(secret)"


def test_a_state_folder_in_the_repository_holds_no_trust(shared: SharedRemote, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pushes could push a record of trust with it."""
    shared.push('[notify]\nurl = "http://127.0.0.1:9/evil"\n')
    shared.say("trust", "--yes")
    (store,) = (shared.home / "state").rglob("trusted")
    inside = shared.path / "state" / "mlconsole" / store.parent.name / "trusted"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(store.read_bytes())
    inside.chmod(0o600)
    monkeypatch.setenv("XDG_STATE_HOME", str(shared.path / "state"))
    assert shared.document("trust", "--show")[1]["state"] == "untrusted"
    code, _, err = shared.say("trust", "--yes")
    assert code == 5
    assert "XDG_STATE_HOME" in err


def test_a_users_file_in_the_repository_is_not_ones_own(shared: SharedRemote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shared.path / "conf"))
    file = shared.path / "conf" / "mlconsole" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[notify]\nurl = "http://127.0.0.1:9/evil"\n[environment]\nname = "shared"\n')
    settings = shared.document("config", "show")[1]["settings"]
    assert settings["notify.url"]["value"] == ""
    assert settings["environment.name"]["value"] == "shared"
    (problem,) = [each for each in shared.document("status")[1]["problems"] if each["where"] == "configuration"]
    assert "is inside the repository" in problem["what"]


def test_each_clone_and_worktree_is_trusted_on_its_own(shared: SharedRemote) -> None:
    shared.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    shared.say("trust", "--yes")
    shared.clones.operator.git("worktree", "add", "-q", shared.home / "tree")
    shared.capfd.readouterr()
    assert verb(["--repo", str(shared.home / "tree"), "trust", "--show"]) == 1


# --- programs that a repository names otherwise --------------------------------------------------------------------
def test_neither_tracked_files_nor_a_repositorys_git_settings_run_a_program(shared: SharedRemote) -> None:
    ran = shared.home / "ran"
    program = shared.home / "program.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> "{ran}"\n')
    program.chmod(0o755)
    hooks = shared.path / ".git" / "hooks"
    for name in ("post-checkout", "reference-transaction", "pre-push", "pre-commit", "post-index-change"):
        (hooks / name).write_text(program.read_text())
        (hooks / name).chmod(0o755)
    for key in (
        *("core.fsmonitor", "core.pager", "core.editor", "sequence.editor", "diff.external", "core.askPass"),
        *("gpg.program", "gpg.ssh.program", "core.hooksPath", "diff.evil.textconv", "filter.evil.process"),
        *("filter.evil.clean", "filter.evil.smudge", "pager.log", "pager.status", "interactive.diffFilter"),
    ):
        shared.clones.operator.git("config", key, str(program))
    shared.clones.operator.git("config", "log.showSignature", "true")
    (shared.path / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (shared.path / ".env").write_text(f'MLCONSOLE_NOTIFY_URL="http://127.0.0.1:9"\nGIT_SSH_COMMAND={program}\n')
    (shared.path / ".envrc").write_text(f"{program}\n")
    for argv in (["status"], ["check"], ["doctor"], ["trust", "--show"], ["trust", "--yes"], ["info"], ["log"]):
        shared.say(*argv)
    assert not ran.exists(), ran.read_text()


def test_the_question_is_asked_on_a_terminal_and_only_yes_counts(shared: SharedRemote) -> None:
    from support.terminal import Terminal  # noqa: PLC0415 only this test needs a terminal

    shared.push('[notify]\nurl = "http://127.0.0.1:9/a"\n')
    argv = [sys.executable, "-m", "console", "--repo", str(shared.path), "trust"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for typed, code, state in (("", 5, "untrusted"), ("y", 5, "untrusted"), ("yes", 0, "trusted")):
        with Terminal(argv, env=env) as running:
            running.wait_for("Type yes to trust this")
            assert '+url = "http://127.0.0.1:9/a"' in running.text()
            running.press(*typed, "enter")
            assert running.wait_exit() == code
        assert shared.document("trust", "--show")[1]["state"] == state


def test_a_pushed_bare_repository_is_not_taken_for_the_repository(
    shared: SharedRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its git configuration would come with the push, and git runs the programs that it names."""
    ran = shared.home / "ran"
    program = shared.home / "program.sh"
    program.write_text(f'#!/bin/sh\ntouch "{ran}"\n')
    program.chmod(0o755)
    folder = shared.path / "docs"
    Folder(shared.home, shared.home).git("init", "-q", "--bare", folder)
    with (folder / "config").open("a") as config:
        config.write(f'[core]\n\tsshCommand = {program}\n\tfsmonitor = {program}\n[remote "origin"]\n\turl = a@b:c\n')
    monkeypatch.chdir(folder)
    assert find_root(folder) == shared.path
    for argv in (["status"], ["doctor"], ["kill", "on", "--no-wait"]):
        verb(argv)
    assert not ran.exists()
    assert (shared.path / "var/kill_switch.env").read_text().endswith(KILLED)
    monkeypatch.setenv("GIT_DIR", ".")  # as git calls a hook of a bare repository
    assert find_root(folder) == folder


def test_the_doctor_names_a_kill_file_that_a_pushed_link_leads_away(shared: SharedRemote) -> None:
    (shared.home / "elsewhere").mkdir()
    (shared.path / "var").symlink_to(shared.home / "elsewhere")
    code, out, _ = shared.say("doctor")
    assert code == 1
    assert f"leads to {shared.home / 'elsewhere'} by a link in the repository" in out.replace("\n", " ")
