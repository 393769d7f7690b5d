"""Recorded questions to a metrics source, and their replay.

A judge asks through a `Recorder` and never sees an exception: a failed question yields a `Failure`. The recorded
exchanges are the evidence, and a `Replay` of them is a `Metrics` again, so that the same judge comes to the same
verdict months later without a Prometheus.
"""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from ml.clock import parse_utc, span
from ml.slo import source
from ml.slo.source import (
    Answer,
    Ask,
    BadAnswer,
    Kind,
    Metrics,
    MetricsError,
    PartialAnswer,
    QuestionRefused,
    Scalar,
    SourceTimedOut,
    SourceUnreachable,
)
from ml.verdict import Code, Finding, Verdict, finding

_PATIENCE = 2
_KINDS = (SourceUnreachable, SourceTimedOut, QuestionRefused, BadAnswer, PartialAnswer)
_TYPES = {each.__name__: each for each in (*_KINDS, MetricsError)}


@dataclass(frozen=True, slots=True)
class Failure:
    """A question that got no usable answer: the error's type name, cause and remedy."""

    ask: Ask
    type: str
    cause: str
    remedy: str

    @property
    def finding(self) -> Finding:
        """Return the finding for a question that failed: no data."""
        return finding(Verdict.ERROR, Code.SOURCE_FAILED, self.cause, error=self.type)

    def error(self) -> MetricsError:
        """The error as it was raised."""
        return _TYPES.get(self.type, MetricsError)(self.cause, self.remedy)


def warned(warning: str) -> Finding:
    """Return the finding for an answer with Prometheus's own warnings."""
    why = f"Prometheus warns that the answer may be partial: {warning}."
    return finding(Verdict.NO_DATA, Code.SOURCE_WARNED, why, warning=warning)


Exchange = Answer | Failure


@dataclass(slots=True)
class _Patience:
    """The number of failures in a row, and the last one.

    It counts questions within one judgement and ends with it. `ml.slo.source.Absence` counts polls without an answer.
    """

    silent: int = 0
    last: Failure | None = None


class Recorder:
    """Asks a source and keeps every exchange, in order.

    A source that was silent twice in a row is not asked again: one deadline each for eighteen questions would keep
    an operator waiting for minutes. Questions that are not asked any more fail as the last one did.
    """

    def __init__(self, metrics: Metrics, patience: _Patience | None = None) -> None:
        self._metrics = metrics
        self._exchanges: list[Exchange] = []
        self._patience = patience or _Patience()

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Everything that was asked so far, with what came of it."""
        return tuple(self._exchanges)

    @property
    def at_once(self) -> int:
        """The number of questions that the source takes at a time."""
        return self._metrics.at_once

    def page(self) -> Recorder:
        """Return a recorder for the same source, with the same patience; `append` adds its exchanges here."""
        return Recorder(self._metrics, self._patience)

    def append(self, page: Recorder) -> None:
        """Add another recorder's exchanges."""
        self._exchanges += page.exchanges

    def query(self, promql: str, at: datetime | None = None) -> Exchange:
        """See `Metrics.query`."""
        return self._keep(Ask(Kind.QUERY, promql, at=at), lambda: self._metrics.query(promql, at))

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: int) -> Exchange:
        """See `Metrics.query_range`."""
        ask = Ask(Kind.RANGE, promql, start=start, end=end, step_s=step_s)
        return self._keep(ask, lambda: self._metrics.query_range(promql, start, end, step_s))

    def rules(self) -> Exchange:
        """See `Metrics.rules`."""
        return self._keep(Ask(Kind.RULES), self._metrics.rules)

    def alerts(self) -> Exchange:
        """See `Metrics.alerts`."""
        return self._keep(Ask(Kind.ALERTS), self._metrics.alerts)

    def silences(self) -> Exchange | None:
        """See `Metrics.silences`."""
        # Alertmanager is another server. Its silence says nothing about Prometheus, so it does not count here.
        try:
            exchange: Exchange | None = self._metrics.silences()
        except MetricsError as error:
            exchange = _failure(Ask(Kind.SILENCES), error)
        if exchange is not None:
            self._exchanges.append(exchange)
        return exchange

    def _keep(self, ask: Ask, question: Callable[[], Answer]) -> Exchange:
        patience = self._patience
        if patience.silent >= _PATIENCE and patience.last is not None:
            exchange: Exchange = replace(patience.last, ask=ask)
        else:
            exchange = self._outcome(ask, question)
        self._exchanges.append(exchange)
        return exchange

    def _outcome(self, ask: Ask, question: Callable[[], Answer]) -> Exchange:
        patience = self._patience
        try:
            answer = question()
        except MetricsError as error:
            failure = _failure(ask, error)
            patience.last = failure
            patience.silent = patience.silent + 1 if isinstance(error, SourceUnreachable | SourceTimedOut) else 0
            return failure
        patience.silent = 0
        return answer


