"""The hour after a model became active: who keeps watch, and what breaches for as long as its alert rule says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ml.board import ModelView, WatchView
from ml.emergency.durations import durations
from ml.emergency.keeping import Turn, WatchEvent, Watchkeeper
from ml.emergency.watch import Subject, Watch
from ml.errors import ConsoleError
from ml.operations.context import Context
from ml.operations.deployment import SERVING
from ml.policy import Policy
from ml.slo.readings import board_readings
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Reading

_NEW = timedelta(days=1)
"""A model that became active longer ago is not watched any more."""


class Watches:
    """Moves all watches on with every poll; one that cannot be kept is told in words and hides nothing else."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._keeper = Watchkeeper(context.place.state / "watches", context.audit)

    def poll(self, policy: Policy, models: Sequence[ModelView], now: datetime) -> tuple[WatchView, ...]:
        """Begin, move on and end watches; the running ones as the board shows them."""
        if self._context.place.read_only:
            return self._running()
        subjects = tuple(self._subjects(policy, models, now))
        if subjects:
            events = self._keeper.poll(
                subjects,
                self._context.person,
                now,
                minutes=policy.watch.minutes,
                durations=self._durations(),
            )
            for event in events:
                self._announce(event)
        return self._running()

    def known(self) -> tuple[Watch, ...]:
        """Every watch on disk."""
        return self._keeper.watches()

    def claim(self, model: str) -> str:
        """Take over a running watch. Raises Refused where none is running."""
        return self._keeper.claim(model, self._context.person).sentence

    def _running(self) -> tuple[WatchView, ...]:
        return tuple(_view(watch) for watch in self._keeper.watches() if watch.ended_at is None)

    def _subjects(self, policy: Policy, models: Sequence[ModelView], now: datetime) -> Iterator[Subject]:
        for model in models:
            active = model.active
            if active.artifact_id is None or active.since is None or now - active.since > _NEW:
                continue
            readings = model.readings if model.shadow.artifact_id is None else self._active_readings(policy, model, now)
            serving = active.deployment == SERVING
            yield Subject(model.name, active.artifact_id, active.since, serving, readings)

    def _active_readings(self, policy: Policy, model: ModelView, now: datetime) -> tuple[Reading, ...]:
        """The active stage's readings of a model whose board shows the soak of its next artifact."""
        if self._context.metrics is None:
            return ()
        try:
            stages = {model.name: Stage.ACTIVE}
            return board_readings(self._context.metrics, policy, (model.name,), now, stages=stages)[model.name]
        except ConsoleError:
            return ()

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
