from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.listeners import listening
from support.trusting import configure

from console.kill import run_kill
from console.verbs import run as verb
from ml.adapters.processes import run
from ml.emergency.actuators import CommandActuator, Credential, HttpActuator, HttpRequest
from ml.errors import TimedOut, Unavailable, Usage


@pytest.mark.parametrize(("engage", "value"), [(True, "1"), (False, "0")])
def test_a_command_finds_the_switch_in_its_environment(tmp_path: Path, engage: bool, value: str) -> None:
    script = tmp_path / "restart.sh"
    script.write_text(f'#!/bin/sh\nprintf %s "$ML_KILL_SWITCH" > {tmp_path}/told\n')
    script.chmod(0o755)
    CommandActuator([str(script)], run, 10).deliver(engage=engage)
    assert (tmp_path / "told").read_text() == value


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(Unavailable, match=r"ended with 3: unit \\not found␛\[0m\."):
        CommandActuator(["sh", "-c", r"printf 'unit \\not found\033[0m' >&2; exit 3"], run, 10).deliver(engage=True)


def test_a_command_that_hangs_is_ended_at_its_deadline() -> None:
    begun = time.monotonic()
    with pytest.raises(TimedOut, match=r"did not end within 0\.3 s"):
        CommandActuator([sys.executable, "-c", "import time; time.sleep(60)"], run, 0.3).deliver(engage=True)
    assert time.monotonic() - begun < 5


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match="no-such-program cannot be started"):
        CommandActuator(["no-such-program"], run, 1).deliver(engage=True)


def test_a_command_by_hand_is_quoted_for_a_shell() -> None:
    actuator = CommandActuator(["systemctl", "restart", "my engine"], run, 1)
    assert actuator.by_hand(engage=True) == "ML_KILL_SWITCH=1 systemctl restart 'my engine'"
    assert actuator.name == "command systemctl"


def test_http_posts_the_switch_as_json() -> None:
    with listening() as listener:
        actuator = HttpActuator(f"{listener.url}/kill?env=prod", {"X-Desk": "night"}, 5)
        actuator.deliver(engage=True)
        actuator.deliver(engage=False)
        (path, headers, body), (_, _, second) = listener.posts
        assert path == "/kill?env=prod"
        assert headers["X-Desk"] == "night"
        assert headers["Content-Type"] == "application/json"
        assert [json.loads(each) for each in (body, second)] == [{"ML_KILL_SWITCH": "1"}, {"ML_KILL_SWITCH": "0"}]
        assert "-H 'X-Desk: night'" in actuator.by_hand(engage=True)
        assert "env=prod" not in actuator.name


def test_http_sends_the_configured_request_and_wants_the_configured_answer() -> None:
    request = HttpRequest("PUT", '{"enabled": {value}}', "false", "true", '"enabled":{value}', 202)
    with listening(202, content=b'{"enabled":false}') as listener:
        actuator = HttpActuator(f"{listener.url}/trading/{{value}}", {}, 5, request)
        actuator.deliver(engage=True)
        assert [(path, body) for path, _, body in listener.posts] == [("/trading/false", b'{"enabled": false}')]
        assert listener.methods == ["PUT"]
        with pytest.raises(Unavailable, match=r'answered \{"enabled":false\}, which does not hold "enabled":true'):
            actuator.deliver(engage=False)
        listener.status = 200
        with pytest.raises(Unavailable, match="answered with status 200"):
            actuator.deliver(engage=True)


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("DELETE", b""), ("PATCH", b'{"ML_KILL_SWITCH": "1"}')])
def test_each_method_is_sent_with_its_body_and_by_hand_alike(method: str, body: bytes) -> None:
    with listening() as listener:
        actuator = HttpActuator(f"{listener.url}/kill?on={{value}}", {}, 5, HttpRequest(method))
        actuator.deliver(engage=True)
        subprocess.run(["sh", "-c", actuator.by_hand(engage=True)], check=True, timeout=20)
        assert listener.methods == [method, method]
        assert [(path, sent) for path, _, sent in listener.posts] == [("/kill?on=1", body)] * 2


