"""Verdicts, and the frozen values that carry them: checks, readings and gates (SPEC §1).

The first frame needs the words alone, so the values are defined when one is first asked for, as in `ml.board`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.on_demand import on_demand
from ml.verdict.words import Verdict, worst

if TYPE_CHECKING:
    from ml.verdict.findings import Check, Gate, Reading

__all__ = ["Check", "Gate", "Reading", "Verdict", "worst"]

__getattr__ = on_demand(__name__, dict.fromkeys(("Check", "Gate", "Reading"), "findings"))
