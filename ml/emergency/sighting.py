"""Queries for the engines' proof of a kill or a release (`ml.emergency.questions`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ml.emergency.ladder import Fleet
from ml.emergency.questions import MANY, Code, Window, survey
from ml.slo.promql import joined, split
from ml.slo.source import BadAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.slo.source import Metrics, Series

_OBEYS_WITHIN_S = 0.5
"""The time from a request until every engine has read the file. Samples from this time prove nothing."""
_SHORTEST_S = 4.0
_MOST_SILENT = 50
_REMEDY = "Ask it by hand, and look at the /metrics of every engine."


class _Survey(NamedTuple):
    now: float
    ahead_s: float
    engines: int
    interval: float


def look(metrics: Metrics, asked_at: datetime | None, *, engage: bool) -> Fleet:
    """Look at every engine's proof of a request at that moment; ``None``: of the last few scrapes, for any request.

    Raises:
        ml.slo.source.MetricsError: the source gave no usable answer.
    """
    survey = _survey(metrics)
    asked = _lately(survey) if asked_at is None else asked_at.timestamp() + survey.ahead_s + _OBEYS_WITHIN_S
    if not engage:
        # A block of a minute ago says nothing against a release that reached the engine since.
        asked = max(asked, _lately(survey))
    return (
        _large(metrics, survey, asked, engage=engage)
        if survey.engines > MANY
        else _close(metrics, survey, asked, engage)
    )


def blocked_engines(metrics: Metrics, since: datetime | None) -> int:
    """Count the engines that any kill switch blocks now, by their last few scrapes after ``since``.

    Raises:
        ml.slo.source.MetricsError: the source gave no usable answer.
    """
    survey = _survey(metrics)
    asked = _lately(survey)
    if since is not None:
        asked = max(asked, since.timestamp() + survey.ahead_s + _OBEYS_WITHIN_S)
    return int(_one(_ask(metrics, Window(survey.now, asked, survey.interval).blocked(), survey.now)) or 0)


def _lately(seen: _Survey) -> float:
    """A moment after which an engine was scraped three times."""
    return seen.now - max(_SHORTEST_S, 3.5 * seen.interval)


def _survey(metrics: Metrics) -> _Survey:
    answer = metrics.query(joined(survey()))
    parts = split(answer.series)
    now = _one(parts.get("time", ()))
    if now is None:
        raise BadAnswer(
            "The metric source did not say what time it is, so no sample can be called newer than the request.",
            "Ask it for `time()` by hand, and correct prometheus.url where it is another kind of server.",
        )
    ahead = now - (answer.asked_at.timestamp() + answer.seconds / 2)
    return _Survey(now, ahead, int(_one(parts.get("engines", ())) or 0), _one(parts.get("interval", ())) or 0.0)


def _large(metrics: Metrics, seen: _Survey, asked: float, *, engage: bool) -> Fleet:
    """A large fleet: how many are plainly proven, and a close look at the first of the others."""
    window = Window(seen.now, asked, seen.interval)
    found = _ask(metrics, window.counted(engage=engage), seen.now)
    counts = {_code(each.label("code")): int(_value(each)) for each in found if each.points}
    if not counts.get(Code.OPEN):
        return Fleet((), counts, ahead_s=seen.ahead_s, at=seen.now)
    names = [each.label("instance") for each in _ask(metrics, window.open(engage=engage), seen.now)]
    close = _close(metrics, seen, asked, engage, names)
    judged = Counter(code for _, code in close.named)
    counts[Code.OPEN] = max(0, counts[Code.OPEN] - sum(judged.values()))
    whole = Counter({code: count for code, count in counts.items() if count}) + judged
    return replace(close, counts=dict(whole))


def _close(metrics: Metrics, seen: _Survey, asked: float, engage: bool, only: Sequence[str] = ()) -> Fleet:
    """Take a close look at the named engines, or at every engine."""
    window = Window(seen.now, asked, seen.interval, only)
    named = _named(_ask(metrics, window.codes(engage=engage, thorough=False), seen.now))
    if engage and any(code is Code.IDLE for _, code in named):
        # Some fall silent and count no blocks: comparing that with their past costs more, so it is asked second.
        named = _named(_ask(metrics, window.codes(engage=engage, thorough=True), seen.now))
    silent = [name for name, code in named if code is Code.SILENT]
    last_seen: dict[str, float] = {}
    if silent:
        of_these = Window(seen.now, asked, seen.interval, silent[:_MOST_SILENT])
        found = _ask(metrics, of_these.last_seen(), seen.now)
        last_seen = {each.label("instance"): _value(each) for each in found if each.points}
    return Fleet(named, None, last_seen, seen.ahead_s, seen.now)


def _named(found: tuple[Series, ...]) -> tuple[tuple[str, Code], ...]:
    return tuple((each.label("instance"), _code(_value(each))) for each in found if each.points)


def _code(told: str | float) -> Code:
    try:
        return Code(int(float(told)))
    except ValueError as error:
        raise BadAnswer("The metric source answered with a number that was not asked for.", _REMEDY) from error


def _ask(metrics: Metrics, promql: str, now: float) -> tuple[Series, ...]:
    """One question at the survey's own time. An answer with warnings is partial: engines may be missing in it."""
    answer = metrics.query(promql, _moment(now))
    if answer.warnings:
        raise BadAnswer(f"The metric source warns that its answer is partial: {answer.warnings[0]}", _REMEDY)
    return answer.series


def _one(found: tuple[Series, ...]) -> float | None:
    """The one value of an answer; ``None`` where it has none, or one that is no number."""
    values = [_value(each) for each in found if each.points]
    return values[0] if values and values[0] == values[0] else None


def _value(series: Series) -> float:
    return series.points[-1][1]


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
