"""The roster query: the engines of a stage, their artifacts, their scrape interval, and their possible models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo.engines import Roster, roster_of, scrape_interval
from ml.slo.exchanges import Failure, Recorder
from ml.slo.promql import Attribution, Scope, joined, split
from ml.slo.questions import duration, raw_query, who_query_parts
from ml.text import visible
from ml.verdict import Code, Finding, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Objective


def ask_roster(recorder: Recorder, scope: Scope, ratio: Objective | None, window_s: int, now: datetime) -> Roster:
    """Ask for the roster with two requests. It holds the failure where one got no answer."""
    answer = recorder.query(joined(who_query_parts(scope, ratio, scope.latency, duration(window_s))), at=now)
    if isinstance(answer, Failure):
        return Roster(failure=answer.finding)
    raw = recorder.query(raw_query(scope, scope.latency), at=now)
    if isinstance(raw, Failure):
        return Roster(failure=raw.finding)
    return roster_of(split(answer.series), scrape_interval(raw.series))


def several_models(roster: Roster, model: str, others: Sequence[str], selector: str) -> Finding | None:
    """Return a finding if the numbers may mix several models. ``others`` are the registry's other models."""
    if len(roster.models) > 1 and not (selector and roster.attribution is Attribution.ARTIFACT):
        named = ", ".join(visible(each, limit=40) for each in roster.models[:3])
        what = f"The series are those of several models ({named})"
        remedy = f"set [model.{model}] selector = 'model=\"{model}\"' in the policy"
    elif not selector and others and model not in roster.models and _unsaid(roster):
        named = ", ".join(others[:3])
        what = f"Nothing tells this model's series from those of {named}"
        remedy = f"set a selector for [model.{model}] in the policy"
    else:
        return None
    why = f"{what}, so the numbers may be another model's: {remedy}."
    return finding(Verdict.VACUOUS, Code.SEVERAL_MODELS, why, models=", ".join(roster.models or others))


def _unsaid(roster: Roster) -> bool:
    return roster.attribution is not Attribution.ARTIFACT
