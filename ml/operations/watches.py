"""The hour after a model became active: who keeps watch, and what breaches for as long as its alert rule says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from ml.board import ModelView, Problem, WatchView
from ml.emergency.durations import durations
from ml.emergency.keeping import Turn, WatchEvent, Watchkeeper
from ml.emergency.watch import Subject, Watch
from ml.errors import ConsoleError
from ml.operations.context import Context
from ml.operations.deployment import SERVING
from ml.policy import Policy
from ml.text import visible

_NEW = timedelta(days=1)
"""A model that became active longer ago is not watched any more."""


class Watches:
    """Moves all watches on with every poll; one that cannot be kept is told in words and hides nothing else."""

    def __init__(self, context: Context) -> None:
        self.problems: tuple[Problem, ...] = ()
        """Why the last poll could not keep its watches."""
        self._context = context
        self._keeper = Watchkeeper(context.place.state / "watches", context.audit)

    def poll(self, policy: Policy, models: Sequence[ModelView], now: datetime) -> tuple[WatchView, ...]:
        """Begin, move on and end watches; the running ones as the board shows them. Never raises: see `problems`."""
        self.problems = ()
        try:
            running = {watch.model: watch for watch in self._running()}
            if not self._context.place.read_only:
                subjects = tuple(self._subjects(models, running, now))
                if subjects or running:
                    self._move_on(subjects, policy, now)
            return tuple(_view(watch) for watch in self._running())
        except ConsoleError as error:
            self.problems = (Problem("watch", error.cause, error.remedy),)
            return ()

    def known(self) -> tuple[Watch, ...]:
        """Every watch on disk."""
        return self._keeper.watches()

    def began(self) -> dict[tuple[str, str], datetime]:
        """When each watched artifact was first seen serving, by model and artifact; empty where that is unreadable."""
        try:
            watches = sorted(self._keeper.watches(), key=lambda watch: watch.began_at, reverse=True)
        except ConsoleError:
            return {}  # `poll` tells why
        return {(watch.model, watch.artifact_id): watch.began_at for watch in watches}

    def claim(self, model: str) -> str:
        """Take over a running watch. Raises Refused where none is running."""
        return self._keeper.claim(model, self._context.person.full()).sentence

    def _running(self) -> tuple[Watch, ...]:
        return tuple(watch for watch in self._keeper.watches() if watch.ended_at is None)

    def _move_on(self, subjects: Sequence[Subject], policy: Policy, now: datetime) -> None:
        minutes, person = policy.watch.minutes, self._context.person.full()
        for event in self._keeper.poll(subjects, person, now, minutes=minutes, durations=self._durations()):
            self._announce(event)

    def _subjects(self, models: Sequence[ModelView], running: Mapping[str, Watch], now: datetime) -> Iterator[Subject]:
        """What is new enough to be watched, and whatever is: also if it is too old by now, or not active any more."""
        for model in models:
            watch, active = running.get(model.name), model.active
            since = active.since or (watch.promoted_at if watch is not None else None)
            if watch is None and (active.artifact_id is None or since is None or now - since > _NEW):
                continue
            serving = active.deployment == SERVING
            yield Subject(model.name, active.artifact_id or "", since or now, serving, model.active_readings)

    def _durations(self) -> dict[str, float]:
        try:
            rules = self._context.metrics.rules() if self._context.metrics else None
        except ConsoleError:
            rules = None
        return dict(durations(rules))

    def _announce(self, event: WatchEvent) -> None:
        if event.turn in (Turn.BREACH, Turn.RECOVERED, Turn.ENDED):
            self._context.notifier.tell(event.turn.value, event.sentence, model=event.watch.model)


def _view(watch: Watch) -> WatchView:
    return WatchView(
        model=watch.model,
        artifact_id=watch.artifact_id,
        keeper=visible(watch.keeper),
        began_at=watch.began_at,
        ends_at=watch.ends_at,
        breaching=tuple(f"{trouble.objective}: {visible(trouble.why)}" for trouble in watch.breaching),
    )
