"""The alerts gate: the named rules are loaded and evaluated, quiet now, and were quiet during the soak."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo.alert_findings import (
    QUIET,
    Named,
    Ours,
    Rule,
    elsewhere,
    fired,
    firing,
    loaded_rules,
    silences_of,
    state_of,
)
from ml.slo.buckets import bound
from ml.slo.exchanges import Exchange, Failure, Recorder
from ml.slo.promql import Scope, joined, split
from ml.slo.questions import duration
from ml.slo.source import Series
from ml.slo.tape import Grid
from ml.text import visible
from ml.verdict import Code, Finding, Reading, Verdict, finding, worst

if TYPE_CHECKING:
    from ml.policy import Policy


# A check of an alert rule's expression: the series that it reads, and the comparisons that can never hold. Pure.
#
# This is no parser of PromQL. It finds the selectors of an expression, and the few forms of it that no series can ever
# make true. A rule that it does not understand counts as a rule that can fire.

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<number>(?:0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:ms|[smhdwy])*(?:\d+(?:ms|[smhdwy]))*)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:.]*)
    |(?P<sign>==|!=|>=|<=|=~|!~|.)""",
    re.VERBOSE | re.DOTALL,
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_AGGREGATIONS = frozenset(
    {"sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile"}
)
_WORDS = frozenset({"and", "or", "unless", "offset", "bool", "inf", "nan", "atan2", "default", "if", "ifnot"})
_MOST = 400
"""Tokens of one expression that are looked at."""
_THRESHOLD = re.compile(
    r"^(?P<left>.*[)\]}\w])\s*(?P<sign>>=|>|<=|<|==|!=)\s*(?:bool\s+)?(?P<number>[-+]?[\w.]+)\s*$", re.DOTALL
)
_BUCKET = "_bucket"


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector of an expression, such as ``metric{mode="shadow"}``; ``matchers`` is the text in the braces."""

    metric: str
    matchers: str = ""

    @property
    def text(self) -> str:
        """The selector as PromQL."""
        return f"{self.metric}{{{self.matchers}}}" if self.matchers or not self.metric else self.metric

    def narrowed(self, more: str) -> str:
        """The same with more matchers."""
        inside = ",".join(part for part in (self.matchers.rstrip(", "), more) if part)
        return f"{self.metric}{{{inside}}}" if inside else self.text


def selectors_of(expression: str) -> tuple[Selector, ...]:
    """The selectors of an expression, each once, in order."""
    return tuple(dict.fromkeys(selector for selector, _, _ in _found(expression)))


def rewritten(expression: str, other: Callable[[Selector], str]) -> str:
    """An expression with each of its selectors written in another way."""
    text, at = "", 0
    for selector, begin, end in _found(expression):
        text += expression[at:begin] + other(selector)
        at = end
    return text + expression[at:]


def _found(expression: str) -> list[tuple[Selector, int, int]]:
    """The selectors with where each begins and ends."""
    matches = [found for found in _TOKEN.finditer(expression) if found.lastgroup != "space"][:_MOST]
    tokens = [(str(found.lastgroup), found[0]) for found in matches]
    found: list[tuple[Selector, int, int]] = []
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "name" and text.lower() in _GROUPING and following == "(":
            at = _closing(tokens, at + 1, "(", ")") + 1
            continue
        metric = kind == "name" and not _is_word(text, following)
        if not metric and text != "{":
            at += 1
            continue
        inside, after = _braces(tokens, at + 1 if metric else at)
        found.append((Selector(text if metric else "", inside), matches[at].start(), matches[after - 1].end()))
        at = after
    return found


def _is_word(text: str, following: str) -> bool:
    """True if a name is a keyword of the language and not a metric."""
    return (
        following == "(" or text.lower() in _WORDS or (text.lower() in _AGGREGATIONS and following.lower() in _GROUPING)
    )


def _braces(tokens: list[tuple[str, str]], at: int) -> tuple[str, int]:
    if at >= len(tokens) or tokens[at][1] != "{":
        return "", at
    end = _closing(tokens, at, "{", "}")
    return "".join(text for _, text in tokens[at + 1 : end]), end + 1


def _closing(tokens: list[tuple[str, str]], at: int, opening: str, closing: str) -> int:
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index][1] == opening) - (tokens[index][1] == closing)
        if depth == 0:
            return index
    return len(tokens) - 1


def never_true(expression: str, top: float | None = None) -> str:
    """Say why no series can make the expression true, as the end of a sentence; empty where one may.

    Args:
        top: the top finite bound of the histograms that the expression reads, where it is known.
    """
    if not selectors_of(expression):
        return "its expression reads no series"
    found = _THRESHOLD.match(expression.strip())
    if not found or not _balanced(found["left"]):
        return ""
    left, sign, limit = found["left"].strip(), found["sign"], _value(found["number"])
    if limit is None:
        return "it compares a value with itself" if left == found["number"] and sign in (">", "<", "!=") else ""
    if math.isnan(limit) or (limit == math.inf and sign in (">", ">=")) or (limit == -math.inf and sign in ("<", "<=")):
        return f"no value is {sign} {found['number']}"
    if top is not None and _is_call(left, "histogram_quantile"):
        beyond = limit >= top if sign == ">" else limit > top if sign in (">=", "==") else False
        if beyond:
            return f"the top finite bucket is {top:g}, so no quantile is {sign} {limit:g}"
    return ""


def _is_call(text: str, name: str) -> bool:
    """True if the whole expression is one call of a function."""
    inner = text[len(name) :].strip()
    return text.startswith(name) and inner[:1] == "(" and inner[-1:] == ")" and _balanced(inner[1:-1])


def _balanced(text: str) -> bool:
    depth = 0
    for sign in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (sign in "({[") - (sign in ")}]")
        if depth < 0:
            return False
    return depth == 0


def _value(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def reads_buckets(selector: Selector) -> bool:
    """True if a selector reads the buckets of a histogram."""
    return selector.metric.endswith(_BUCKET)


# The gate.

_LATELY = "1d"
_MOST_POINTS = 10_000
"""Points of one range query: Prometheus refuses more than 11,000."""


@dataclass(frozen=True, slots=True)
class AlertsView:
    """The finding about each named rule, Alertmanager's silences of them, and sentences on others' firing alerts."""

    findings: tuple[Named, ...]
    silences: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The most severe of the findings."""
        return worst(found.verdict for _, found in self.findings) if self.findings else Verdict.VACUOUS

    @property
    def found(self) -> Finding:
        """The most severe finding, silences named with it."""
        none = finding(Verdict.VACUOUS, Code.NO_ALERT_RULE, "The policy names no alert rule, so none can fire.")
        gravest = next((found for _, found in self.findings if found.verdict is self.verdict), none)
        sentences = [gravest.why, *self.others, *self.silences] if self.findings else self.silences or [gravest.why]
        return replace(gravest, why=" ".join(sentences))

    @property
    def why(self) -> str:
        """Its sentence."""
        return self.found.why

    def reading(self, at: datetime) -> Reading:
        """The alerts as one line of the board, as they were at a time."""
        found = self.found
        return Reading(
            name="alerts",
            verdict=found.verdict,
            why=found.why,
            code=found.code,
            facts=found.facts,
            query="ALERTS",
            sampled_at=None if self.verdict is Verdict.ERROR else at,
            series=len(self.findings),
        )


