"""The receipt of a kill or a release: the proof by all engines, and the steps by hand where proof is missing.

Pure but for `receipt` and the looks at engines, which ask a metric source. CONFIRMED covers every engine that was seen
in the last day, and only for as long as each look finds it so. UNCONFIRMED appears after the deadline; a later look may
still confirm it, or find that an engine came back alive or fell silent (contract §7).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from ml.board import Delivery, InstanceReceipt, KillView, Rung
from ml.clock import format_utc
from ml.emergency.questions import BY_RUNBOOK, MANY, NAMED, PROOFS, Code, Proving, Window, survey
from ml.errors import ConsoleError
from ml.metrics_contract import RUNBOOK, MetricNames
from ml.slo.promql import joined, split
from ml.slo.source import BadAnswer, MetricsError, Scalar
from ml.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.emergency.switch import KillRequest, Step
    from ml.slo.source import Metrics, Series


# The proof of a kill or release: from an engine's metrics to its rung and its words. Pure (contract §7).
#
# ``grinder_ml_active_on == 0`` alone proves nothing: an idle engine shows it too, and a shadow engine always does. A
# kill is proven by a whole pair of samples after the request in which the engine counted snapshots that the switch
# forbade and inferred nothing, or by a silence that is longer than any before. Proof of a release is the reverse.

_WORDS = {
    Code.BLOCKED: "blocked by the kill switch",
    Code.STOPPED: "no inference, for longer than it ever rested before",
    Code.INFERS_AGAIN: "it infers again",
    Code.ACTIVE_AGAIN: "active_on is 1 again, and nothing is blocked",
    Code.NO_MODEL: "no longer blocked; it has no model to infer with",
    Code.PROVEN: "proven",
    Code.OPEN: "not proven",
    Code.BLIND: "it is blocked, but exports nothing that would show inferences",
    Code.SOME_WORKERS: "some of its workers are blocked, others do not prove it",
    Code.SECOND_SAMPLE: "one sample is newer than the request, a second must follow",
    Code.NO_SAMPLE: "no sample is newer than the request",
    Code.STILL_ACTIVE: "active_on is still 1",
    Code.STILL_BLOCKED: "it is still blocked by the kill switch",
    Code.INFERS: "it still infers",
    Code.JUMPS: "its counters go back again and again: several processes answer under this one address",
}
_IDLE = {
    True: "it does not infer, but counts no block either: an idle engine shows the same",
    False: "no longer blocked, but it has not inferred yet",
}
_APPLIED = frozenset({Code.IDLE, Code.BLIND, Code.SOME_WORKERS})


@dataclass(frozen=True, slots=True)
class Fleet:
    """The metric source's view of all engines since a request.

    ``named`` are engines with their code, all of a small fleet and the worst of a large one; ``counts`` count all of
    them by code. ``last_seen`` is in Unix seconds, for silent engines. ``ahead_s`` is the number of seconds by which
    the source's clock is ahead of ours; ``at`` is the source's time of the look. ``problem`` says why nothing could be
    seen.
    """

    named: tuple[tuple[str, Code], ...] = ()
    counts: Mapping[Code, int] | None = None
    last_seen: Mapping[str, float] | None = None
    ahead_s: float = 0.0
    at: float = 0.0
    problem: str = ""

    @property
    def total(self) -> int:
        """The number of engines seen in the last day."""
        return sum(self.counts.values()) if self.counts is not None else len(self.named)

    @property
    def proven(self) -> int:
        """The number of engines that prove the request."""
        if self.counts is not None:
            return sum(count for code, count in self.counts.items() if code in PROOFS)
        return sum(code in PROOFS for _, code in self.named)

    @property
    def codes(self) -> frozenset[Code]:
        """Every code that occurs."""
        return frozenset(self.counts if self.counts is not None else (code for _, code in self.named))


def rung(code: Code, base: Rung, *, late: bool) -> Rung:
    """Return the rung of an engine with this code.

    Args:
        base: WRITTEN, or REQUESTED where nothing was written.
        late: the deadline has passed.
    """
    if code in PROOFS:
        return Rung.CONFIRMED
    if late:
        return Rung.UNPROVEN if code is Code.SILENT else Rung.UNCONFIRMED
    return Rung.APPLIED if code in _APPLIED else base


def receipts(fleet: Fleet, base: Rung, *, engage: bool, late: bool) -> tuple[InstanceReceipt, ...]:
    """The engines by name, each with its rung and the observation, the unproven ones first."""
    worst_first = sorted(fleet.named, key=lambda pair: (-pair[1], pair[0]))
    moment = datetime.fromtimestamp(fleet.at - fleet.ahead_s, UTC) if fleet.at else None
    last_seen = fleet.last_seen or {}
    return tuple(
        InstanceReceipt(
            instance=visible(name, limit=120),
            rung=rung(code, base, late=late),
            at=moment,
            why=_why(code, last_seen.get(name), engage=engage),
        )
        for name, code in worst_first
    )


def whole(fleet: Fleet, base: Rung, *, late: bool) -> Rung:
    """Return the rung of all engines together: the lowest of theirs. Without any engine, nothing is proven."""
    reached = {rung(code, base, late=late) for code in fleet.codes}
    if not reached:
        return Rung.UNCONFIRMED if late else base
    return min(reached, key=_ORDER.index)


_ORDER = (Rung.UNCONFIRMED, Rung.UNPROVEN, Rung.REQUESTED, Rung.WRITTEN, Rung.APPLIED, Rung.CONFIRMED)


def _why(code: Code, last_seen: float | None, *, engage: bool) -> str:
    if code is Code.SILENT:
        when = f" at {format_utc(datetime.fromtimestamp(last_seen, UTC))}" if last_seen else " in the last day"
        return f"it is silent: it was last seen{when}, and nothing can be read from it now"
    return _IDLE[engage] if code is Code.IDLE else _WORDS[code]


# The engines' proof as Prometheus has it (`ml.emergency.questions`).

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
    by: Proving

    def window(self, asked: float, only: Sequence[str] = ()) -> Window:
        """The samples after a moment, of some engines or of all."""
        return Window(self.now, asked, self.interval, only, self.by)


def look(metrics: Metrics, asked_at: datetime | None, *, engage: bool, by: Proving = BY_RUNBOOK) -> Fleet:
    """Look at every engine's proof of a request at that moment; ``None``: of the last few scrapes, for any request.

    Raises:
        ml.slo.source.MetricsError: the source gave no usable answer.
    """
    survey = _survey(metrics, by)
    asked = _lately(survey) if asked_at is None else asked_at.timestamp() + survey.ahead_s + _OBEYS_WITHIN_S
    if not engage:
        # A block of a minute ago says nothing against a release that reached the engine since.
        asked = max(asked, _lately(survey))
    how = _large if survey.engines > MANY else _close
    return how(metrics, survey, asked, engage=engage)


def blocked_engines(metrics: Metrics, since: datetime | None, by: Proving = BY_RUNBOOK) -> int:
    """Count the engines that any kill switch blocks now, by their last few scrapes after ``since``.

    Raises:
        ml.slo.source.MetricsError: the source gave no usable answer.
    """
    survey = _survey(metrics, by)
    asked = _lately(survey)
    if since is not None:
        asked = max(asked, since.timestamp() + survey.ahead_s + _OBEYS_WITHIN_S)
    return int(_number(_ask(metrics, survey.window(asked).blocked(), survey.now)))


def _lately(seen: _Survey) -> float:
    """A moment after which an engine was scraped three times."""
    return seen.now - max(_SHORTEST_S, 3.5 * seen.interval)


def _survey(metrics: Metrics, by: Proving) -> _Survey:
    answer = metrics.query(joined(survey(by)))
    parts = split(answer.series)
    clock = Scalar.of(parts.get("time", ()))
    if clock is None:
        raise BadAnswer(
            "The metric source did not say what time it is, so no sample can be called newer than the request.",
            "Ask it for `time()` by hand, and correct prometheus.url where it is another kind of server.",
        )
    ahead = clock.value - (answer.asked_at.timestamp() + answer.seconds / 2)
    engines, interval = int(_number(parts.get("engines", ()))), Scalar.of(parts.get("interval", ()))
    return _Survey(clock.value, ahead, engines, interval.value if interval else 0.0, by)


def _large(metrics: Metrics, seen: _Survey, asked: float, *, engage: bool) -> Fleet:
    """A large fleet: how many are plainly proven, and a close look at the first of the others."""
    window = seen.window(asked)
    found = _ask(metrics, window.counted(engage=engage), seen.now)
    counts = {_code(each.label("code")): int(_value(each)) for each in found if each.points}
    if not counts.get(Code.OPEN):
        return Fleet((), counts, ahead_s=seen.ahead_s, at=seen.now)
    names = [each.label("instance") for each in _ask(metrics, window.open(engage=engage), seen.now)]
    close = _close(metrics, seen, asked, names, engage=engage)
    judged = Counter(code for _, code in close.named)
    if counts[Code.OPEN] > sum(judged.values()) and judged.keys() <= PROOFS:
        # None of the first disobeys, so the others may have proven it too, by what costs the source more to see.
        thorough = _thorough(metrics, window, seen, engage=engage)
        if thorough is not None:
            return thorough
    counts[Code.OPEN] = max(0, counts[Code.OPEN] - sum(judged.values()))
    whole = Counter({code: count for code, count in counts.items() if count}) + judged
    return replace(close, counts=dict(whole))


def _thorough(metrics: Metrics, window: Window, seen: _Survey, *, engage: bool) -> Fleet | None:
    """Judge every engine of a large fleet closely and name the worst; ``None`` if the source cannot answer that."""
    try:
        codes = _named(_ask(metrics, window.codes(engage=engage, thorough=engage), seen.now))
    except MetricsError:
        return None
    worst = tuple(sorted(codes, key=lambda pair: (-pair[1], pair[0]))[:NAMED])
    counts = dict(Counter(code for _, code in codes))
    return Fleet(worst, counts, _last_seen(metrics, seen, worst), seen.ahead_s, seen.now)


def _close(metrics: Metrics, seen: _Survey, asked: float, only: Sequence[str] = (), *, engage: bool) -> Fleet:
    """Take a close look at the named engines, or at every engine."""
    window = seen.window(asked, only)
    named = _named(_ask(metrics, window.codes(engage=engage, thorough=False), seen.now))
    if engage and any(code is Code.IDLE for _, code in named):
        # Some fall silent and count no blocks: comparing that with their past costs more, so it is asked second.
        named = _named(_ask(metrics, window.codes(engage=engage, thorough=True), seen.now))
    return Fleet(named, None, _last_seen(metrics, seen, named), seen.ahead_s, seen.now)


def _last_seen(metrics: Metrics, seen: _Survey, named: Sequence[tuple[str, Code]]) -> dict[str, float]:
    """Ask when each silent engine was seen last, in Unix seconds."""
    silent = [name for name, code in named if code is Code.SILENT][:_MOST_SILENT]
    if not silent:
        return {}
    found = _ask(metrics, seen.window(seen.now - _SHORTEST_S, silent).last_seen(), seen.now)
    return {each.label("instance"): _value(each) for each in found if each.points}


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


def _number(found: Sequence[Series]) -> float:
    """The one number of an answer; 0 where nothing was counted. What is no number is never taken for 0."""
    number = Scalar.of(found)
    if found and number is None:
        raise BadAnswer("The metric source answered a count with something else than one number.", _REMEDY)
    return number.value if number else 0.0


def _value(series: Series) -> float:
    return series.points[-1][1]


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


# The receipt.

_SOME = 5
"""Names that one sentence takes; the rest is counted."""


def receipt(request: KillRequest, metrics: Metrics | None, now: datetime, deadline_s: float) -> KillView:
    """Look at the running system and return its proof of a request. Never raises for a failed source."""
    return judge(request, see(metrics, request.at, engage=request.engage), now, deadline_s)


def see(
    metrics: Metrics | None, asked_at: datetime | None, *, engage: bool, contracts: Sequence[MetricNames] = (RUNBOOK,)
) -> Fleet:
    """Look at the engines (`look`) by these contracts. If that fails, return an empty fleet with the problem."""
    if metrics is None:
        return Fleet(problem="No Prometheus is configured, so nothing can confirm it.")
    try:
        return look(metrics, asked_at, engage=engage, by=Proving.of(contracts))
    except ConsoleError as error:
        return Fleet(problem=str(error))


def judge(
    request: KillRequest,
    fleet: Fleet,
    now: datetime,
    deadline_s: float,
    contracts: Sequence[MetricNames] = (RUNBOOK,),
) -> KillView:
    """Judge a request by a fleet's metrics.

    Args:
        contracts: the metrics contracts of the engines, for the steps by hand.
        deadline_s: seconds after the request; without proof by then, an engine is UNCONFIRMED or UNPROVEN.
    """
    late = now >= request.at + timedelta(seconds=deadline_s)
    base = Rung.WRITTEN if request.written else Rung.REQUESTED
    instances = receipts(fleet, base, engage=request.engage, late=late)
    reached = whole(fleet, base, late=late)
    by_hand = reached in (Rung.UNCONFIRMED, Rung.UNPROVEN, Rung.REQUESTED)
    return KillView(
        engaged=request.engage,
        rung=reached,
        requested_at=request.at,
        by=request.by,
        reason=request.reason,
        instances=instances,
        manual=_manual(request, instances, contracts) if by_hand else (),
        problem=" ".join(part for part in (failures(request.steps), request.problem, fleet.problem) if part),
        asked=request.engage,
        total=fleet.total,
        confirmed=fleet.proven,
        deliveries=tuple(Delivery(*step[:4]) for step in request.steps),
    )


def failures(steps: Sequence[Step]) -> str:
    """Name the actuators that failed or may not last, each with its cause. Hosts with equal causes are grouped."""
    groups: dict[str, list[str]] = {}
    for step in steps:
        if step.why and not step.again:
            groups.setdefault(step.why.replace(step.host, "{host}") if step.host else step.why, []).append(step.name)
    return " ".join(f"{_some(names)}: {why}" for why, names in groups.items())


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return ", ".join(names[:_SOME]) + more


def _manual(
    request: KillRequest, instances: tuple[InstanceReceipt, ...], contracts: Sequence[MetricNames]
) -> tuple[str, ...]:
    open_ones = [each.instance for each in instances if each.rung is not Rung.CONFIRMED]
    proofs = (each.blocked.name if request.engage else each.counters[0].name for each in contracts)
    proof = " or ".join(dict.fromkeys(proofs))
    engines = _some(open_ones) or "every engine"
    silent = [each.instance for each in instances if each.rung is Rung.UNPROVEN]
    stop = (f"make sure that {_some(silent)} is stopped or scraped again: nobody can see it",) if silent else ()
    return (*request.by_hand, *stop, f"then look twice at the /metrics of {engines}: {proof} must rise")