def _failure(ask: Ask, error: MetricsError) -> Failure:
    return Failure(ask, type(error).__name__, error.cause, error.remedy)


class Replay:
    """A `Metrics` that answers from a record. A question without a record gets a typed failure."""

    at_once = 1

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        self._exchanges = {exchange.ask: exchange for exchange in exchanges}

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        """See `Metrics.query`."""
        return self._find(Ask(Kind.QUERY, promql, at=at))

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: int) -> Answer:
        """See `Metrics.query_range`."""
        return self._find(Ask(Kind.RANGE, promql, start=start, end=end, step_s=step_s))

    def rules(self) -> Answer:
        """See `Metrics.rules`."""
        return self._find(Ask(Kind.RULES))

    def alerts(self) -> Answer:
        """See `Metrics.alerts`."""
        return self._find(Ask(Kind.ALERTS))

    def silences(self) -> Answer | None:
        """See `Metrics.silences`."""
        ask = Ask(Kind.SILENCES)
        return self._find(ask) if ask in self._exchanges else None

    def _find(self, ask: Ask) -> Answer:
        found = self._exchanges.get(ask)
        if found is None:
            raise BadAnswer(f"The record holds no answer to {ask.kind} {ask.promql}.", "The evidence is incomplete.")
        if isinstance(found, Failure):
            raise found.error()
        return found


# Independent questions, asked in parallel up to the source's limit and recorded in a fixed order.
#
# The recorded order does not depend on which answer came first, so evidence of the same answers has the
# same bytes.

T = TypeVar("T")


