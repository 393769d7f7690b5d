"""The policy `ml/registry/policy.toml`: thresholds, roles, freeze windows (contract §5, §12).

It is always read from the base commit, so that a change cannot relax its own rules. Every key is optional, and
the defaults are the runbook's. A ``[[objective]]`` with the name of a default one changes only the keys that it
gives, so that adding a gate never removes another. Unknown keys are refused, naming the nearest known one.
"""

from __future__ import annotations

from ml.policy.sections import (
    NEVER_WAIVABLE,
    Ack,
    Alerts,
    Artifacts,
    Checks,
    Evidence,
    FreezeWindow,
    ModelPolicy,
    Objective,
    Roles,
    Soak,
    Waivers,
    Watch,
)
from ml.policy.whole import (
    MAX_BYTES,
    Policy,
    PolicyInvalid,
    parse_policy,
    policy_document,
    policy_of_evidence,
    policy_or_complaint,
)

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
