"""Whether a change lands while it is fresh: what waited too long is planned anew on what holds now (SPEC §14). Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from ml.clock import format_utc, span
from ml.promotion.gate.case import Case, passed, refused
from ml.promotion.gate.signing import exemption
from ml.stage import Action
from ml.verdict import Code, Gate

AGE = "age"


def timely(case: Case, now: datetime | None, action: Action | None = None) -> Gate:
    """The change lands within the policy's hours of its own date, by the judge's clock.

    Otherwise whoever finds an operator's branch of last month could land it today. Rollbacks and withdrawals are
    exempt, and so are the first rules, because nobody holds a role yet that an old branch could misuse.

    Args:
        now: the judge's clock; ``None`` where it is no witness, as in a review of old history.
        action: what the change does; ``None`` for a change of the rules.
    """
    exempt = exemption(action) if action else "" if case.policy.roles.operators else "these are the first rules"
    if exempt or now is None:
        return passed(AGE, exempt or "the clock here is no witness of when it landed")
    age, allowed = now - case.commit.at, timedelta(hours=case.policy.ack.lands_within_hours)
    if age > allowed:
        why = (
            f"it is dated {format_utc(case.commit.at)}, {span(age.total_seconds())} ago, and a change lands within "
            f"{case.policy.ack.lands_within_hours:g} hours; plan it anew"
        )
        return refused(AGE, why, code=Code.TOO_OLD, age_s=age.total_seconds())
    return passed(AGE, f"within {case.policy.ack.lands_within_hours:g} hours of its date")
