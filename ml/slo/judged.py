"""A judged case as the reading that is shown, and the reading of a question that got no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.slo.case import Case
from ml.slo.judge import judge
from ml.slo.promql import Scope
from ml.slo.questions import shown_query
from ml.slo.recording import Failure
from ml.slo.terms import Terms
from ml.verdict import Finding, Reading

if TYPE_CHECKING:
    from ml.policy import Objective


def reading_of(case: Case, scope: Scope, terms: Terms) -> Reading:
    """A case, judged, as a reading."""
    found = judge(case)
    worst, window_s = case.deciding
    objective, samples = case.objective, case.measured.total
    newest = min(case.measured.newest.values(), default=None)
    value = worst.value if worst is not None and worst.is_number else None
    return Reading(
        name=objective.name,
        verdict=found.verdict,
        why=found.why,
        code=found.code,
        facts=found.facts,
        query=shown_query(objective, scope, terms.windows().long),
        value=value,
        limit=objective.limit,
        unit=objective.unit,
        window_s=window_s,
        sampled_at=newest,
        samples=None if samples is None else round(samples),
        series=0 if worst is None else worst.series,
        clamped=value is not None and worst is not None and case.clamped(worst),
        attribution=str(scope.attribution),
        gate=objective.gate,
    )


def failed_reading(objective: Objective, scope: Scope, terms: Terms, failure: Failure) -> Reading:
    """The reading of an objective whose question got no answer."""
    return unasked_reading(objective, scope, terms, failure.finding)


def unasked_reading(objective: Objective, scope: Scope, terms: Terms, found: Finding) -> Reading:
    """The reading of an objective of which only that is known."""
    return Reading(
        name=objective.name,
        verdict=found.verdict,
        why=found.why,
        code=found.code,
        facts=found.facts,
        query=shown_query(objective, scope, terms.windows().long),
        limit=objective.limit,
        unit=objective.unit,
        series=0,
        gate=objective.gate,
    )
