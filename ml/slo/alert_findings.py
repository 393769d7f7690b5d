"""The state of alert rules, read from the answers of Prometheus and Alertmanager. Pure.

A rule that is not loaded cannot fire, so its silence means nothing: VACUOUS. Source: Prometheus's ``/api/v1/rules``,
``/api/v1/alerts`` and the ``ALERTS`` series that it writes; Alertmanager's ``/api/v2/silences``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ml.clock import format_utc, span
from ml.metrics_contract import RUNBOOK, MetricNames
from ml.slo import source
from ml.slo.exchanges import Exchange, Failure
from ml.slo.source import Answer, Kind
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Code, Finding, Verdict, finding, worst

_LATE_EVALUATIONS = 5
_SETTLE_S = 60.0
_FIRST_YEAR = 2000
"""Prometheus writes year 1 for a rule that it has not evaluated yet."""
_MOST_SILENCES = 3
_PLAIN = re.compile(r"[A-Za-z0-9_:]*(?:\.[*+][A-Za-z0-9_:]*){0,3}")
"""Expressions of silences that are tried: any other could keep Python, and so every key, busy for hours."""

Labels = Mapping[str, str]
Named = tuple[str, Finding]
"""A rule's name, and what was found about it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A loaded alert rule. ``state`` is ``inactive``, ``pending`` or ``firing``; ``error`` is empty in good health.

    ``alerts`` are its pending and firing alerts as (state, labels); ``expression`` is its PromQL, empty when unknown.
    """

    state: str
    error: str
    evaluated_at: datetime
    interval_s: float
    expression: str = ""
    alerts: tuple[tuple[str, Labels], ...] = ()


@dataclass(frozen=True, slots=True)
class Ours:
    """The alerts that count: those of one artifact in one stage of a model, as far as an alert's labels tell.

    ``selector`` are the policy's matchers of the model; ``instances`` the engines that serve it, none when unknown;
    ``names`` the metrics contract.
    """

    model: str
    stage: Stage
    selector: str = ""
    artifact_id: str = ""
    instances: frozenset[str] = frozenset()
    names: MetricNames = RUNBOOK

    def concerns(self, labels: Labels) -> bool:
        """True if no label says that the alert is about something else."""
        matchers = [(found["name"], found["op"], found["value"]) for found in _MATCHER.finditer(self.selector)]
        if any(name in labels and not _matches(labels[name], op, value) for name, op, value in matchers):
            return False
        stage = self.names.stage_of(labels.get(self.names.mode, ""))
        if stage is not None and stage is not self.stage:
            return False
        known = {self.names.artifact: self.artifact_id} | (
            {} if "model" in {name for name, *_ in matchers} else {"model": self.model}
        )
        if any(labels.get(name, value) != value for name, value in known.items() if value):
            return False
        instance = labels.get("instance", "")
        return not (instance and self.instances and instance not in self.instances)


_MATCHER = re.compile(r'(?P<name>[a-zA-Z_]\w*)\s*(?P<op>=~|!~|!=|=)\s*"(?P<value>(?:[^"\\]|\\.)*)"')


def _matches(value: str, op: str, wanted: str) -> bool:
    if op in ("=", "!="):
        return (value == wanted) is (op == "=")
    choices = _unwrapped(wanted).split("|")
    if not all(_PLAIN.fullmatch(choice) for choice in choices):
        return True  # better counted than overlooked
    return any(re.fullmatch(choice, value) for choice in choices) is (op == "=~")


def owner_of(labels: Labels, ours: Ours | None = None) -> str:
    """Name the model, stage and engine of an alert by its labels; safe to print."""
    names = ours.names if ours is not None else RUNBOOK
    text = ",".join(
        f"{name}={labels[name]}" for name in ("model", names.mode, "instance", names.artifact) if labels.get(name)
    )
    return visible(text, limit=120)


def loaded_rules(answer: Answer) -> dict[str, tuple[Rule, ...]]:
    """The alert rules by name; one name may be used more than once."""
    found: dict[str, tuple[Rule, ...]] = {}
    for group in _dicts(source.read(answer.raw, Kind.RULES).data.get("groups")):
        for rule in _dicts(group.get("rules")):
            if rule.get("type", "alerting") == "alerting":
                name = str(rule.get("name"))
                found[name] = (*found.get(name, ()), _rule(rule, group))
    return found


def _rule(rule: dict[str, Any], group: dict[str, Any]) -> Rule:
    healthy = rule.get("health") == "ok"
    return Rule(
        state=str(rule.get("state", "unknown")),
        error="" if healthy else visible(str(rule.get("lastError") or rule.get("health")), limit=200),
        evaluated_at=_moment(rule.get("lastEvaluation") or group.get("lastEvaluation")),
        interval_s=_seconds(group.get("interval")),
        expression=str(rule.get("query") or ""),
        alerts=tuple((str(alert.get("state")), _labels(alert)) for alert in _dicts(rule.get("alerts"))),
    )


def _seconds(found: object) -> float:
    """Read an interval: Prometheus gives seconds, vmalert a number or a duration."""
    try:
        return float(str(found).removesuffix("s")) or 60.0
    except ValueError:
        return 60.0


def _labels(alert: dict[str, Any]) -> dict[str, str]:
    labels = alert.get("labels")
    return {str(name): str(value) for name, value in labels.items()} if isinstance(labels, dict) else {}


def state_of(name: str, rules: Sequence[Rule], now: datetime, ours: Ours | None = None) -> Named:
    """Return the state of one named rule now: the worst of the rules with that name.

    ``ours``: the alerts that count; without it, all do.
    """
    shown = visible(name, limit=80)
    if not rules:
        why = f"The rule {shown} is not loaded in Prometheus, so it cannot fire."
        return name, finding(Verdict.VACUOUS, Code.RULE_NOT_LOADED, why, alert=shown)
    found = [_state(shown, rule, now, ours) for rule in rules]
    gravest = worst(each.verdict for each in found)
    return name, next(each for each in found if each.verdict is gravest)


def _state(shown: str, rule: Rule, now: datetime, ours: Ours | None) -> Finding:
    age = (now - rule.evaluated_at).total_seconds()
    firing, pending = (_alerting(rule, state, ours) for state in ("firing", "pending"))
    verdict, code, why = Verdict.PASS, Code.ALERTS_QUIET, QUIET
    if firing is not None:
        verdict, code, why = Verdict.FAIL, Code.ALERT_FIRING, f"{shown} is firing{_for(firing)}."
        return finding(verdict, code, why, alert=shown, owner=firing)
    if rule.evaluated_at.year < _FIRST_YEAR:
        verdict, code, why = Verdict.NO_DATA, Code.RULE_NEVER_EVALUATED, f"The rule {shown} was never evaluated."
    elif rule.error:
        why = f"The rule {shown} cannot be evaluated: {rule.error}."
        return finding(Verdict.ERROR, Code.RULE_BROKEN, why, alert=shown, error=rule.error)
    elif age > max(_SETTLE_S, _LATE_EVALUATIONS * rule.interval_s):
        why = f"The rule {shown} was evaluated {span(age)} ago, and not since."
        return finding(Verdict.STALE, Code.RULE_STALE, why, alert=shown, age_s=age)
    elif pending is not None:
        why = f"{shown} is pending{_for(pending)}: its condition holds, but not for long enough yet."
        return finding(Verdict.WAIT, Code.ALERT_PENDING, why, alert=shown, owner=pending)
    return finding(verdict, code, why, alert=shown)


QUIET = "All named alert rules are loaded and quiet."


def _alerting(rule: Rule, state: str, ours: Ours | None) -> str | None:
    """Return the owner of an alert in this state that counts, empty when its labels do not tell; ``None`` where none
    does.
    """
    there = [labels for each, labels in rule.alerts if each == state]
    if not there:
        # A rule without a list of alerts has no owner, so it counts as ours.
        return "" if rule.state == state and not rule.alerts else None
    counting = [labels for labels in there if ours is None or ours.concerns(labels)]
    return owner_of(counting[0], ours) if counting else None


def _for(owner: str) -> str:
    return f" for {owner}" if owner else ""


def elsewhere(names: Sequence[str], loaded: Mapping[str, Sequence[Rule]], ours: Ours) -> Iterable[str]:
    """List named alerts that fire for another stage or engine, a sentence each."""
    for name in names:
        firing = [labels for rule in loaded.get(name, ()) for state, labels in rule.alerts if state == "firing"]
        others = [labels for labels in firing if not ours.concerns(labels)]
        others.sort(key=lambda labels: labels.get("model") != ours.model)
        if others:
            by = owner_of(others[0], ours) or "another engine"
            yield f"{visible(name, limit=80)} is firing for {by}, which is not this one."


def firing(alerts: Exchange, names: Sequence[str], ours: Ours | None = None) -> Iterable[Named]:
    """Find the named alerts that the alerts endpoint lists as firing."""
    if isinstance(alerts, Failure):
        yield "alerts", alerts.finding
        return
    for alert in _dicts(source.read(alerts.raw, Kind.ALERTS).data.get("alerts")):
        labels = _labels(alert)
        name = labels.get("alertname", "")
        if name in names and alert.get("state") == "firing" and (ours is None or ours.concerns(labels)):
            shown, by = visible(name, limit=80), owner_of(labels, ours)
            why = f"{shown} is firing{_for(by)}."
            yield name, finding(Verdict.FAIL, Code.ALERT_FIRING, why, alert=shown, owner=by)


def fired(histories: Sequence[Exchange], ours: Ours | None = None) -> Iterable[Named]:
    """Find past alerts in the answers to `ml.slo.alerts.history_query`."""
    for history in histories:
        if isinstance(history, Failure):
            yield "history", history.finding
            continue
        if history.warnings:
            warning = history.warnings[0]
            why = f"Prometheus warns about the alerts' history: {warning}."
            yield "history", finding(Verdict.NO_DATA, Code.SOURCE_WARNED, why, warning=warning)
        for series in history.series:
            labels = dict(series.labels)
            if not series.points or (ours is not None and not ours.concerns(labels)):
                continue
            name, by = series.label("alertname"), owner_of(labels, ours)
            first = datetime.fromtimestamp(series.points[0][0], UTC)
            shown = visible(name, limit=80)
            why = f"{shown} fired during the soak{_for(by)}, first by {format_utc(first)}."
            yield name, finding(Verdict.FAIL, Code.ALERT_FIRED, why, alert=shown, first_at=first, owner=by)


def silences_of(silences: Exchange | None, names: Sequence[str]) -> Iterable[str]:
    """List Alertmanager's active silences of the named alerts, a sentence each: alert, author, end.

    A silence keeps messages from people and changes nothing about an alert, so it changes no verdict either.
    """
    if silences is None:
        return
    if isinstance(silences, Failure):
        yield f"Silences are unknown: {silences.cause}"
        return
    count = 0
    for silence in _dicts(source.read(silences.raw, Kind.SILENCES).data):
        status = silence.get("status")
        if isinstance(status, dict) and status.get("state") == "active":
            matchers = _dicts(silence.get("matchers"))
            about = [visible(name, limit=80) for name in names if _may_match(matchers, name)]
            count += bool(about)
            if about and count <= _MOST_SILENCES:
                yield f"Silenced in Alertmanager: {', '.join(about)}{_where(matchers)}, {_by_whom(silence)}."
    if count > _MOST_SILENCES:
        yield f"Alertmanager holds {count - _MOST_SILENCES} more silences of them."


def _may_match(matchers: Sequence[dict[str, Any]], name: str) -> bool:
    """True if a silence may be about this alert, by its name; other labels narrow it further."""
    return all(_holds(matcher, name) for matcher in matchers if matcher.get("name") == "alertname")


def _holds(matcher: dict[str, Any], value: str) -> bool:
    wanted, equal = str(matcher.get("value")), bool(matcher.get("isEqual", True))
    if not matcher.get("isRegex"):
        return (wanted == value) is equal
    choices = _unwrapped(wanted).split("|")
    if not all(_PLAIN.fullmatch(choice) for choice in choices):
        return True  # better reported once too often
    return any(re.fullmatch(choice, value) for choice in choices) is equal


def _unwrapped(expression: str) -> str:
    """An expression without the anchors and the group around the whole of it, which change nothing."""
    inner = expression.removeprefix("^").removesuffix("$")
    return inner[1:-1] if inner[:1] == "(" and inner[-1:] == ")" else inner


def _where(matchers: Sequence[dict[str, Any]]) -> str:
    """List a silence's other matchers, in PromQL's form. The loaded rules cannot tell if they match."""
    others = [matcher for matcher in matchers if matcher.get("name") != "alertname"]
    if not others:
        return ""
    signs = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
    shown = ",".join(
        f'{each.get("name")}{signs[bool(each.get("isEqual", True)), bool(each.get("isRegex"))]}"{each.get("value")}"'
        for each in others
    )
    return f" where {visible(shown, limit=120)}"


def _by_whom(silence: dict[str, Any]) -> str:
    ends = _moment(silence.get("endsAt"))
    until = format_utc(ends) if ends.year >= _FIRST_YEAR else visible(str(silence.get("endsAt")), limit=40)
    return f"by {visible(str(silence.get('createdBy')), limit=80)} until {until}"


def _moment(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def _dicts(found: object) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
