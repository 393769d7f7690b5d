"""The policy `ml/registry/policy.toml`: thresholds, roles, freeze windows (SPEC §5, §12).

It is always read from the base commit, so that a change cannot relax its own rules. Every key is optional, and
the defaults are the runbook's. A ``[[objective]]`` with the name of a default one changes only the keys that it
gives, so that nobody loses a gate by adding another. Unknown keys are refused, naming the nearest known one.
"""

from __future__ import annotations

from ml.policy.freezes import FreezeWindow
from ml.policy.objectives import Objective
from ml.policy.reading import MAX_BYTES, PolicyInvalid, parse_policy, policy_of_evidence, policy_or_complaint
from ml.policy.sections import (
    NEVER_WAIVABLE,
    Ack,
    Alerts,
    Artifacts,
    Checks,
    Evidence,
    ModelPolicy,
    Roles,
    Soak,
    Waivers,
    Watch,
)
from ml.policy.whole import Policy, policy_document

__all__ = [
    "MAX_BYTES",
    "NEVER_WAIVABLE",
    "Ack",
    "Alerts",
    "Artifacts",
    "Checks",
    "Evidence",
    "FreezeWindow",
    "ModelPolicy",
    "Objective",
    "Policy",
    "PolicyInvalid",
    "Roles",
    "Soak",
    "Waivers",
    "Watch",
    "parse_policy",
    "policy_document",
    "policy_of_evidence",
    "policy_or_complaint",
]
