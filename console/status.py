"""Pure functions from the last polls to the shown header, problems, and first frame's models."""

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
    """Return the models of a first, unjudged read: only names of artifacts."""
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
    """Return the header before the first board."""
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
    """Return the header of a board. The remote's own state is used when it is newer than the board's."""
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
    """Return the problems that need a person, each once: failed polls, the board's, and each model's."""
    failed = tuple(Problem(what, error.cause, error.remedy) for what, error in failures.items())
    if board is None:
        return failed + ((Problem("registry", glance.problem),) if glance is not None and glance.problem else ())
    known_causes = {problem.what for problem in board.problems}
    failed = tuple(problem for problem in failed if problem.what not in known_causes)
    own = tuple(problem for model in board.models for problem in model.problems)
    # Every screen's banner shows the kill switch's state already.
    board_own = tuple(problem for problem in board.problems if problem.where != "kill")
    known = set(board.problems)
    sick = () if any(problem.where == "prometheus" for problem in known) else _source(board.prometheus)
    return (*failed, *board_own, *sick, *(problem for problem in own if problem not in known))


def _source(source: Source) -> tuple[Problem, ...]:
    if source.state in (SourceState.OK, SourceState.UNKNOWN, SourceState.NONE, SourceState.UNASKED):
        return ()
    return (Problem(source.name, source.why or f"{source.name} does not answer.", severe=False),)


# New breaches of a watch: the bell rings once for each, not with every poll. Pure.


class Breaches:
    """Remembers the breaches of the last poll. A breach that ended and came back counts as new."""

    def __init__(self) -> None:
        self._known: frozenset[tuple[str, str, str]] = frozenset()

    def fresh(self, watches: Sequence[WatchView]) -> tuple[WatchView, ...]:
        """Return the watches with a breach that the last poll did not have."""
        now = {key: watch for watch in watches for key in _keys(watch)}
        new = [now[key] for key in now if key not in self._known]
        self._known = frozenset(now)
        return tuple(dict.fromkeys(new))


def _keys(watch: WatchView) -> list[tuple[str, str, str]]:
    """Return one key per breach, by objective: the measured value changes with every poll."""
    return [(watch.model, watch.artifact_id, breach.partition(":")[0]) for breach in watch.breaching]


# Next steps after a written change. The interface's receipt and the verbs use the same words.


def next_words(submission: Submission) -> str:
    """Return the next step in words, without its command."""
    if submission.pushed:
        return "Have it reviewed. Without a forge, land it then"
    return "When the remote is back, push it"


def next_command(submission: Submission) -> str:
    """Return the command that continues after this submission."""
    return f"mlconsole {'land' if submission.pushed else 'push'} {submission.branch}"
