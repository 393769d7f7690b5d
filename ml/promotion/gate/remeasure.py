"""The gate's lines about evidence: the numbers that were measured twice, and those that only the author reports.

`measured` asks the gate's own Prometheus again; `claims` names the facts that nobody can ask again, and
`acceptable_format` which formats of evidence a new change may bring.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml.clock import format_utc, parse_utc
from ml.errors import ConsoleError
from ml.metrics_contract import LATENCY, RUNBOOK
from ml.promotion.evidence import format_of
from ml.promotion.evidence_formats import Format
from ml.promotion.gate.authority import affects_trading
from ml.promotion.gate.case import Case, Move, passed, refused
from ml.slo import exchanges as transcript
from ml.slo.alerts import history_query
from ml.slo.exchanges import Exchange, Replay
from ml.slo.soak_gates import ALERTS_GATE
from ml.slo.source import Answer, Ask, Kind, Metrics, MetricsError, Series
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Code, Finding, Gate, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Policy


MEASURED, CLAIMS = "measured", "claims"
_BEFORE_CONTRACTS, _SINCE_CONTRACTS = "v1", "v2"


def acceptable_format(case: Case, move: Move, values: Mapping[str, Any]) -> Gate | None:
    """Refuse evidence of a format that a new change may not bring; ``None`` where it may.

    An older format is judged by the older, laxer judge, and the author would choose it. The oldest judge asks by the
    runbook's metrics only, so it cannot judge a model with a metrics contract of its own. This does not block rollbacks
    and withdrawals.
    """
    if move.action not in (Action.STAGE, Action.PROMOTE):
        return None
    oldest, brought = case.policy.evidence.oldest_format, str(values.get("schema_version"))
    if oldest == _BEFORE_CONTRACTS and case.policy.metric_names(move.name) != RUNBOOK:
        oldest = _SINCE_CONTRACTS
    if int(brought[1:]) >= int(oldest[1:]):
        return None
    why = f"the evidence has the format {brought}, and the policy takes {oldest} and later; update mlconsole, plan anew"
    return refused("evidence", why, code=Code.FORMAT_TOO_OLD, format=brought, oldest=oldest)


def measured(case: Case, move: Move, values: Mapping[str, Any], source: Metrics | None) -> Iterator[Gate]:
    """One line about a promotion to active: the result of asking for its numbers again, or why nobody asked."""
    if not affects_trading(move):
        return
    mode, who = case.policy.evidence.remeasure, visible(move.by)
    if mode == "off":
        why = f"the numbers are claimed by {who}: the policy asks for no second measurement"
        yield passed(MEASURED, why, code=Code.NOT_MEASURED_AGAIN, who=who)
        return
    if source is None:
        why = (
            f"the numbers are claimed by {who}: this gate has no Prometheus to ask again; give --prometheus URL, or on "
            "a server git config mlconsole.prometheus URL"
        )
        found = finding(Verdict.NO_DATA, Code.NOT_MEASURED_AGAIN, why, who=who)
    else:
        found = measured_again(values, case.policy, source)
    gate = found.gate(MEASURED, waivable=False)
    reports = mode == "report" and not gate.verdict.opens
    yield gate.waived('the policy says [evidence] remeasure = "report"') if reports else gate


def claims(move: Move) -> Iterator[Gate]:
    """Name in one line the facts that only the author reports; no line where everything was computed again."""
    said = tuple(_said(move))
    if said:
        who = visible(move.by)
        yield passed(CLAIMS, f"claimed by {who}: {', '.join(said)}", code=Code.CLAIMED, who=who, claims=len(said))


def _said(move: Move) -> Iterator[str]:
    if move.action is not Action.PROMOTE:
        return
    if move.to_stage is Stage.SHADOW:
        yield "that the unit tests passed"
    if move.to_stage is Stage.ACTIVE:
        yield "the finding of the dashboard review"
        yield "that the alert rules were loaded, with no alert pending"
        yield "when the kill switch was on"


# The second measurement: the recorded questions of evidence, asked again by the gate's own source and compared.
#
# Only questions that our own judge asks are asked again: the judge of the evidence's format runs on the recorded
# answers with the *base's* policy, and what it asks on the way is the list. No query text of the evidence itself is
# ever sent, so evidence can neither cost the server a query of its author's making nor lead it to an address.
#
# A Prometheus gives the same answer for a past time twice, with three exceptions. Samples of the last moments may
# have arrived after the first question: there a small difference is allowed, and the judge must come to the same
# verdicts with the newer numbers. What retention dropped cannot be asked again: that is unknown, never agreed. What a
# server answers about its own present (its rules, its pending alerts, its clock) has no past to ask: it stays the
# author's claim.

# The comparison of a recorded answer with a new one, within the noise of floats. Pure.

SETTLE_S = 120.0
"""The longest delay with which a sample may still arrive."""

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
_LATE_SHARE, _LATE_S = 0.05, 120.0
"""The allowed effect of late samples: a share of a number, or seconds of a value that is itself a time."""

_Points = Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Difference:
    """One number with different values in source and evidence: its time, the recorded and the new value.

    ``None`` stands for no number at all.
    """

    ask: Ask
    at: float
    recorded: float | None
    found: float | None


@dataclass(frozen=True, slots=True)
class Compared:
    """The differences between two answers. ``late`` is true if late samples explain a smaller difference."""

    differences: tuple[Difference, ...] = ()
    late: bool = False


def compare(ask: Ask, recorded: Sequence[Series], found: Sequence[Series], settled: float) -> Compared:
    """Compare two answers to one question, in any order of their series.

    ``settled`` is the Unix time up to which every number must be the same; after it late samples may show.
    """
    before, after = _by_labels(recorded), _by_labels(found)
    if before is None or after is None:
        return Compared((Difference(ask, settled, None, None),))  # the same series twice is no answer of a Prometheus
    differences: list[Difference] = []
    late = False
    for labels in sorted(before.keys() | after.keys()):
        ours, theirs = before.get(labels, {}), after.get(labels, {})
        for at in sorted(ours.keys() | theirs.keys()):
            one, other = ours.get(at), theirs.get(at)
            if _same(one, other):
                continue
            if at > settled and _late(one, other, settled):
                late = True
            else:
                differences.append(Difference(ask, at, one, other))
    return Compared(tuple(differences), late)


def _by_labels(series: Sequence[Series]) -> dict[tuple[tuple[str, str], ...], _Points] | None:
    found: dict[tuple[tuple[str, str], ...], _Points] = {}
    for each in series:
        points = dict(each.points)
        if each.labels in found or len(points) != len(each.points):
            return None
        found[each.labels] = points
    return found


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def _late(one: float | None, other: float | None, settled: float) -> bool:
    """True if late samples explain a difference at the edge. Whole series never come or go there."""
    if one is None or other is None or not (math.isfinite(one) and math.isfinite(other)):
        return False
    if max(one, other) > settled / 2:  # a value that is itself a time: only one of the last moments may move
        return min(one, other) > settled - _LATE_S and abs(one - other) <= _LATE_S
    return math.isclose(one, other, rel_tol=_LATE_SHARE, abs_tol=_ABSOLUTE)


DEADLINE_S = 120.0
"""The time for all questions together. Questions without an answer by then are unknown."""
MOST_QUESTIONS = 400

_SHOWN = 120


_TimeLeft = Callable[[], float]
"""Seconds until the deadline."""


class _Noted(Replay):
    """The record, and a list of what was asked of it."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        super().__init__(exchanges)
        self.asked: dict[Ask, Answer] = {}

    def _find(self, ask: Ask) -> Answer:
        found = super()._find(ask)
        self.asked[ask] = found
        return found