def alerts_now(recorder: Recorder, names: Sequence[str], now: datetime, ours: Ours | None = None) -> AlertsView:
    """Judge the rules with one request: loaded, evaluated, and quiet now. ``ours``: the alerts that count."""
    return alerts_in(recorder.rules(), names, now, ours)


def alerts_in(rules: Exchange, names: Sequence[str], now: datetime, ours: Ours | None = None) -> AlertsView:
    """The same from an answer that is there already."""
    if isinstance(rules, Failure):
        return AlertsView((("rules", rules.finding),))
    loaded = loaded_rules(rules)
    others = tuple(elsewhere(names, loaded, ours)) if ours is not None else ()
    return AlertsView(tuple(state_of(name, loaded.get(name, ()), now, ours) for name in names), others=others)


def alerts_of_soak(
    recorder: Recorder, policy: Policy, now: datetime, grid: Grid, scope: Scope, ours: Ours
) -> AlertsView:
    """Judge as `alerts_now`, and check that rules can fire, did not fire in the soak, agree, and are not silenced."""
    names = policy.alerts.quiet
    rules = recorder.rules()
    view = alerts_in(rules, names, now, ours)
    found = [each for each in view.findings if not _alerting(each)]
    loaded = {} if isinstance(rules, Failure) else loaded_rules(rules)
    found += _able(recorder, policy, loaded, scope, now)
    alerting = [each for each in view.findings if _alerting(each)]
    alerting += firing(recorder.alerts(), names, ours)
    alerting += fired(tuple(_histories(recorder, names, grid)), ours)
    mode = scope.names.mode
    known = [each for each in alerting if _owner(each, mode) is None]
    vague = [each for each in alerting if _owner(each, mode) is not None]
    counting, others = _ours_of(recorder, policy, loaded, vague, _Where(scope, grid, now, ours))
    silences = tuple(silences_of(recorder.silences(), names))
    return AlertsView((*found, *known, *counting), silences, (*view.others, *others))


