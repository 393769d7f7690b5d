"""The gate ``review``: a person looked at the day's charts and typed what they found (runbook, procedure 3)."""

from __future__ import annotations

from dataclasses import replace

from ml.errors import Unavailable
from ml.operations.context import Context
from ml.operations.registries import Base
from ml.promotion.values import REVIEW_GATE
from ml.slo.review import Review, review
from ml.text import visible
from ml.verdict import Code, Gate, Verdict, finding

_LEAST_LETTERS = 10
"""A finding shorter than this says nothing that a reviewer of the change could use."""


def look_at_day(context: Context, base: Base, model: str) -> Review:
    """Draw the review of a model's last day.

    Raises:
        Unavailable: no Prometheus is configured.
    """
    if context.metrics is None:
        raise Unavailable("No Prometheus is configured, so there is nothing to review.", "Set prometheus.url.")
    return review(context.metrics, base.policy, model, context.clock.now())


def review_gate(context: Context, base: Base, model: str, typed: str) -> tuple[Review, Gate]:
    """Draw the review and judge the finding; oddities do not close the gate, silence about them does.

    Raises:
        Unavailable: no Prometheus is configured.
    """
    found = look_at_day(context, base, model)
    return found, _judged(found, typed.strip())


def _judged(found: Review, typed: str) -> Gate:
    number = len(found.oddities)
    odd = "1 oddity" if number == 1 else f"{number} oddities" if number else "nothing odd"
    if found.trouble:
        return replace(found.trouble, verdict=Verdict.NO_DATA).gate(REVIEW_GATE)
    if len(typed) < _LEAST_LETTERS:
        why = f"look at the charts ({odd}) and type your finding"
        return finding(Verdict.WAIT, Code.REVIEW_AWAITED, why, oddities=number).gate(REVIEW_GATE)
    said = visible(typed, limit=300)
    return finding(Verdict.PASS, Code.REVIEWED, f"{said} ({odd})", oddities=number).gate(REVIEW_GATE)
