"""The watch over a model that has just become active: an hour in which somebody looks (runbook 19, §3.7). Pure.

A watch begins when the promoted artifact is seen serving. An objective that fails for as long as its alert rule's own
``for`` says is a breach. Time in which nobody looked is not time watched, and the summary says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ml.verdict import Reading, Verdict

_LONGEST_LOOK = timedelta(seconds=60)
"""A look speaks for at most this long; whatever lies further between two looks was not watched."""
_USUAL_FOR_S = 300.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as one poll shows it: what is active since when, whether it is serving, and its active readings.

    ``artifact_id`` is empty where nothing is active.
    """

    model: str
    artifact_id: str
    promoted_at: datetime
    serving: bool
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """An objective that failed: since when, until when, what was read, and when it had lasted long enough to count.

    ``worst`` and ``limit`` are in ``unit``. ``breached_at`` is ``None`` as long as it has not lasted.
    """

    objective: str
    since: datetime
    why: str
    worst: float | None
    limit: float | None
    unit: str
    breached_at: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One watch. ``watched_s`` is how long somebody really looked; ``ending`` says how it ended, empty until then."""

    model: str
    artifact_id: str
    promoted_at: datetime
    began_at: datetime
    ends_at: datetime
    keeper: str
    keepers: tuple[str, ...] = ()
    looked_at: datetime | None = None
    watched_s: float = 0.0
    troubles: tuple[Trouble, ...] = ()
    ended_at: datetime | None = None
    ending: str = ""

    @property
    def breaches(self) -> tuple[Trouble, ...]:
        """Every trouble that lasted long enough, whether over or not."""
        return tuple(trouble for trouble in self.troubles if trouble.breached_at)

    @property
    def breaching(self) -> tuple[Trouble, ...]:
        """The breaches that are not over: reason for a rollback."""
        return tuple(trouble for trouble in self.breaches if trouble.until is None)


def begin(subject: Subject, keeper: str, now: datetime, minutes: float) -> Watch:
    """A new watch over what a subject serves."""
    return Watch(
        model=subject.model,
        artifact_id=subject.artifact_id,
        promoted_at=subject.promoted_at,
        began_at=now,
        ends_at=now + timedelta(minutes=minutes),
        keeper=keeper,
        keepers=(keeper,),
        looked_at=now,
    )


def claim(watch: Watch, keeper: str) -> Watch:
    """The same watch, kept by somebody else from now on."""
    others = tuple(name for name in watch.keepers if name != keeper)
    return replace(watch, keeper=keeper, keepers=(*others, keeper))


def look(watch: Watch, readings: Iterable[Reading], now: datetime, durations: Mapping[str, float]) -> Watch:
    """The watch after one more look.

    Args:
        durations: seconds that each objective must fail until it is a breach, by its name (`ml.emergency.durations`).
    """
    since_last = now - (watch.looked_at or now)
    troubles = watch.troubles
    for reading in readings:
        troubles = _judged(troubles, reading, now, durations.get(reading.name, _USUAL_FOR_S))
    seen = max(timedelta(), min(since_last, _LONGEST_LOOK)).total_seconds()
    return replace(watch, looked_at=now, watched_s=watch.watched_s + seen, troubles=troubles)


def end(watch: Watch, now: datetime, ending: str) -> Watch:
    """The watch, over."""
    return replace(watch, ended_at=now, ending=ending)


def _judged(troubles: tuple[Trouble, ...], reading: Reading, now: datetime, for_s: float) -> tuple[Trouble, ...]:
    """The troubles after a reading. Only a PASS ends one: what cannot be read has not recovered.

    One that passed before it was a breach is forgotten, as an alert rule forgets it.
    """
    standing = next((each for each in troubles if each.objective == reading.name and each.until is None), None)
    others = tuple(each for each in troubles if each is not standing)
    if reading.verdict is Verdict.PASS:
        return (*others, replace(standing, until=now)) if standing and standing.breached_at else others
    if reading.verdict is not Verdict.FAIL:
        return troubles
    if standing is None:
        standing = Trouble(reading.name, now, reading.why, reading.value, reading.limit, reading.unit)
    worst = max((value for value in (standing.worst, reading.value) if value is not None), default=None)
    lasted = (now - standing.since).total_seconds() >= for_s
    breached_at = standing.breached_at or (now if lasted else None)
    return (*others, replace(standing, why=reading.why, worst=worst, breached_at=breached_at))
