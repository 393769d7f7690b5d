from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path

import pytest
from support.listeners import listening

from ml.adapters.processes import run
from ml.emergency.actuators import CommandActuator, HttpActuator
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
        actuator = HttpActuator(f"{listener.url}/kill?env=prod", {"X-Token": "secret"}, 5)
        actuator.deliver(engage=True)
        actuator.deliver(engage=False)
        (path, headers, body), (_, _, second) = listener.posts
        assert path == "/kill?env=prod"
        assert headers["X-Token"] == "secret"
        assert headers["Content-Type"] == "application/json"
        assert [json.loads(each) for each in (body, second)] == [{"ML_KILL_SWITCH": "1"}, {"ML_KILL_SWITCH": "0"}]
        assert "secret" not in actuator.by_hand(engage=True)
        assert "env=prod" not in actuator.name


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
