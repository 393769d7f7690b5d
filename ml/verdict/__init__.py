"""Verdicts, and the frozen values that carry them: findings, checks, readings and gates (SPEC §1).

The first frame needs the words alone, so the values are defined when one is first asked for, as in `ml.board`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.on_demand import on_demand
from ml.verdict.words import Verdict, worst

if TYPE_CHECKING:
    from ml.verdict.codes import Code
    from ml.verdict.findings import Check, Fact, Facts, Finding, Gate, Reading, facts_of, finding

__all__ = ["Check", "Code", "Fact", "Facts", "Finding", "Gate", "Reading", "Verdict", "facts_of", "finding", "worst"]

_FINDINGS = ("Check", "Fact", "Facts", "Finding", "Gate", "Reading", "facts_of", "finding")

__getattr__ = on_demand(__name__, {"Code": "codes"} | dict.fromkeys(_FINDINGS, "findings"))
