"""Count the code that six journeys run through: files and functions entered, processes started, on the demo's parts.

Everything is imported before anything is counted, and each session has looked at its board once, so that a file counts
when the journey itself runs one of its functions. A poll judges soaks in the background once a minute; a journey begins
when the soaks of the poll before it are judged, so that it counts its own steps, however fast the machine is. The reach
of each journey is a number of files that a person can still follow.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import pkgutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from unittest import mock

from textual.pilot import Pilot

import console
import ml
import widgets
from benchmarks.measure import Result
from console.app import ConsoleApp
from console.config import load
from console.demo.stack import Stack, running_stack
from console.invocation import open_session
from ml.clock import SystemClock
from ml.session import Session
from ml.stage import Stage

_MODEL = "regime_classifier"
_ACK = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
_ROOT = Path(__file__).resolve().parents[1]
_OURS = tuple(f"{_ROOT / name}{os.sep}" for name in ("console", "ml", "widgets"))
_POLL_S = 1.0
_DRAWN_S = 2.0
_OPEN_S = 60.0


@dataclass(slots=True, eq=False)
class Count:
    """Files and functions that were entered, and how many processes were started, by one journey.

    ``thread`` counts the functions of one thread alone, and then processes are not counted.
    """

    thread: int | None = None
    files: set[str] = field(default_factory=set)
    functions: set[CodeType] = field(default_factory=set)
    processes: int = 0

    def entered(self, code: CodeType) -> None:
        """Note a function of ours. A module's or a class's own body runs at import and is none."""
        if code.co_flags & inspect.CO_OPTIMIZED and code.co_filename.startswith(_OURS):
            self.functions.add(code)
            self.files.add(code.co_filename)

    def words(self, what: str) -> str:
        """The journey with its functions and processes."""
        processes = f", {self.processes} processes" if self.thread is None else ""
        return f"{what} ({len(self.functions)} functions{processes}):"


_counts: list[Count] = []


def _on_call(frame: FrameType, event: str, argument: object) -> None:
    del argument
    if event == "call":
        here = threading.get_ident()
        for count in _counts:
            if count.thread in (None, here):
                count.entered(frame.f_code)


def _on_audit(event: str, arguments: tuple[object, ...]) -> None:
    """Count processes. ``Popen`` may use ``posix_spawn`` itself, which is the same process."""
    del arguments
    if not _counts:
        return
    spawned = event == "os.posix_spawn" and not sys._getframe(1).f_code.co_filename.endswith("subprocess.py")
    if spawned or event in ("subprocess.Popen", "os.fork", "os.forkpty"):
        for count in _counts:
            count.processes += 1


@contextmanager
def counted(count: Count | None = None) -> Iterator[Count]:
    """Count what every thread that started within `_profiled` enters within the block."""
    found = count or Count()
    _counts.append(found)
    try:
        yield found
    finally:
        _counts.remove(found)


@contextmanager
def _profiled() -> Iterator[None]:
    """Have the counts fed, also by the threads that start in the block, such as a pool's."""
    before = sys.getprofile()
    sys.addaudithook(_on_audit)  # it stays, and does nothing while nobody counts
    sys.setprofile(_on_call)
    threading.setprofile(_on_call)
    try:
        yield
    finally:
        sys.setprofile(before)
        threading.setprofile(before)


def run() -> Iterator[Result]:
    """Walk the six journeys on the demo's parts, with Prometheus, engines, remote and hook."""
    _import_everything()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), lambda what, took: None) as stack,
        mock.patch.dict(os.environ, stack.env, clear=True),
        _profiled(),
    ):
        yield from _journeys(stack)


def _import_everything() -> None:
    for package in (console, ml, widgets):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def _session(stack: Stack) -> Session:
    return open_session(load(repo=str(stack.layout.clone), environ=dict(os.environ)))


def _journeys(stack: Stack) -> Iterator[Result]:
    session = _session(stack)
    first, poll = _count(lambda: _poll(session)), _count(session.boards.poll)
    yield _files(f"one board poll, after a first one of {len(first.files)} files", poll, 30)
    screen = asyncio.run(_to_screen(_session(stack)))
    screen.files -= poll.files
    yield _files("board to screen, beyond the poll", screen, 20)

    session = _session(stack)
    _poll(session)
    session.rollbacks.keep_armed()
    rollback = _count(lambda: _rollback(session))
    yield _files("rollback in own words", rollback, 35)
    yield Result("rollback in own words", "its reach", rollback.processes, 16, 1.0, "processes")

    checklist, promotion = _promotion(_session(stack))
    yield _files("checklist to active", checklist, 45)
    yield _files("whole promotion, landed", promotion, 60)
    session = _session(stack)
    _poll(session)
    yield _files("kill, as by F9 on an open board", _count(session.kill.engage), 10)


def _files(what: str, count: Count, reach: int) -> Result:
    return Result(count.words(what), "its reach", len(count.files), reach, 1.0, "files")


def _poll(session: Session) -> None:
    """Poll once, and wait until the soaks are judged."""
    session.boards.poll()
    for thread in threading.enumerate():
        if thread.name == "soak":
            thread.join(_OPEN_S)


def _count(journey: Callable[[], object]) -> Count:
    with counted() as found:
        journey()
    return found


async def _to_screen(session: Session) -> Count:
    """The event loop's thread while polls come in and are drawn; the poll itself runs in a thread of its own."""
    app = ConsoleApp(session, SystemClock(), environment="bench", poll_seconds=_POLL_S)
    async with app.run_test(size=(120, 40)) as pilot:
        await _until(pilot, lambda: app.board is not None)
        with counted(Count(thread=threading.get_ident())) as found:
            first = app.board
            await _until(pilot, lambda: app.board is not first)
            await pilot.pause(_DRAWN_S)
    return found


async def _until(pilot: Pilot[int], arrived: Callable[[], bool]) -> None:
    ends = asyncio.get_running_loop().time() + _OPEN_S
    while not arrived():
        assert asyncio.get_running_loop().time() < ends, "no board came"
        await pilot.pause(0.1)


def _rollback(session: Session) -> None:
    prepared = session.rollbacks.plan(_MODEL)
    assert prepared.plan is not None, prepared.why
    done = session.changes.submit(session.rollbacks.reworded(prepared, "Latency doubled after the last promotion"))
    assert done.pushed, done.why


def _promotion(session: Session) -> tuple[Count, Count]:
    _poll(session)
    checklist = Count()
    with counted() as whole:
        with counted(checklist):
            target = session.changes.target(_MODEL, Stage.ACTIVE)
            judged = session.checklists.judge(target, finding="nothing odd in the charts")
        plan = session.changes.plan(judged, "Soaked for a day without a breach", ack=_ACK)
        done = session.changes.submit(plan)
        assert done.pushed, done.why
        session.changes.land(plan.branch)
    return checklist, whole
