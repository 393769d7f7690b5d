"""From what was last seen to what is shown: header, problems, and the models of the first frame. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.board import ModelView, Problem, Source, SourceState, StageView
from ml.stage import Stage
from widgets.status_line import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.board import Board, Glance, KillView, WatchView
    from ml.errors import ConsoleError
    from ml.promotion.values import Submission


def glanced(glance: Glance) -> tuple[ModelView, ...]:
    """The models of a glance: names of artifacts, and nothing judged."""
    return tuple(
        ModelView(
            name,
            staging=StageView(Stage.STAGING, staging),
            shadow=StageView(Stage.SHADOW, shadow),
            active=StageView(Stage.ACTIVE, active),
        )
        for name, (staging, shadow, active) in glance.models
    )


def status_before(environment: str, *, production: bool, read_only: bool, glance: Glance | None, model: str) -> Status:
    """The header before the first board."""
    return Status(
        environment=environment,
        production=production,
        read_only=read_only,
        model=model,
        ref=glance.ref if glance else "",
        commit=glance.commit if glance else "",
        fetched=Source("remote"),
        prometheus=Source("prometheus"),
    )


def status_of(board: Board, model: str, kill: KillView | None, remote: Source | None) -> Status:
    """The header of a board; the remote's own answer counts when it is newer than the board's."""
    return Status(
        environment=board.environment,
        production=board.production,
        read_only=board.read_only,
        model=model,
        ref=board.registry.ref,
        commit=board.registry.commit,
        fetched=remote or board.registry.fetched,
        prometheus=board.prometheus,
        kill=kill or board.kill,
    )


def problems_of(board: Board | None, glance: Glance | None, failures: dict[str, ConsoleError]) -> tuple[Problem, ...]:
    """Everything that needs somebody, each thing once: looks that failed, the board, and each model's own."""
    failed = tuple(Problem(what, error.cause, error.remedy) for what, error in failures.items())
    if board is None:
        return failed + ((Problem("registry", glance.problem),) if glance is not None and glance.problem else ())
    told = {problem.what for problem in board.problems}
    failed = tuple(problem for problem in failed if problem.what not in told)
    own = tuple(problem for model in board.models for problem in model.problems)
    # The banner of every screen tells the kill switch's state already.
    board_own = tuple(problem for problem in board.problems if problem.where != "kill")
    known = set(board.problems)
    sick = () if any(problem.where == "prometheus" for problem in known) else _source(board.prometheus)
    return (*failed, *board_own, *sick, *(problem for problem in own if problem not in known))


def _source(source: Source) -> tuple[Problem, ...]:
    if source.state in (SourceState.OK, SourceState.UNKNOWN, SourceState.NONE, SourceState.UNASKED):
        return ()
    return (Problem(source.name, source.why or f"{source.name} does not answer.", severe=False),)


# Which breaches of a watch are new, so that the bell rings once for each and not with every poll. Pure.


class Breaches:
    """Remembers what was breaching at the last look; one that ended and came back is new again."""

    def __init__(self) -> None:
        self._known: frozenset[tuple[str, str, str]] = frozenset()

    def fresh(self, watches: Sequence[WatchView]) -> tuple[WatchView, ...]:
        """The watches with a breach that the last look did not have."""
        now = {key: watch for watch in watches for key in _keys(watch)}
        new = [now[key] for key in now if key not in self._known]
        self._known = frozenset(now)
        return tuple(dict.fromkeys(new))


def _keys(watch: WatchView) -> list[tuple[str, str, str]]:
    """One key per breach, by its objective: the measured value changes with every look."""
    return [(watch.model, watch.artifact_id, told.partition(":")[0]) for told in watch.breaching]


# What follows a written change: the same words on the receipt of the interface and of a verb.


def next_words(submission: Submission) -> str:
    """What to do next, without the command for it."""
    if submission.pushed:
        return "Have it reviewed. Where there is no forge, land it then"
    return "When the remote is back, push it"


def next_command(submission: Submission) -> str:
    """The command that goes on from this submission."""
    return f"mlconsole {'land' if submission.pushed else 'push'} {submission.branch}"
