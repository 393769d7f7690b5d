"""Measure an idle console: bytes on the line, CPU, memory, and the growth of a week."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.interface import Session, session
from benchmarks.measure import Result
from console.demo.layout import Layout
from console.demo.repository import make_repositories

_REST_S = 30.0
_SETTLE_S = 8.0
HOUR = 720
"""Polls in an hour, at one every 5 s."""
_HOURS = 3
_WEEK_S = 240.0
_NOTHING = json.dumps({"status": "success", "data": {"resultType": "vector", "result": [], "groups": [], "alerts": []}})


def run() -> tuple[Result, ...]:
    """Rest first, then the polls of some hours as fast as they go."""
    return (*_rest(), *_week(_HOURS))


def _rest() -> tuple[Result, ...]:
    """An empty app, the console with nothing new at any poll, and with every value new every 5 s."""
    sent, busy, held = {}, {}, {}
    for scene in ("empty", "still", "live"):
        with session(scene) as opened:
            opened.rest(_SETTLE_S)
            sent[scene], busy[scene] = opened.rest(_REST_S)
            held[scene] = opened.memory()
    empty = f"an empty Textual app sends {sent['empty']:.0f} B/s, takes {busy['empty']:.1f} %"
    named = (("still", "idle"), ("live", "live values every 5 s"))
    return tuple(
        result
        for scene, what in named
        for result in (
            Result(f"{what}, to the terminal", f"500 B/s ({empty})", sent[scene], 500.0, 1.0, "B/s"),
            Result(f"{what}, processor", f"2 % ({empty})", busy[scene], 2.0, 1.0, "%"),
            Result(f"{what}, memory", "an empty Textual app", held[scene], held["empty"], 3.0, "MiB"),
        )
    )


def _week(hours: int) -> tuple[Result, ...]:
    results = []
    for what, (first, *_, last) in weeks_hours(hours).items():
        label, against = f"{what} after {hours} hours of polling", f"after hour 1 ({HOUR} polls)"
        results += [
            Result(f"{label}, memory", against, last[0], first[0], 1.05, "MiB"),
            Result(f"{label}, file handles", against, last[1], first[1], 1.0, "open"),
        ]
    return tuple(results)


def weeks_hours(hours: int, polls: int = HOUR) -> dict[str, list[tuple[float, int]]]:
    """Resident MiB and open handles at the end of each hour, sped up: an hour is so many ``polls`` without rests.

    The session polls a real registry, its remote and a metrics server that knows no series; the interface draws a board
    on which every value is new. Both run at the same time, each in a process of its own.
    """
    with tempfile.TemporaryDirectory() as folder, _metrics() as url:
        layout = Layout(Path(folder))
        layout.make()
        make_repositories(layout, datetime.now(UTC), url)
        scenes = {"session": ("polls", str(layout.clone)), "interface": ("painted",)}
        return _side_by_side(scenes, layout, hours, polls)


def _side_by_side(
    scenes: dict[str, tuple[str, ...]], layout: Layout, hours: int, polls: int
) -> dict[str, list[tuple[float, int]]]:
    environ = os.environ | {"HOME": str(layout.root), "XDG_STATE_HOME": str(layout.state)}
    folders = {what: layout.root / f"hours of the {what}" for what in scenes}
    with ExitStack() as opened:
        sessions: dict[str, tuple[Session, ExitStack]] = {}
        for what, scene in scenes.items():
            argv = ("benchmarks.scenes", *scene, str(polls), str(folders[what]))
            session_, closing = Session(*argv, env=environ, silence_s=0.0), opened.enter_context(ExitStack())
            closing.callback(session_.close)
            sessions[what] = (session_, closing)
        ends = time.monotonic() + _WEEK_S
        while sessions:
            assert time.monotonic() < ends, folders
            for what, (session_, closing) in tuple(sessions.items()):
                if len(_hours(folders[what])) >= hours:
                    closing.close()  # what has its hours takes no more time from the other
                    del sessions[what]
                else:
                    session_.rest(0.05)
        return {what: _hours(path)[:hours] for what, path in folders.items()}


def _hours(told: Path) -> list[tuple[float, int]]:
    lines = told.read_text().splitlines() if told.exists() else []
    return [(float(memory), int(handles)) for memory, handles in map(str.split, lines)]


@contextmanager
def _metrics() -> Iterator[str]:
    """A server that knows no series and answers everything at once."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece, which no delayed acknowledgement holds up

        def do_GET(self) -> None:
            """Nothing, well formed."""
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(_NOTHING)))
            self.end_headers()
            self.wfile.write(_NOTHING.encode())

        def do_POST(self) -> None:
            """A question in a form; the same answer."""
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
