"""The gate's lines about evidence: the numbers that were measured twice, and those that only the author reports.

`measured` asks the gate's own Prometheus again (see `ml.promotion.remeasured`); `claims` names the facts that nobody
can ask again, and `acceptable_format` which formats of evidence a new change may bring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ml.promotion.gate.authority import affects_trading
from ml.promotion.gate.case import Case, Move, passed, refused
from ml.promotion.remeasured import measured_again
from ml.slo.source import Metrics
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Code, Gate, Verdict, finding

MEASURED, CLAIMS = "measured", "claims"


def acceptable_format(case: Case, move: Move, values: Mapping[str, Any]) -> Gate | None:
    """Refuse evidence of a format that a new change may not bring; ``None`` where it may.

    An older format is judged by the older, laxer judge, and the author would choose it. This does not block rollbacks
    and withdrawals.
    """
    if move.action not in (Action.STAGE, Action.PROMOTE):
        return None
    oldest, brought = case.policy.evidence.oldest_format, str(values.get("schema_version"))
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
