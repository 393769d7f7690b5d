"""The contract of a model in a commit: by its rules, else by the artifacts that are in its stages."""

from __future__ import annotations

from dataclasses import replace

from ml.contract import Contract, in_force
from ml.errors import Invalid
from ml.policy import Policy
from ml.promotion.repository import Objects
from ml.registry.schema import Model, located
from ml.stage import Stage


def contract_of(
    objects: Objects, commit: str, policy: Policy, name: str, model: Model | None, artifact_base: str
) -> Contract | None:
    """Return the contract that a new artifact of a model must keep; ``None`` for a model that has none yet.

    The policy counts first, then the runbook's family. A model without either keeps the contract of its active, shadow
    or staging artifact: the one in its manifest, or the one that holds where a manifest states none. So nobody but an
    operator, by the policy, gives a model another contract.
    """
    stated = policy.contract(name)
    if stated is not None or model is None:
        return stated
    # Imported here: a server's hook reads manifests only of models without rules.
    from ml.artifacts.manifest import MANIFEST_FILE  # noqa: PLC0415

    pointer = next((found for stage in reversed(Stage) if (found := model.pointer(stage)) is not None), None)
    if pointer is None:
        return None
    raw = objects.read(commit, f"{located(pointer.artifact_dir, artifact_base)}/{MANIFEST_FILE}")
    return replace(in_force(None, pointer.artifact_id, _stated(raw)).contract, left_open=())


def _stated(raw: bytes | None) -> Contract | None:
    from ml.artifacts.manifest import parse_manifest  # noqa: PLC0415 - see above

    try:
        return parse_manifest(raw).contract if raw is not None else None
    except Invalid:
        return None