def _alerting(named: Named) -> bool:
    return named[1].code in (Code.ALERT_FIRING, Code.ALERT_PENDING, Code.ALERT_FIRED)


def _owner(named: Named, mode: str) -> str | None:
    """Return an alert's owner if no label (``mode`` is the stage's) tells its stage or engine; ``None`` if one does."""
    owner = dict(named[1].facts).get("owner")
    if not _alerting(named) or not isinstance(owner, str) or not owner:
        return None
    return None if f"{mode}=" in owner or "instance=" in owner else owner


@dataclass(frozen=True, slots=True)
class _Where:
    """The engines and the time that an alert may be about."""

    scope: Scope
    grid: Grid
    now: datetime
    ours: Ours


def _ours_of(
    recorder: Recorder, policy: Policy, loaded: Mapping[str, Sequence[Rule]], vague: Sequence[Named], where: _Where
) -> tuple[list[Named], list[str]]:
    """Sort alerts that name only the model: those that our engines raise too, and sentences about the others.

    Their rule's expression is asked again, narrowed to our engines: where it was never true for them, the alert is
    another stage's. Where that cannot be asked, the alert counts.
    """
    counting: list[Named] = []
    others: list[str] = []
    quiet: dict[str, bool] = {}
    for name, found in vague:
        if name not in quiet:
            quiet[name] = _never_ours(recorder, policy, loaded.get(name, ()), where)
        if quiet[name]:
            counting.append((name, finding(Verdict.PASS, Code.ALERTS_QUIET, QUIET, alert=visible(name, limit=80))))
            others.append(f"{visible(name, limit=80)} is about other engines of this model: it never held for these.")
        else:
            counting.append((name, found))
    return counting, list(dict.fromkeys(others))


def _never_ours(recorder: Recorder, policy: Policy, rules: Sequence[Rule], where: _Where) -> bool:
    """True if the expressions of these rules, narrowed to our engines, held neither now nor in the soak."""
    asked = {}
    for number, rule in enumerate(rules):
        narrowed = _narrowed(policy, where, rule.expression)
        if not narrowed:
            return False
        asked[str(number)] = f"count_over_time(({narrowed})[{duration(where.grid.step_s)}:1m])"
    if not asked:
        return False
    exchanges: list[Exchange] = [recorder.query(joined(asked), at=where.now)]
    for first in range(0, where.grid.cells, _MOST_POINTS):
        begin, end = where.grid.end_of(first), where.grid.end_of(min(first + _MOST_POINTS, where.grid.cells) - 1)
        exchanges.append(recorder.query_range(joined(asked), begin, end, where.grid.step_s))
    return all(not isinstance(each, Failure) and not each.series and not each.warnings for each in exchanges)