def measured_again(
    values: Mapping[str, Any],
    policy: Policy,
    source: Metrics,
    *,
    deadline_s: float = DEADLINE_S,
    monotonic: Callable[[], float] = time.monotonic,
) -> Finding:
    """Ask a source the recorded questions of evidence again. Returns one finding; never raises for a bad source.

    Args:
        values: an opened document that verified, with the base's policy.
        policy: the base's.
        source: a metrics source that the evidence's author does not control.

    Returns: PASS; FAIL where numbers do not agree; NO_DATA or ERROR where it is unknown.
    """
    ends = monotonic() + deadline_s
    try:
        return _measured_again(values, policy, source, lambda: ends - monotonic())
    except MetricsError as error:
        return finding(Verdict.ERROR, Code.SOURCE_FAILED, error.cause, error=type(error).__name__)
    except (ConsoleError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        why = f"the evidence lacks what the questions are made of ({type(error).__name__})"
        return finding(Verdict.ERROR, Code.INCOMPLETE, why)


def _measured_again(values: Mapping[str, Any], policy: Policy, source: Metrics, time_left: _TimeLeft) -> Finding:
    form = format_of(values)
    recorded = [transcript.read(each) for each in values["soak_exchanges"]]
    asked = _questions(form, values, policy, recorded)
    again = _asked_again(source, asked, time_left)
    if isinstance(again, Finding):
        return again
    compared = [compare(ask, told.answer.series, again[ask].series, told.settled) for ask, told in asked.items()]
    differences = [difference for each in compared for difference in each.differences]
    if differences:
        return _told(differences, source, values, policy, len(asked))
    moved = any(each.late for each in compared) and _other_verdict(form, values, policy, recorded, again)
    if moved:
        why = f"with the samples that arrived since, the gate {visible(moved)} has another verdict; plan it anew"
        return finding(Verdict.FAIL, Code.MEASURED_OTHERWISE, why, asked=len(asked), gate=moved)
    as_of = parse_utc(values["soak"]["report"]["as_of"])
    return _alerts(values, policy, source, as_of) or _agreed(len(asked))


def _asked_again(source: Metrics, asked: Mapping[Ask, _Told], time_left: _TimeLeft) -> dict[Ask, Answer] | Finding:
    """Return today's answers, or say why there are none."""
    total = len(asked)
    if not 0 < total <= MOST_QUESTIONS:
        why = f"there are {total} questions to ask again, and 1 to {MOST_QUESTIONS} are asked"
        return finding(Verdict.NO_DATA, Code.NOT_MEASURED_AGAIN, why, asked=total)
    again: dict[Ask, Answer] = {}
    for ask in asked:
        if time_left() <= 0:
            why = f"after {len(again)} of {total} questions the time for asking again was over"
            return finding(Verdict.ERROR, Code.NOT_MEASURED_AGAIN, why, asked=total, answered=len(again))
        again[ask] = _put(source, ask)
        if again[ask].warnings:
            why = f"the answer is not whole: {again[ask].warnings[0]}"
            return finding(Verdict.NO_DATA, Code.SOURCE_WARNED, why)
    return again


def _agreed(asked: int) -> Finding:
    why = f"{asked} questions asked again at the gate's own Prometheus, and every number agrees"
    return finding(Verdict.PASS, Code.MEASURED_ALIKE, why, asked=asked)


@dataclass(frozen=True, slots=True)
class _Told:
    """The recorded answer to a question, and the time up to which every number of it must be the same."""

    answer: Answer
    settled: float


def _questions(
    form: Format, values: Mapping[str, Any], policy: Policy, recorded: Sequence[Exchange]
) -> dict[Ask, _Told]:
    """Return the judge's questions about a past time, with the recorded answers from the evidence."""
    soak, review = values["soak"], values["review"]
    notes = _Noted(recorded)
    form.soak(notes, policy, soak)
    found = dict(_past(notes, parse_utc(soak["report"]["as_of"])))
    if review is not None:
        notes = _Noted([transcript.read(each) for each in values["review_exchanges"]])
        form.review(notes, policy, review)
        found |= dict(_past(notes, parse_utc(review["as_of"])))
    return found


def _past(notes: _Noted, as_of: datetime) -> Iterator[tuple[Ask, _Told]]:
    settled = as_of.timestamp() - SETTLE_S
    yield from ((ask, _Told(answer, settled)) for ask, answer in notes.asked.items() if _has_a_past(ask))


def _has_a_past(ask: Ask) -> bool:
    return (ask.kind is Kind.QUERY and ask.at is not None) or ask.kind is Kind.RANGE


def _put(source: Metrics, ask: Ask) -> Answer:
    if ask.kind is Kind.RANGE:
        assert ask.start is not None
        assert ask.end is not None
        return source.query_range(ask.promql, ask.start, ask.end, ask.step_s)
    return source.query(ask.promql, ask.at)


def _told(
    differences: Sequence[Difference], source: Metrics, values: Mapping[str, Any], policy: Policy, asked: int
) -> Finding:
    """Judge the differences, unless the source no longer has data of that time."""
    started = values["soak"]["report"]["started_at"]
    begun = parse_utc(started) if started else parse_utc(values["soak"]["report"]["as_of"])
    latency = policy.metric_names(str(values["target"]["model"])).metric(f"{LATENCY}_count")
    knows = f"count(up) or count({latency})"
    if not _put(source, Ask(Kind.QUERY, knows, at=begun)).series:
        why = (
            f"the gate's Prometheus holds nothing of {format_utc(begun)}, so the numbers cannot be asked again; "
            "keep its data for longer than a soak"
        )
        return finding(Verdict.NO_DATA, Code.FORGOTTEN, why, begun=begun)
    first = differences[0]
    what = first.ask.promql if len(first.ask.promql) <= _SHOWN else f"{first.ask.promql[:_SHOWN]}…"
    at = format_utc(datetime.fromtimestamp(first.at, begun.tzinfo))
    why = (
        f"{len(differences)} numbers do not agree with the gate's own Prometheus; the first: at {at} the evidence says "
        f"{_number(first.recorded)} and Prometheus says {_number(first.found)} to {visible(what)}"
    )
    return finding(Verdict.FAIL, Code.MEASURED_OTHERWISE, why, asked=asked, differing=len(differences), at=at)


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.10g}"


