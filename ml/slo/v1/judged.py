"""A judged case as the reading that is shown, and the reading of a question that got no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.slo.v1.case import Case
from ml.slo.v1.judge import judge
from ml.slo.v1.promql import Scope
from ml.slo.v1.questions import shown_query
from ml.slo.v1.terms import Terms
from ml.verdict import Reading, Verdict

if TYPE_CHECKING:
    from ml.policy import Objective


def reading_of(case: Case, scope: Scope, terms: Terms) -> Reading:
    """A case, judged, as a reading."""
    verdict, why = judge(case)
    worst, window_s = case.deciding
    objective, samples = case.objective, case.measured.samples
    value = worst.value if worst is not None and worst.is_number else None
    return Reading(
        name=objective.name,
        verdict=verdict,
        why=why,
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


def failed_reading(objective: Objective, scope: Scope, terms: Terms, cause: str) -> Reading:
    """The reading of an objective whose question got no answer."""
    return Reading(
        name=objective.name,
        verdict=Verdict.ERROR,
        why=cause,
        query=shown_query(objective, scope, terms.windows().long),
        limit=objective.limit,
        unit=objective.unit,
        series=0,
        gate=objective.gate,
    )
