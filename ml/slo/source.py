"""The interface of a metrics source: questions, answers, typed failures.

An `Answer` keeps the raw response bytes, so that every conclusion from it can be repeated offline. A failed source
raises one of the `MetricsError` types and never yields half an answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from ml.clock import span
from ml.errors import ConsoleError, TimedOut, Unavailable
from ml.text import visible


class MetricsError(ConsoleError):
    """A question to a metrics source that got no usable answer. Exit code 3: ask again later."""

    exit_code = 3


class SourceUnreachable(MetricsError, Unavailable):
    """The connection failed, or the server is unable to answer now (5xx, 429)."""


class SourceTimedOut(MetricsError, TimedOut):
    """The total deadline of one question passed: a hang, or an answer that only drips. Exit code 4."""

    exit_code = 4


class QuestionRefused(MetricsError):
    """The server refused the question: bad PromQL, unknown path, missing or wrong credentials."""


class BadAnswer(MetricsError):
    """The response is not Prometheus's: HTML, broken or oversized JSON, a wrong result type."""


class PartialAnswer(BadAnswer):
    """The source warns that its answer is partial, where only a whole one proves anything."""


class Kind(StrEnum):
    """The kind of a question, named by the endpoint under ``/api/v1/`` (silences: Alertmanager's ``/api/v2/``)."""

    QUERY = "query"
    RANGE = "query_range"
    RULES = "rules"
    ALERTS = "alerts"
    SILENCES = "silences"


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. ``at`` is ``None`` when the server's own clock shall say what now is."""

    kind: Kind
    promql: str = ""
    at: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    step_s: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: its labels, sorted by name, and its points as (Unix seconds, value)."""

    labels: tuple[tuple[str, str], ...]
    points: tuple[tuple[float, float], ...]

    def label(self, name: str) -> str:
        """A label's value; empty where the series does not have it, as in PromQL."""
        return next((value for key, value in self.labels if key == name), "")


