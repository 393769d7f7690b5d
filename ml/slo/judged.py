"""A judged case as the reading that is shown, and the reading of a question that got no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.slo.case import Case
from ml.slo.judge import judge
from ml.slo.promql import Scope
from ml.slo.questions import shown_query
from ml.slo.recording import Failure
from ml.slo.terms import Terms
from ml.verdict import Reading

if TYPE_CHECKING:
    from ml.policy import Objective


def reading_of(case: Case, scope: Scope, terms: Terms) -> Reading:
    """A case, judged, as a reading."""
    found = judge(case)
    worst, window_s = case.deciding
    objective, samples = case.objective, case.measured.samples
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
        sampled_at=case.measured.newest,
        samples=None if samples is None else round(samples),
        series=0 if worst is None else worst.series,
        clamped=value is not None and case.clamped(value),
        gate=objective.gate,
    )


def failed_reading(objective: Objective, scope: Scope, terms: Terms, failure: Failure) -> Reading:
    """The reading of an objective whose question got no answer."""
    found = failure.finding
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