def _other_verdict(
    form: Format,
    values: Mapping[str, Any],
    policy: Policy,
    recorded: Sequence[Exchange],
    again: Mapping[Ask, Answer],
) -> str:
    """The first gate that the judge decides otherwise with the newer numbers; empty where there is none."""
    newer = Replay([again.get(each.ask, each) for each in recorded])
    judged = {gate["name"]: gate["verdict"] for gate in form.soak(newer, policy, values["soak"])["gates"]}
    verdicts = {gate["name"]: gate["verdict"] for gate in values["soak"]["report"]["gates"]}
    return next(_moved(verdicts, judged), "")


def _moved(told: Mapping[str, str], judged: Mapping[str, str]) -> Iterator[str]:
    yield from (name for name in sorted(told.keys() | judged.keys()) if told.get(name) != judged.get(name))


def _alerts(values: Mapping[str, Any], policy: Policy, source: Metrics, as_of: datetime) -> Finding | None:
    """Ask for the alerts' own series at the moment of the judgement, if the evidence says that all were quiet."""
    shown = [str(gate["verdict"]) for gate in values["gates"] if gate["name"] == ALERTS_GATE]
    if not policy.alerts.quiet or shown != [Verdict.PASS]:
        return None
    fired = _put(source, Ask(Kind.QUERY, history_query(policy.alerts.quiet), at=as_of)).series
    if not fired:
        return None
    name = visible(fired[0].label("alertname"), limit=80)
    why = f"the evidence says that all alerts were quiet, and {name} was firing at {format_utc(as_of)}"
    return finding(Verdict.FAIL, Code.ALERT_CONTRADICTED, why, alert=name, at=as_of)
