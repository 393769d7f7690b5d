"""The frozen values of a promotion or rollback: target, checklist, ACK, plan, submission."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ml.board import SoakReport
from ml.stage import Action, Stage
from ml.verdict import Check, Gate, Reading, Verdict

if TYPE_CHECKING:
    from ml.promotion.origins import FoundPointer, Origin
    from ml.registry.schema import Pointer


REVIEW_GATE = "review"
"""The gate of a step to active that is WAIT until the reviewer types a dashboard finding."""

ACK_GATE = "ack"
"""The gate of a step to active that is WAIT until the plan gets the typed phrase."""

KILL_GATE = "kill_switch"
"""The gate of a step, on the board and in the checklist, while the kill switch is not off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The subject of one change, frozen when its screen opens, so that a later poll cannot swap it.

    ``base_commit`` is the commit of the registry ref, ``registry_blob`` the object id of the registry
    file in it (empty: no registry yet).
    """

    action: Action
    model: str
    from_stage: Stage | None
    to_stage: Stage
    artifact_id: str
    artifact_dir: str
    model_sha256: str
    base_commit: str
    registry_blob: str
    opened_at: datetime
    actor: str

    @classmethod
    def of(
        cls,
        action: Action,
        model: str,
        to_stage: Stage,
        pointer: Pointer,
        *,
        base_commit: str,
        registry_blob: str,
        opened_at: datetime,
        actor: str,
        model_sha256: str | None = None,
    ) -> Target:
        """The target of moving a pointer's artifact; the action and ``to_stage`` decide where it comes from.

        Args:
            pointer: names the artifact, its directory and, where it has one, its digest.
            model_sha256: the digest that was found otherwise, for a pointer that has none.
        """
        origins = {Action.PROMOTE: to_stage.below, Action.ROLLBACK: Stage.ACTIVE, Action.WITHDRAW: to_stage}
        return cls(
            action=action,
            model=model,
            from_stage=origins.get(action),
            to_stage=to_stage,
            artifact_id=pointer.artifact_id,
            artifact_dir=pointer.artifact_dir,
            model_sha256=pointer.model_sha256 or "" if model_sha256 is None else model_sha256,
            base_commit=base_commit,
            registry_blob=registry_blob,
            opened_at=opened_at,
            actor=actor,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """The capsule of a promotion: canonical JSON with raw responses, its SHA-256, and the review drawing."""

    document: bytes
    sha256: str
    review_svg: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    """All gates of one step, judged at ``as_of``, with their evidence.

    ``ack_phrase`` is the phrase to type by the policy (empty: this step needs none). ``oddities`` are
    sentences about what the dashboard review found odd, for the reviewer to answer. ``finding`` and ``waivers``
    (gate name and reason) are what was typed, so that the same checklist can be judged again.
    """

    target: Target
    gates: tuple[Gate, ...]
    as_of: datetime
    evidence: Evidence
    ack_phrase: str = ""
    oddities: tuple[str, ...] = ()
    finding: str = ""
    waivers: tuple[tuple[str, str], ...] = ()
    soak: SoakReport | None = None

    @property
    def open(self) -> bool:
        """True if every gate lets the promotion through. An empty checklist never does."""
        return bool(self.gates) and all(gate.verdict.opens for gate in self.gates)

    @property
    def ready(self) -> bool:
        """True if only the typed ACK is missing."""
        return bool(self.gates) and all(gate.name == ACK_GATE or gate.verdict.opens for gate in self.gates)

    @property
    def blockers(self) -> tuple[Gate, ...]:
        """The gates that keep the promotion from going ahead."""
        return tuple(gate for gate in self.gates if not gate.verdict.opens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """A typed acknowledgement, good once, for one artifact, evidence and registry, until ``expires_at``."""

    phrase: str
    by: str
    at: datetime
    expires_at: datetime
    model_sha256: str
    evidence_sha256: str
    registry_blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The result of planning a change, computed without side effects.

    ``files`` are all paths (relative to the repository root) with their whole new bytes, registry included. ``diff`` is
    a unified diff of the registry for people. ``body`` is the pull request's Markdown. ``origins`` are, for a rollback,
    the sources of pointer fields that no event holds. ``large`` are the files that pointers in ``files`` stand for.
    """

    target: Target
    branch: str
    title: str
    message: str
    body: str
    files: tuple[tuple[str, bytes], ...]
    diff: str
    gates: tuple[Gate, ...] = ()
    evidence_sha256: str = ""
    ack: Ack | None = None
    warnings: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    large: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The result of a plan. ``pushed`` is true only when the remote was read back holding ``commit``."""

    branch: str
    commit: str
    pushed: bool
    why: str
    pr_url: str = ""
    body_path: str = ""


@dataclass(frozen=True, slots=True)
class Landing:
    """A branch that became the base: the new base commit, and the remote that has it.

    ``problem`` is why the audit log does not tell of it; empty where it does.
    """

    branch: str
    base: str
    commit: str
    gates: tuple[Gate, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A possible target of a rollback, and if its verification allows it."""

    artifact_id: str
    active_from: datetime | None
    tenure_s: int | None
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """A rollback ready to confirm. ``plan`` is ``None`` when there is nothing to do, and ``why`` says why.

    ``reviving`` are open branches that would promote the artifact that is being left. ``found`` is the pointer that
    becomes active, and where each of its fields was found.
    """

    model: str
    from_artifact: str
    to_artifact: str
    why: str
    reason: str
    plan: Plan | None
    checks: tuple[Check, ...] = ()
    breaching: tuple[Reading, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    condemned: tuple[str, ...] = ()
    reviving: tuple[str, ...] = ()
    tenure_s: int | None = None
    built_at: datetime | None = None
    found: FoundPointer | None = None


# The description of a change in the journal and the audit log.


def of_change(target: Target) -> dict[str, str]:
    """Action, person, model, artifact and stage of a change."""
    return {
        "action": str(target.action),
        "by": target.actor,
        "model": target.model,
        "artifact_id": target.artifact_id,
        "to_stage": str(target.to_stage),
    }