class Errands:
    """Collects tasks, each with a recorder of its own."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._notebooks: list[Recorder] = []
        self._waiting: deque[Callable[[], None]] = deque()

    def send(self, errand: Callable[[Recorder], T]) -> Future[T]:
        """Have something asked; its result is there when the block ends."""
        notebook, outcome = self._recorder.page(), Future[T]()
        self._notebooks.append(notebook)

        def run() -> None:
            try:
                outcome.set_result(errand(notebook))
            except BaseException as error:  # noqa: BLE001 carried to the reader of the result
                outcome.set_exception(error)

        self._waiting.append(run)
        return outcome

    def run(self) -> None:
        """Do all of them, and write down what was asked in the order in which they were sent."""
        # Daemons, unlike those of an executor: a hanging source must not keep the console from leaving.
        others = [threading.Thread(target=self._lane, daemon=True) for _ in range(self._recorder.at_once - 1)]
        for other in others:
            other.start()
        self._lane()
        for other in others:
            other.join()
        for notebook in self._notebooks:
            self._recorder.append(notebook)

    def _lane(self) -> None:
        while True:
            try:
                run = self._waiting.popleft()
            except IndexError:
                return
            run()


@contextmanager
def errands(recorder: Recorder) -> Iterator[Errands]:
    """Collect tasks in the block, and run them at its end."""
    collected = Errands(recorder)
    yield collected
    collected.run()


# Exchanges with a metrics source, written as plain JSON values and read back, without losing a byte or a float.


def write(exchange: Exchange) -> dict[str, Any]:
    """One exchange as JSON values. A response that is UTF-8 stays readable; any other is Base64."""
    asked = {
        "kind": str(exchange.ask.kind),
        "promql": exchange.ask.promql,
        "at": moment(exchange.ask.at),
        "start": moment(exchange.ask.start),
        "end": moment(exchange.ask.end),
        "step_s": exchange.ask.step_s,
    }
    if isinstance(exchange, Failure):
        return asked | {"failure": exchange.type, "cause": exchange.cause, "remedy": exchange.remedy}
    values = {"url": exchange.url, "asked_at": moment(exchange.asked_at), "seconds": exchange.seconds}
    try:
        return asked | values | {"body": exchange.raw.decode()}
    except UnicodeDecodeError:
        return asked | values | {"body_base64": base64.b64encode(exchange.raw).decode()}


def read(written: Mapping[str, Any]) -> Exchange:
    """One exchange, its response read again by the same reader that read it live.

    Raises:
        MetricsError: the response is none that could have been read.
        KeyError, ValueError, TypeError: it is no exchange.
    """
    ask = Ask(
        kind=Kind(written["kind"]),
        promql=written["promql"],
        at=_parsed(written["at"]),
        start=_parsed(written["start"]),
        end=_parsed(written["end"]),
        step_s=written["step_s"],
    )
    if "failure" in written:
        return Failure(ask, written["failure"], written["cause"], written["remedy"])
    raw = written["body"].encode() if "body" in written else base64.b64decode(written["body_base64"], validate=True)
    envelope = source.read(raw, ask.kind)
    asked_at = _parsed(written["asked_at"])
    if asked_at is None:
        raise ValueError("an answer has a time")
    return Answer(
        ask=ask,
        raw=raw,
        url=written["url"],
        asked_at=asked_at,
        seconds=float(written["seconds"]),
        series=envelope.series,
        warnings=envelope.warnings,
    )


def moment(at: datetime | None) -> str | None:
    """A time to the microsecond, in UTC, ending in ``Z``."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parsed(text: str | None) -> datetime | None:
    return None if text is None else parse_utc(text)


# Checks of clocks: our wall clock against Prometheus's, and jumps of ours between question and answer. Pure.

SKEW_S = 5.0
"""The largest difference between Prometheus's clock and ours at which ages mean something."""
_JUMP_S = 120.0
"""The longest delay from the judgement's ``now`` to its last question. More means that the machine was suspended."""


def moment_of(seconds: float) -> datetime | None:
    """A Unix time that a query computed, as a moment in UTC; ``None`` where it is none."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def skew_of(answer: Answer) -> float | None:
    """Prometheus's clock minus ours in seconds, from an answer that was evaluated at the server's own now."""
    moments = [point[0] for series in answer.series for point in series.points]
    if not moments:
        return None
    # The server evaluated somewhere between question and answer; only what lies outside of that is skew.
    ahead = max(moments) - answer.asked_at.timestamp()
    return ahead if ahead < 0 else max(0.0, ahead - answer.seconds)


def skewed(skew_s: float | None) -> Finding | None:
    """Return a finding if the two clocks are too far apart to compare times."""
    if skew_s is None or abs(skew_s) <= SKEW_S:
        return None
    side = "ahead of" if skew_s > 0 else "behind"
    why = f"Prometheus's clock is {span(abs(skew_s))} {side} ours, so no age can be trusted."
    return finding(Verdict.NO_DATA, Code.CLOCK_SKEWED, why, skew_s=skew_s)


def clock_doubt(clock: Exchange, exchanges: Sequence[Exchange], now: datetime) -> Finding | None:
    """Return a finding if no time can be trusted: Prometheus's clock is unknown or skewed, or ours jumped."""
    if isinstance(clock, Failure):
        return clock.finding
    for exchange in exchanges:
        if isinstance(exchange, Answer):
            later = (exchange.asked_at - now).total_seconds()
            if not -SKEW_S <= later <= _JUMP_S:
                way = "forward" if later > 0 else "back"
                why = f"The wall clock went {way} by {span(abs(later))} while Prometheus was asked."
                return finding(Verdict.NO_DATA, Code.CLOCK_JUMPED, why, jump_s=later)
    if Scalar.of(clock.series) is None:
        return finding(Verdict.NO_DATA, Code.CLOCK_UNKNOWN, "Prometheus did not say what time it is.")
    return skewed(skew_of(clock))
