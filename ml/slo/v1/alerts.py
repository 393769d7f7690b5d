"""The alerts gate: the named rules are loaded and evaluated, quiet now, and were quiet during the soak."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ml.slo.exchanges import Failure, Recorder
from ml.slo.v1.alert_findings import Finding, fired, firing, loaded_rules, silences_of, state_of
from ml.slo.v1.tape import Grid
from ml.verdict import Reading, Verdict, worst


@dataclass(frozen=True, slots=True)
class AlertsView:
    """The finding about each named rule, and Alertmanager's silences of them in words."""

    findings: tuple[Finding, ...]
    silences: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The most severe of the findings."""
        return worst(verdict for _, verdict, _ in self.findings) if self.findings else Verdict.VACUOUS

    @property
    def why(self) -> str:
        """The sentence of the most severe finding, silences named with it."""
        sentences = [why for _, verdict, why in self.findings if verdict is self.verdict]
        return " ".join([*sentences[:1], *self.silences]) or "The policy names no alert rule, so none can fire."

    def reading(self, at: datetime) -> Reading:
        """The alerts as one line of the board, as they were at a time."""
        return Reading(
            name="alerts",
            verdict=self.verdict,
            why=self.why,
            query="ALERTS",
            sampled_at=None if self.verdict is Verdict.ERROR else at,
            series=len(self.findings),
        )


def alerts_now(recorder: Recorder, names: Sequence[str], now: datetime) -> AlertsView:
    """Judge the rules with one request: loaded, evaluated, and quiet now."""
    rules = recorder.rules()
    if isinstance(rules, Failure):
        return AlertsView((("rules", Verdict.ERROR, rules.cause),))
    loaded = loaded_rules(rules)
    return AlertsView(tuple(state_of(name, loaded.get(name, ()), now) for name in names))


def alerts_of_soak(recorder: Recorder, names: Sequence[str], now: datetime, grid: Grid) -> AlertsView:
    """Judge as `alerts_now`, and check that rules agree with the alerts endpoint, did not fire, and have no silence."""
    found = list(alerts_now(recorder, names, now).findings)
    found += firing(recorder.alerts(), names)
    if grid.cells:
        first, last = grid.end_of(0), grid.end_of(grid.cells - 1)
        found += fired(recorder.query_range(history_query(names), first, last, grid.step_s))
    return AlertsView(tuple(found), tuple(silences_of(recorder.silences(), names)))


def history_query(names: Sequence[str]) -> str:
    """Return the query for past alerts: one series per alert, present where it fired within the step's five minutes."""
    pattern = "|".join(re.escape(name) for name in names).replace("\\", "\\\\")
    return f'max by (alertname) (max_over_time(ALERTS{{alertname=~"{pattern}",alertstate="firing"}}[5m]))'
