"""The state of alert rules, read from the answers of Prometheus and Alertmanager. Pure.

A rule that is not loaded cannot fire, so its silence means nothing: VACUOUS. Source: Prometheus's ``/api/v1/rules``,
``/api/v1/alerts`` and the ``ALERTS`` series that it writes; Alertmanager's ``/api/v2/silences``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ml.clock import format_utc, span
from ml.slo import source
from ml.slo.exchanges import Exchange, Failure
from ml.slo.source import Answer, Kind
from ml.text import visible
from ml.verdict import Verdict, worst

_LATE_EVALUATIONS = 5
_SETTLE_S = 60.0
_FIRST_YEAR = 2000
"""Prometheus writes year 1 for a rule that it has not evaluated yet."""
_MOST_SILENCES = 3
_PLAIN = re.compile(r"[A-Za-z0-9_:]*(?:\.[*+][A-Za-z0-9_:]*){0,3}")
"""Expressions of silences that are tried: any other could keep Python, and so every key, busy for hours."""

Finding = tuple[str, Verdict, str]
"""A rule's name, what was found about it, and one sentence."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A loaded alert rule. ``state`` is ``inactive``, ``pending`` or ``firing``; ``error`` is empty in good health."""

    state: str
    error: str
    evaluated_at: datetime
    interval_s: float


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
        interval_s=float(group.get("interval") or 60.0),
    )


def state_of(name: str, rules: Sequence[Rule], now: datetime) -> Finding:
    """Return the state of one named rule now: the worst of the rules with that name."""
    shown = visible(name, limit=80)
    if not rules:
        return name, Verdict.VACUOUS, f"The rule {shown} is not loaded in Prometheus, so it cannot fire."
    found = [_state(shown, rule, now) for rule in rules]
    gravest = worst(verdict for verdict, _ in found)
    return name, gravest, next(why for verdict, why in found if verdict is gravest)


def _state(shown: str, rule: Rule, now: datetime) -> tuple[Verdict, str]:
    age = (now - rule.evaluated_at).total_seconds()
    verdict, why = Verdict.PASS, "All named alert rules are loaded and quiet."
    if rule.state == "firing":
        verdict, why = Verdict.FAIL, f"{shown} is firing."
    elif rule.evaluated_at.year < _FIRST_YEAR:
        verdict, why = Verdict.NO_DATA, f"The rule {shown} was never evaluated."
    elif rule.error:
        verdict, why = Verdict.ERROR, f"The rule {shown} cannot be evaluated: {rule.error}."
    elif age > max(_SETTLE_S, _LATE_EVALUATIONS * rule.interval_s):
        verdict, why = Verdict.STALE, f"The rule {shown} was evaluated {span(age)} ago, and not since."
    elif rule.state == "pending":
        verdict, why = Verdict.WAIT, f"{shown} is pending: its condition holds, but not for long enough yet."
    return verdict, why


def firing(alerts: Exchange, names: Sequence[str]) -> Iterable[Finding]:
    """Find the named alerts that the alerts endpoint lists as firing."""
    if isinstance(alerts, Failure):
        yield "alerts", Verdict.ERROR, alerts.cause
        return
    for alert in _dicts(source.read(alerts.raw, Kind.ALERTS).data.get("alerts")):
        labels = alert.get("labels")
        name = str(labels.get("alertname")) if isinstance(labels, dict) else ""
        if name in names and alert.get("state") == "firing":
            yield name, Verdict.FAIL, f"{visible(name, limit=80)} is firing."


def fired(history: Exchange) -> Iterable[Finding]:
    """Find past alerts in the answer to `ml.slo.v1.alerts.history_query`."""
    if isinstance(history, Failure):
        yield "history", Verdict.ERROR, history.cause
        return
    if history.warnings:
        yield "history", Verdict.NO_DATA, f"Prometheus warns about the alerts' history: {history.warnings[0]}."
    for series in history.series:
        name = series.label("alertname")
        first = datetime.fromtimestamp(series.points[0][0], UTC)
        yield name, Verdict.FAIL, f"{visible(name, limit=80)} fired during the soak, first by {format_utc(first)}."


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
        return True  # better told once too often
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
