"""The watch over a model in its first active hour, kept by a person (runbook 19, §3.7). Pure.

A watch begins when the promoted artifact is seen serving. An objective that fails for as long as its alert rule's own
``for`` says is a breach. Time without a look does not count as watched, and the summary says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml.clock import format_utc, span
from ml.text import visible
from ml.units import amount
from ml.verdict import Reading, Verdict

if TYPE_CHECKING:
    from ml.slo.source import Answer


_LONGEST_LOOK = timedelta(seconds=60)
"""The longest time that one look covers. The rest of a longer gap was not watched."""
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
    """One watch. ``watched_s`` is the time with a person watching; ``ending`` is empty until the watch ended."""

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
    """Return the same watch with another keeper from now on."""
    others = tuple(name for name in watch.keepers if name != keeper)
    return replace(watch, keeper=keeper, keepers=(*others, keeper))


def look(watch: Watch, readings: Iterable[Reading], now: datetime, durations: Mapping[str, float]) -> Watch:
    """The watch after one more look.

    Args:
        durations: seconds that each objective must fail until it is a breach, by its name (`durations`).
    """
    since_last = now - (watch.looked_at or now)
    troubles = watch.troubles
    for reading in readings:
        troubles = _judged(troubles, reading, now, durations.get(reading.name, _USUAL_FOR_S))
    watched_s = max(timedelta(), min(since_last, _LONGEST_LOOK)).total_seconds()
    return replace(watch, looked_at=now, watched_s=watch.watched_s + watched_s, troubles=troubles)


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


# The failure time that makes a breach of each objective: the ``for`` of its alert rule, as Prometheus loaded it.

RULE_OF = {
    "p99": "MlInferenceLatencyHigh",
    "p999": "MlInferenceLatencyCritical",
    "error_rate": "MlInferenceErrorRateHigh",
}
"""Objective → the rule that alerts on the same condition (``ml/monitoring/ml_alerts.yml``)."""
USUAL = {"p99": 300.0, "p999": 180.0, "error_rate": 300.0, "alerts": 0.0}
"""The setting of our own rules; a firing alert has already waited."""


def durations(rules: Answer | None) -> Mapping[str, float]:
    """Seconds by objective, from the loaded rules where they are known and from `USUAL` where not."""
    if rules is None:
        return USUAL
    try:
        loaded = _loaded(rules)
    except (ValueError, KeyError, TypeError):
        return USUAL
    return USUAL | {objective: loaded[rule] for objective, rule in RULE_OF.items() if rule in loaded}


def _loaded(rules: Answer) -> dict[str, float]:
    found: dict[str, float] = {}
    for group in json.loads(rules.raw)["data"]["groups"]:
        for rule in group["rules"]:
            if rule.get("type") == "alerting":
                # Where one name is used twice, the rule that alerts first is the one to be as fast as.
                held = found.get(rule["name"], float("inf"))
                found[rule["name"]] = min(held, float(rule["duration"]))
    return found


# Reports on a watch: one line for the audit log, and Markdown for a comment on the pull request. Pure.


def summary_line(watch: Watch) -> str:
    """Summarize a watch in one sentence."""
    planned = (watch.ends_at - watch.began_at).total_seconds()
    looked = f"looked for {span(watch.watched_s)} of {span(planned)}"
    breaches = f"{len(watch.breaches)} breach{'es' if len(watch.breaches) != 1 else ''}"
    return f"The watch over {watch.artifact_id} ended, {watch.ending or 'not yet'}: {breaches}, {looked}."


def summary_markdown(watch: Watch) -> str:
    """The same at length, ready to be pasted; what came from outside is shown, never interpreted."""
    lines = [
        f"## Watch over `{_code(watch.artifact_id)}` ({_code(watch.model)})",
        "",
        f"- From {format_utc(watch.began_at)} to {format_utc(watch.ended_at or watch.looked_at or watch.began_at)}"
        f" ({watch.ending or 'still running'})",
        f"- Looked at for {span(watch.watched_s)} of {span((watch.ends_at - watch.began_at).total_seconds())}",
        f"- Kept by {', '.join(_code(name) for name in watch.keepers)}",
        f"- Breaches: {len(watch.breaches) or 'none'}",
    ]
    if watch.troubles:
        lines += ["", "| objective | from | to | worst | limit | breach |", "|---|---|---|---|---|---|"]
        lines += [_row(trouble) for trouble in sorted(watch.troubles, key=lambda each: each.since)]
    return "\n".join(lines) + "\n"


def _row(trouble: Trouble) -> str:
    until = format_utc(trouble.until) if trouble.until else "still"
    breached = format_utc(trouble.breached_at) if trouble.breached_at else "no"
    cells = (
        _code(trouble.objective),
        format_utc(trouble.since),
        until,
        _amount(trouble.worst, trouble),
        _amount(trouble.limit, trouble),
        breached,
    )
    return f"| {' | '.join(cells)} |"


def _amount(value: float | None, trouble: Trouble) -> str:
    return "unknown" if value is None else _code(amount(value, trouble.unit, limit=trouble.limit))


def _code(text: str) -> str:
    return visible(text).replace("`", "'").replace("|", "\\|").replace("<", "&lt;")