def _narrowed(policy: Policy, where: _Where, expression: str) -> str:
    """Narrow an expression to our engines; empty where it reads a metric that does not tell engines apart."""
    if not expression or not where.ours.instances:
        return ""
    timed, counted = _metrics(policy, where.scope)
    if any(each.metric not in timed | counted for each in selectors_of(expression)):
        return ""
    engines = "|".join(re.escape(each) for each in sorted(where.ours.instances)).replace("\\", "\\\\")
    instance = f'instance=~"{engines}"'

    def other(selector: Selector) -> str:
        stage = where.scope.timed("") if selector.metric in timed else where.scope.counted("")
        return selector.narrowed(f"{stage[1:-1]},{instance}")

    return rewritten(expression, other)


def _metrics(policy: Policy, scope: Scope) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the model's metrics: those that carry a mode, and counters that may not."""
    shown = scope.names.shown
    histograms = {shown(each.metric) for each in policy.objectives if each.metric} | {shown(scope.latency)}
    timed = frozenset(f"{metric}{suffix}" for metric in histograms for suffix in ("_bucket", "_count", "_sum"))
    counters = (name for each in policy.objectives for name in (each.errors, each.successes) if name)
    return timed, frozenset(map(shown, counters))


def _histories(recorder: Recorder, names: Sequence[str], grid: Grid) -> Iterator[Exchange]:
    if not names:
        return
    for first in range(0, grid.cells, _MOST_POINTS):
        last = min(first + _MOST_POINTS, grid.cells) - 1
        promql = history_query(names, duration(grid.step_s))
        yield recorder.query_range(promql, grid.end_of(first), grid.end_of(last), grid.step_s)


def history_query(names: Sequence[str], window: str = "5m") -> str:
    """Return the query for past alerts: one series per alert and labels, present where it fired within the step."""
    pattern = "|".join(re.escape(name) for name in names).replace("\\", "\\\\")
    return f'max_over_time(ALERTS{{alertname=~"{pattern}",alertstate="firing"}}[{window}])'


def _able(
    recorder: Recorder, policy: Policy, loaded: Mapping[str, Sequence[Rule]], scope: Scope, now: datetime
) -> Iterator[Named]:
    """Rules that cannot fire: nothing that they read is there, or nothing could make them true. One request."""
    named = [
        (name, rule.expression) for name in policy.alerts.quiet for rule in loaded.get(name, ()) if rule.expression
    ]
    asked: dict[str, str] = {}
    for number, (_, expression) in enumerate(named):
        for index, selector in enumerate(selectors_of(expression)):
            asked[f"{number}.{index}"] = _present(policy, scope, selector)
    parts: dict[str, tuple[Series, ...]] = {}
    if asked:
        answer = recorder.query(joined(asked), at=now)
        if isinstance(answer, Failure):
            yield "rules", answer.finding
            return
        parts = split(answer.series)
    for number, (name, expression) in enumerate(named):
        series = [each for key, there in parts.items() if key.partition(".")[0] == str(number) for each in there]
        why = _unable(expression, series, scope)
        if why:
            shown = visible(name, limit=80)
            sentence = f"The rule {shown} cannot fire: {why}."
            yield name, finding(Verdict.VACUOUS, Code.RULE_CANNOT_FIRE, sentence, alert=shown)


def _present(policy: Policy, scope: Scope, selector: Selector) -> str:
    """Count recent series of a rule's selector, of this model and stage if it reads the model's metrics."""
    timed, counted = _metrics(policy, scope)
    if selector.metric in timed:
        text = scope.timed("")[1:-1]
    elif selector.metric in counted:
        text = scope.counted("")[1:-1]
    else:
        text = ""
    promql = f"last_over_time({selector.narrowed(text)}[{_LATELY}])"
    return f"count by (le) ({promql})" if reads_buckets(selector) else f"count({promql})"


def _unable(expression: str, series: Sequence[Series], scope: Scope) -> str:
    bounds = [at for each in series if math.isfinite(at := bound(each.label("le") or "nan"))]
    never = never_true(expression, max(bounds, default=None))
    if never:
        return never
    return "" if series else f"nothing that it reads is there for this model in {scope.stage}"