def test_credentials_are_read_for_each_post_and_shown_by_their_place_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("first\n")
    monkeypatch.setenv("ENGINE_KEY", "fromenv")
    with listening() as listener:
        token = Credential(file=str(tmp_path / "token"), prefix="Bearer ")
        headers = {"Authorization": token, "X-Key": Credential(env="ENGINE_KEY"), "X-Scope-OrgID": "desk"}
        actuator = HttpActuator(listener.url, headers, 5)
        actuator.deliver(engage=True)
        (tmp_path / "token").write_text("rotated")
        actuator.deliver(engage=False)
    sent = [each[1] for each in listener.posts]
    assert [each["Authorization"] for each in sent] == ["Bearer first", "Bearer rotated"]
    assert [each["X-Key"] for each in sent] == ["fromenv", "fromenv"]
    assert [each["X-Scope-OrgID"] for each in sent] == ["desk", "desk"]
    by_hand = actuator.by_hand(engage=True)
    assert f'-H "Authorization: Bearer $(cat {tmp_path}/token)" -H "X-Key: $ENGINE_KEY"' in by_hand
    assert "first" not in by_hand + actuator.name
    assert "fromenv" not in by_hand


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"hidden\x01", "geheim\xfc".encode(), b"\xff\xfe"])
def test_a_credential_that_cannot_be_sent_is_named_by_its_place_and_nothing_is_posted(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "token").write_bytes(content)
    with listening() as listener:
        headers = {"Authorization": Credential(file=str(tmp_path / "token"))}
        with pytest.raises(Usage) as refused:
            HttpActuator(listener.url, headers, 5).deliver(engage=True)
    assert str(tmp_path / "token") in refused.value.cause
    assert not any(word in str(refused.value) for word in ("two", "hidden", "geheim"))
    assert listener.posts == []


def test_a_credential_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="cannot be read: No such file"):
        Credential(file=str(tmp_path / "none")).read()
    with pytest.raises(Usage, match="The variable NO_SUCH_VARIABLE is empty or not set"):
        Credential(env="NO_SUCH_VARIABLE").read()


@pytest.mark.parametrize("status", [200, 401])
def test_no_output_and_no_record_holds_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("ENGINE_KEY", "hunter2")
    repo = tmp_path / "repo"
    (repo / ".git").mkdir(parents=True)
    (repo / "token").write_text("hunter2")
    with listening(status) as listener:
        configure(
            repo,
            f'[[kill_switch.actuator]]\ntype = "http"\nurl = "{listener.url}"\nbearer_token_file = "token"\n'
            'headers = {X-Key = {env = "ENGINE_KEY"}}\n',
        )
        place = ["--repo", str(repo)]
        assert run_kill([*place, "kill", "on", "--no-wait", "--json"]) == 0
        assert listener.posts[0][1]["Authorization"] == "Bearer hunter2"
    for words in (["config", "show"], ["config", "show", "--json"], ["info"], ["doctor"]):
        verb([*place, *words])
    said = capfd.readouterr()
    recorded = [path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert recorded
    assert not [text for text in (said.out, said.err, *recorded) if "hunter2" in text]
    assert "ENGINE_KEY" in said.out


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_is_a_secret_by_its_name_is_not_shown_with_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], form: list[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    repo = tmp_path / "repo"
    (repo / ".git").mkdir(parents=True)
    configure(
        repo,
        '[prometheus]\nurl = "http://prometheus:9090"\nheaders = {X-Api-Key = "hunter2", X-Scope-OrgID = "desk"}\n'
        '[notify]\nurl = "https://hooks.example.com/hunter2"\n',
    )
    assert verb(["--repo", str(repo), "config", "show", *form]) == 0
    shown = capfd.readouterr().out
    assert "hunter2" not in shown
    assert "desk" in shown
    assert "http://prometheus:9090" in shown


@pytest.mark.parametrize("status", [302, 401, 500])
def test_any_other_status_is_a_failure_and_no_redirect_is_followed(status: int) -> None:
    with listening(status) as listener:
        with pytest.raises(Unavailable, match=f"answered with status {status}"):
            HttpActuator(listener.url, {}, 5).deliver(engage=True)
        assert len(listener.posts) == 1


def test_a_slow_drip_costs_the_deadline_and_no_more() -> None:
    with listening(drip_s=0.05) as listener:
        begun = time.monotonic()
        with pytest.raises(TimedOut, match=r"no answer within 0\.4 s"):
            HttpActuator(listener.url, {}, 0.4).deliver(engage=True)
        assert time.monotonic() - begun < 2


def test_nobody_listening_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with pytest.raises(Unavailable, match="could not be reached"):
            HttpActuator(url, {}, 2).deliver(engage=True)


@pytest.mark.parametrize("url", ["ftp://host/", "not a url", "http://", "http://host:port/"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(Usage, match="is not an http or https URL"):
        HttpActuator(url, {}, 2).deliver(engage=True)
