"""The console on a fake session as a program of its own, for tests on a pseudo-terminal: ``LOG`` notes every call.

Run as ``python fake_console.py LOG [hostile]``. SIGUSR1 starts a write that takes a second.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fakes import (  # noqa: E402 the two folders above are found only now
    FakeSession,
    board,
    change_ladder,
    change_request,
    change_subject,
    kill_view,
    model_view,
    p99,
    rollback_plan,
    soak_report,
    stage_view,
    tape,
)
from textual import events  # noqa: E402
from textual.message import Message  # noqa: E402
from textual.screen import Screen  # noqa: E402

import console.app  # noqa: E402
from console.app import ConsoleApp  # noqa: E402
from ml.board import HistoryRow, Problem, Rung  # noqa: E402
from ml.clock import SystemClock  # noqa: E402
from ml.promotion.rungs import Checks, ForgeAnswer, ForgeState, Ladder, RemoteFacts  # noqa: E402
from ml.session.details import ChangeDetails  # noqa: E402
from ml.stage import Stage  # noqa: E402

EVIL = (
    "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[31m\x1bP$q\x1b\\\x9b5n\x9d0;t\x9c\x05\x7f\x08\x0b\x0c\r\x00"
    "\u202e\u2066\u200b\ufeff[@click=app.quit]q[/][/x][red]\ud800"
)
_WRITE_S = 1.0


class Written(Message):
    """The write is over."""


class LoggingSession(FakeSession):
    """Notes every call in a file as soon as it is made."""

    def __init__(self, log: Path, *, hostile: bool) -> None:
        super().__init__(hostile_board() if hostile else None)
        self._log = log
        if hostile:
            self.shown_history = (HistoryRow(None, *[EVIL] * 6),)
            self.shown_log = (EVIL,) * 3
            self.shown_soak = soak_report(
                artifact_id=EVIL, why=EVIL, queries=(EVIL,), tapes=(replace(tape(), objective=EVIL),)
            )
            self.rollback_to = rollback_plan(why=EVIL, reason=EVIL, from_artifact=EVIL, to_artifact=EVIL)
            self.shown_changes = (hostile_change(),)
            self.kill_result = kill_view(Rung.UNCONFIRMED, by=EVIL, reason=EVIL, manual=(EVIL,), problem=EVIL)

    def note(self, what: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{what}\n")

    def _enter(self, method: str, *words: str) -> None:
        self.note(method)
        super()._enter(method, *words)

    def details_of(self, name: str) -> ChangeDetails:
        found = super().details_of(name)
        if not name.endswith(EVIL):
            return found
        evidence = tuple(
            replace(each, path=EVIL, checks=tuple(replace(c, name=EVIL, why=EVIL) for c in each.checks))
            for each in found.evidence
        )
        approvals = tuple(replace(each, by=EVIL, why_not=EVIL) for each in found.approvals)
        shown = {"message": EVIL, "difference": f"+{EVIL}", "files": (EVIL,), "problems": (EVIL,)}
        return replace(found, evidence=evidence, approvals=approvals, **shown)

    def slow_write(self) -> Written:
        self.note("write begun")
        time.sleep(_WRITE_S)
        self.note("write done")
        return Written()


def hostile_change() -> Ladder:
    """A change in which everything that comes from a branch, a commit and a forge is hostile."""
    subject = change_subject(branch=f"promote/m/{EVIL}", model=EVIL, artifact_id=EVIL, by=EVIL)
    request = change_request(subject, address=EVIL, checks=Checks.FAILED, failed=(EVIL,), reviewers=(EVIL,))
    remote = RemoteFacts(name=EVIL, tip=subject.commit)
    return change_ladder(subject, remote=remote, forge=ForgeAnswer(state=ForgeState.ANSWERED, requests=(request,)))


def hostile_board() -> object:
    model = model_view(
        EVIL,
        shadow=stage_view(Stage.SHADOW, EVIL, by=EVIL, notes=EVIL, deployment=EVIL),
        staging=stage_view(Stage.STAGING, EVIL, by=EVIL, notes=EVIL, deployment=EVIL),
        readings=(p99(name=EVIL, why=EVIL, query=EVIL), p99(value=None, name=EVIL, why=EVIL)),
        problems=(Problem(EVIL, EVIL, EVIL),),
        step=EVIL,
        condemned=(EVIL,),
    )
    made = board(model, model_view("b"), environment=EVIL, production=False, operator=EVIL)
    branches = tuple(replace(each, name=EVIL, by=EVIL, artifact_id=EVIL) for each in made.registry.branches)
    return replace(made, registry=replace(made.registry, ref=EVIL, commit=EVIL, problem=EVIL, branches=branches))


class LoggingConsole(ConsoleApp):
    """Notes each size once the first screen is laid out for it, and each paste that arrives."""

    # Textual looks for sheets beside the file of the class that names them.
    CSS_PATH: ClassVar[list[Path]] = [Path(console.app.__file__).parent / path for path in ConsoleApp.CSS_PATH]
    session: LoggingSession

    def on_ready(self) -> None:
        self.screen.screen_layout_refresh_signal.subscribe(self, self._laid_out)

    def _laid_out(self, screen: Screen[object]) -> None:
        self.session.note(f"laid out {screen.size.width}x{screen.size.height}")

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Paste):
            self.session.note("pasted")
        await super().on_event(event)


def main() -> int:
    session = LoggingSession(Path(sys.argv[1]), hostile="hostile" in sys.argv)
    app = LoggingConsole(session, SystemClock(), poll_seconds=1.0)

    def write(*_: object) -> None:
        app.jobs.start(app, session.slow_write, done=lambda it: it, failed=lambda _: Written(), name="w", writes=True)

    signal.signal(signal.SIGUSR1, write)
    app.run()
    if app.bug is not None:
        session.note("".join(traceback.format_exception(app.bug)))
    session.note(f"ended {app.return_code} in {os.times().user:.2f}")
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
