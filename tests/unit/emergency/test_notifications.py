from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support.listeners import listening

from ml.emergency.notify import Notifier
from ml.errors import Unavailable


def test_a_notification_is_json_with_all_its_fields(tmp_path: Path) -> None:
    with listening() as listener:
        notifier = Notifier(f"{listener.url}/hook", "json", tmp_path / "spool")
        notifier.tell("kill", "ann@example.com engaged the kill switch.", model="regime\x1b[2J")
        assert notifier.flush(5) == 0
        ((path, _, body),) = listener.posts
        assert path == "/hook"
        assert json.loads(body) == {
            "schema_version": "v1",
            "event": "kill",
            "text": "ann@example.com engaged the kill switch.",
            "model": "regime␛[2J",
        }


def test_slack_gets_one_text_without_live_links_or_mentions(tmp_path: Path) -> None:
    with listening() as listener:
        notifier = Notifier(listener.url, "slack", tmp_path / "spool")
        notifier.tell("rollback", "because <!channel> & more", to="regime_v2026_02_15_001")
        notifier.flush(5)
        text = "mlconsole rollback: because &lt;!channel&gt; &amp; more\n• to: regime_v2026_02_15_001"
        assert json.loads(listener.posts[0][2]) == {"text": text}


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("@all look", "\uff20all look"),
        ("@channel,@here", "\uff20channel,\uff20here"),
        ("(@ann) .@bob -@eve _@joe @@all", "(\uff20ann) .\uff20bob -\uff20eve _\uff20joe \uff20\uff20all"),
        ("x..@all", "x..\uff20all"),
        ("by ann@example.com at 5 @ night", "by ann@example.com at 5 @ night"),
        ("see ~town-square, about ~5 s", "see \uff5etown-square, about ~5 s"),
        (
            "[click](http://evil.example) ![x](http://evil.example)",
            "[click] (http://evil.example) ![x] (http://evil.example)",
        ),
    ],
)
def test_mattermost_gets_no_mention_and_no_link_either(tmp_path: Path, told: str, shown: str) -> None:
    with listening() as listener:
        notifier = Notifier(listener.url, "slack", tmp_path / "spool")
        notifier.tell("kill", told, reason=told)
        notifier.flush(5)
        assert json.loads(listener.posts[0][2])["text"] == f"mlconsole kill: {shown}\n• reason: {shown}"


def test_a_refused_notification_is_tried_again_and_the_order_kept(tmp_path: Path) -> None:
    with listening(503) as listener:
        notifier = Notifier(listener.url, "json", tmp_path / "spool", rest_s=0.05)
        notifier.tell("kill", "one")
        listener.wait(2)
        notifier.tell("release", "two")
        listener.status = 200
        assert notifier.flush(10) == 0
        events = [json.loads(body)["event"] for _, _, body in listener.posts]
        assert events[-2:] == ["kill", "release"]
        assert set(events[:-2]) == {"kill"}


def test_what_one_process_leaves_the_next_one_posts(tmp_path: Path) -> None:
    def unreachable(url: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> None:
        raise Unavailable("No route.", "Wait.")

    first = Notifier("http://hook", "json", tmp_path / "spool", send=unreachable, rest_s=60)
    first.tell("kill", "one")
    assert first.flush(0.2) == 1
    with listening() as listener:
        second = Notifier(listener.url, "json", tmp_path / "spool")
        second.start()
        listener.wait(1)
        assert second.flush(5) == 0


def test_telling_never_waits_for_a_webhook_that_hangs(tmp_path: Path) -> None:
    hanging = threading.Event()
    notifier = Notifier("http://hook", "json", tmp_path / "spool", send=_hang(hanging))
    begun = time.monotonic()
    for _ in range(20):
        notifier.tell("kill", "again")
    assert time.monotonic() - begun < 1
    hanging.set()
    assert notifier.flush(10) == 0


def _hang(until: threading.Event) -> Callable[[str, bytes, Mapping[str, str], float], None]:
    def send(url: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> None:
        until.wait(30)

    return send


def test_two_consoles_do_not_post_the_same_twice(tmp_path: Path) -> None:
    with listening() as listener:
        consoles = [Notifier(listener.url, "json", tmp_path / "spool", rest_s=0.05) for _ in range(2)]
        for number in range(10):
            consoles[number % 2].tell("promote", f"number {number}")
        for console in consoles:
            assert console.flush(10) == 0
        texts = [json.loads(body)["text"] for _, _, body in listener.posts]
        assert sorted(texts) == sorted(f"number {number}" for number in range(10))


def test_yesterdays_news_is_dropped(tmp_path: Path) -> None:
    sent: list[bytes] = []
    notifier = Notifier("http://hook", "json", tmp_path, send=lambda _url, body, _headers, _deadline: sent.append(body))
    old = tmp_path / "00000000000000000001-1.json"
    old.write_text("{}")
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    notifier.start()
    assert notifier.flush(5) == 0
    assert sent == []


@pytest.mark.parametrize("url", ["", "http://hook"])
def test_no_webhook_or_no_room_is_no_error(tmp_path: Path, url: str) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    notifier = Notifier(url, "json", tmp_path / "spool", send=_hang(threading.Event()))
    notifier.tell("kill", "one")
    assert notifier.flush(0) == 0
