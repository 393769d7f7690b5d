"""What the domain asks of a metrics source, and what it gets: questions, answers, typed failures.

An `Answer` keeps the raw response bytes, so that whatever was concluded from it can be concluded again
offline. A sick source raises one of the `MetricsError` types and never yields a half answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ml.errors import ConsoleError, TimedOut, Unavailable


class MetricsError(ConsoleError):
    """A question to a metrics source that got no usable answer. Exit code 3: ask again later."""

    exit_code = 3


class SourceUnreachable(MetricsError, Unavailable):
    """No connection, or the server said that it cannot answer now (5xx, 429)."""


class SourceTimedOut(MetricsError, TimedOut):
    """The total deadline of one question passed: a hang, or an answer that only drips. Exit code 4."""

    exit_code = 4


class QuestionRefused(MetricsError):
    """The server refused the question: bad PromQL, unknown path, missing or wrong credentials."""


class BadAnswer(MetricsError):
    """What came back is no answer of a Prometheus: HTML, broken or oversized JSON, a wrong result type."""


class Kind(StrEnum):
    """What is asked, named by the endpoint under ``/api/v1/`` (silences: Alertmanager's ``/api/v2/``)."""

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
        """How many questions it takes at a time."""
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