@dataclass(frozen=True, slots=True)
class Scalar:
    """The one number of an answer such as that to ``time()``, and the source's time when it was computed."""

    at: float
    value: float

    @classmethod
    def of(cls, series: Sequence[Series]) -> Scalar | None:
        """Read the number; ``None`` where there is none, more than one, or one that is not finite."""
        points = [point for each in series for point in each.points]
        if len(points) != 1 or not math.isfinite(points[0][1]):
            return None
        return cls(*points[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A good answer. ``raw`` are the response's bytes; ``asked_at`` is this machine's wall clock at the question.

    ``series`` is empty for rules, alerts and silences: these are read from ``raw`` (see `ml.slo.alerts`).
    """

    ask: Ask
    raw: bytes
    url: str
    asked_at: datetime
    seconds: float
    series: tuple[Series, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """The PromQL text that was run."""
        return self.ask.promql


class Metrics(Protocol):
    """A source of metrics. Every method blocks for at most its total deadline.

    Raises (each method):
        MetricsError: one of its subclasses, with cause and remedy.
    """

    @property
    def at_once(self) -> int:
        """The number of questions that it takes at a time."""
        ...

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        """Evaluate at one moment; without ``at``, at the server's own now."""
        ...

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: int) -> Answer:
        """Evaluate at ``start``, ``start + step_s`` … up to ``end``, both in whole seconds."""
        ...

    def rules(self) -> Answer:
        """The alert rules that are loaded, with their health and state."""
        ...

    def alerts(self) -> Answer:
        """The alerts that are pending or firing now."""
        ...

    def silences(self) -> Answer | None:
        """Alertmanager's silences; ``None`` where no Alertmanager is configured."""
        ...


# The strict parser of Prometheus's JSON envelope: series and warnings, or a typed failure.
#
# The live adapter and the offline check of evidence use the same parser, so both read the same values.
# Source: https://prometheus.io/docs/prometheus/latest/querying/api/

_REMEDY = "Check that prometheus.url names a Prometheus and not a page in front of it."
_LAST_MOMENT = 253_402_300_800
"""The year 10000, where `datetime` ends."""

# A query for raw samples, such as ``up[5m]``, is answered by a matrix.
_RESULT_TYPES = {Kind.QUERY: ("vector", "scalar", "matrix"), Kind.RANGE: ("matrix",)}


@dataclass(frozen=True, slots=True)
class Envelope:
    """The content of a valid answer: series (empty for rules, alerts, silences), warnings, and its data.

    ``partial``: the source says that some of its storages did not answer, as a cluster of VictoriaMetrics does.
    """

    series: tuple[Series, ...]
    warnings: tuple[str, ...]
    data: Any
    partial: bool = False


def read(raw: bytes, kind: Kind) -> Envelope:
    """Read a response body.

    Raises:
        BadAnswer: it is no JSON, no envelope, or holds another result type than ``kind`` has.
        QuestionRefused, SourceTimedOut, SourceUnreachable: the envelope says ``status: error``.
    """
    document = _json(raw)
    if kind is Kind.SILENCES:
        if not isinstance(document, list):
            raise BadAnswer("Alertmanager's answer is not a list of silences.", "Check alertmanager.url.")
        return Envelope((), (), document)
    if not isinstance(document, dict):
        raise BadAnswer("The answer is JSON but not a Prometheus answer.", _REMEDY)
    if document.get("status") == "error":
        raise _refusal(document)
    if document.get("status") != "success":
        raise BadAnswer("The answer is JSON but not a Prometheus answer.", _REMEDY)
    data = document.get("data")
    if not isinstance(data, dict):
        raise BadAnswer("The answer says success but holds no data.", _REMEDY)
    # "infos" (Prometheus 3) are advice about the query's text and do not make its answer partial.
    warnings = tuple(visible(str(text), limit=300) for text in _list(document, "warnings"))
    series = _series(data, kind) if kind in _RESULT_TYPES else ()
    return Envelope(series, warnings, data, partial=document.get("isPartial") is True)


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        start = visible(raw[:40].decode("utf-8", "replace"))
        raise BadAnswer(f"The answer is not JSON; it begins with “{start}”.", _REMEDY) from None


def _refusal(document: dict[str, Any]) -> Exception:
    what = visible(str(document.get("error", "no reason given")), limit=300)
    match document.get("errorType"):
        case "timeout" | "canceled":
            return SourceTimedOut(
                f"Prometheus gave up on the query: {what}.", "Ask for less, or raise its query timeout."
            )
        case "unavailable" | "internal":
            return SourceUnreachable(f"Prometheus cannot answer: {what}.", "Look at the Prometheus server's log.")
        case _:
            return QuestionRefused(f"Prometheus refused the query: {what}.", "Correct the query in the policy.")


def _list(document: dict[str, Any], key: str) -> list[Any]:
    found = document.get(key) or []
    return found if isinstance(found, list) else [found]


def _series(data: dict[str, Any], kind: Kind) -> tuple[Series, ...]:
    found, result = data.get("resultType"), data.get("result", [])
    if found not in _RESULT_TYPES[kind]:
        named = visible(str(found), limit=40)
        raise BadAnswer(
            f"The query's result is a {named}, where a {_RESULT_TYPES[kind][0]} is needed.",
            "Correct the query in the policy so that it yields numbers.",
        )
    try:
        if found == "scalar":
            return (Series((), (_point(result),)),)
        return tuple(_one(entry, found) for entry in result)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise BadAnswer("A series in the answer is malformed.", _REMEDY) from None


def _one(entry: dict[str, Any], found: str) -> Series:
    labels = tuple(sorted((str(name), str(value)) for name, value in entry["metric"].items()))
    points = [entry["value"]] if found == "vector" else entry["values"]
    return Series(labels, tuple(_point(point) for point in points))


def _point(point: Any) -> tuple[float, float]:
    moment, value = point
    if not isinstance(value, str) or isinstance(moment, bool) or not 0 <= moment < _LAST_MOMENT:
        raise ValueError("a point is [time, text]")
    return float(moment), float(value)


_STALE_AFTER = 3


@dataclass(slots=True)
class Absence:
    """Polls without a good answer: of a source, or of one objective while the source answers the others.

    ``since`` is the time of the last good answer, ``None`` before the first; ``why`` is the last failure.
    """

    since: datetime | None = None
    polls: int = 0
    why: str = ""

    @property
    def stale(self) -> bool:
        """True after three polls: then the last value counts as STALE (contract §4)."""
        return self.polls >= _STALE_AFTER

    def answered(self, now: datetime) -> None:
        """A good answer ends it."""
        self.since, self.polls, self.why = now, 0, ""

    def missed(self, why: str) -> None:
        """Count one more poll."""
        self.polls += 1
        self.why = why

    def sentence(self, now: datetime) -> str:
        """Say for how long there was no good answer, and why; only the reason if there never was one."""
        if self.since is None:
            return self.why
        return f"No good answer for {span((now - self.since).total_seconds())} ({self.polls} polls). {self.why}"
