"""Planning a change: new registry bytes, branch, commit message, evidence files and PR body. Pure (contract §5).

Nothing is written here; `ml.promotion.submit` carries a plan out, and `ml.promotion.gate` judges the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypedDict

from ml.board import SoakReport
from ml.clock import format_utc, parse_utc
from ml.difference import difference
from ml.errors import Invalid, Refused
from ml.promotion.body import Account, body
from ml.promotion.gates import misfit
from ml.promotion.origins import Origin
from ml.promotion.paths import Places
from ml.promotion.repository import EVIDENCE_LIMIT, EXPORT_LIMIT, READ_LIMIT
from ml.promotion.values import Ack, Evidence, Plan, Target
from ml.registry import changes
from ml.registry.changes import Change
from ml.registry.codec import Document
from ml.registry.schema import Pointer
from ml.stage import Action
from ml.text import visible
from ml.verdict import Gate, Verdict

# The names of a change: its branch, its title, the time in names, and the trailers of its commit. Pure.


def stamp(moment: datetime) -> str:
    """Format a time for the names of branches and folders: ``20260216T100000Z``."""
    return format_utc(moment).replace("-", "").replace(":", "")


def title_of(target: Target) -> str:
    """The commit's first line, and the pull request's title."""
    artifact, model = target.artifact_id, target.model
    return {
        Action.STAGE: f"Stage {artifact} ({model})",
        Action.PROMOTE: f"Promote {artifact} to {target.to_stage} ({model})",
        Action.ROLLBACK: f"Roll back to {artifact} ({model})",
        Action.WITHDRAW: f"Withdraw {artifact} from {target.to_stage} ({model})",
    }[target.action]


def branch_of(target: Target, at: datetime) -> str:
    """The branch of a change, unlike that of any other (contract §5)."""
    way = "from" if target.action is Action.WITHDRAW else "to"
    return f"{target.action}/{target.model}/{target.artifact_id}-{way}-{target.to_stage}-{stamp(at)}"


def trailers_of(target: Target, evidence_sha256: str, ack: Ack | None) -> str:
    """The last paragraph of the commit message, by which scripts know a change."""
    known = {
        "Model": target.model,
        "Artifact": target.artifact_id,
        "From-Stage": str(target.from_stage or ""),
        "To-Stage": str(target.to_stage),
        "Evidence-SHA256": evidence_sha256,
        "Ack": ack.phrase if ack else "",
        "Ack-By": ack.by if ack else "",
    }
    return "".join(f"{key}: {value}\n" for key, value in known.items() if value)


FRESH = timedelta(hours=1)
"""The maximum age of evidence when the change is made. Yesterday's service level says nothing about now."""

_MAX_REASON = 500
_SOURCE = "mlconsole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Everything that a change is made of, before it becomes a plan.

    ``document`` is the registry at ``target.base_commit``, ``archive`` the bytes of the model's archive there.
    ``exemption`` names the freeze window that a rollback overrode, ``origins`` where its pointer was found.
    """

    target: Target
    document: Document
    reason: str
    at: datetime
    evidence: Evidence
    archive: bytes = b""
    gates: tuple[Gate, ...] = ()
    soak: SoakReport | None = None
    ack: Ack | None = None
    warnings: tuple[str, ...] = ()
    exemption: str = ""
    places: Places = field(default_factory=Places)
    origins: tuple[Origin, ...] = ()


def plan_stage(proposal: Proposal, pointer: Pointer, artifact: Sequence[tuple[str, bytes]] = ()) -> Plan:
    """Plan to put an artifact into staging; ``artifact`` are its files, with paths from the repository root.

    Raises: Refused (illegal, no reason), Invalid (a gate is closed).
    """
    _require_open(proposal)
    return _plan(proposal, changes.stage(proposal.document, proposal.target.model, pointer, **_by(proposal)), artifact)


def plan_promotion(proposal: Proposal, *, phrase: str = "") -> Plan:
    """Plan one step. ``phrase`` is the text that the policy requires to be typed; empty where it requires none.

    Raises: Refused (illegal, no reason, the ACK does not cover this), Invalid (a gate is closed).
    """
    _require_open(proposal)
    _require_fresh(proposal)
    if phrase:
        _require_ack(proposal, phrase)
    target = proposal.target
    return _plan(proposal, changes.promote(proposal.document, target.model, target.to_stage, **_by(proposal)))


def plan_rollback(proposal: Proposal, pointer: Pointer | None = None) -> Plan:
    """Plan to make an earlier artifact active again. No gate can hold it up but its target's verification.

    ``pointer`` fills the gaps of what the history knows of the artifact, as `ml.registry.changes.rollback` says.

    Raises: Refused (illegal, no reason), Invalid (the target does not verify).
    """
    _require_open(proposal)
    target, by = proposal.target, _by(proposal)
    return _plan(proposal, changes.rollback(proposal.document, target.model, target.artifact_id, pointer=pointer, **by))


def plan_withdraw(proposal: Proposal) -> Plan:
    """Plan to clear staging or shadow. Raises: Refused (illegal, no reason)."""
    target = proposal.target
    return _plan(proposal, changes.withdraw(proposal.document, target.model, target.to_stage, **_by(proposal)))


def _require_open(proposal: Proposal) -> None:
    closed = [gate for gate in proposal.gates if not gate.verdict.opens]
    if closed:
        first = closed[0]
        raise Invalid(
            f"{len(closed)} of {len(proposal.gates)} gates are closed; {first.name} is {first.verdict}: {first.why}.",
            "Wait for what is missing, or mend what fails.",
        )


def _require_fresh(proposal: Proposal) -> None:
    """Refuse evidence that is too old for the gate; it ages while a wizard is open."""
    as_of = json.loads(proposal.evidence.document).get("as_of")
    if as_of and proposal.at - parse_utc(as_of) > FRESH:
        raise Refused(f"The gates were judged at {visible(as_of)}, too long ago.", "Judge the checklist again.")


def _require_ack(proposal: Proposal, phrase: str) -> None:
    ack = proposal.ack
    if ack is None:
        raise Refused("This step needs an acknowledgement.", f"Type {phrase}.")
    evidence = proposal.evidence.sha256
    why = misfit(ack, phrase=phrase, target=proposal.target, evidence_sha256=evidence, now=proposal.at)
    if why:
        raise Refused(f"The acknowledgement does not cover this change: {why}.", "Acknowledge it again.")


class Authorship(TypedDict):
    """The common fields of every change of `ml.registry.changes`."""

    by: str
    reason: str
    at: datetime
    source: str
    base_commit: str | None
    archive: bytes
    extra: Mapping[str, object]


def _by(proposal: Proposal) -> Authorship:
    return Authorship(
        by=proposal.target.actor,
        reason=one_line(proposal.reason),
        at=proposal.at,
        source=_SOURCE,
        base_commit=proposal.target.base_commit,
        archive=proposal.archive,
        extra=_extra(proposal),
    )


def _extra(proposal: Proposal) -> Mapping[str, object]:
    """Return the keys that our events add to both vocabularies: the evidence folder, waivers, ACK, exemption."""
    keys: dict[str, object] = {}
    if proposal.evidence.document:
        keys["evidence"] = {"path": _evidence_folder(proposal), "sha256": proposal.evidence.sha256}
    waived = [gate for gate in proposal.gates if gate.verdict is Verdict.WAIVED]
    if waived:
        keys["waivers"] = [{"gate": gate.name, "why": gate.why} for gate in waived]
    if proposal.ack:
        keys["ack"] = ack_record(proposal.ack)
    if proposal.exemption:
        keys["freeze_exemption"] = proposal.exemption
    return keys


def ack_record(ack: Ack) -> dict[str, str]:
    """An acknowledgement as the registry's event keeps it."""
    return {
        "phrase": ack.phrase,
        "by": ack.by,
        "at": format_utc(ack.at),
        "expires_at": format_utc(ack.expires_at),
        "model_sha256": ack.model_sha256,
        "evidence_sha256": ack.evidence_sha256,
        "registry_blob": ack.registry_blob,
    }


def one_line(reason: str) -> str:
    """A typed reason, blanks at its ends removed. Raises Refused when it says nothing, or more than one line can."""
    text = reason.strip()
    if not text:
        raise Refused("A change needs a reason.", "Say in one sentence why.")
    if len(text) > _MAX_REASON or visible(text) != text:
        raise Refused(
            f"The reason must be one line of at most {_MAX_REASON} printable characters.", "Shorten it, or retype it."
        )
    return text


def _evidence_folder(proposal: Proposal) -> str:
    target = proposal.target
    return proposal.places.evidence(target.artifact_id, f"{stamp(proposal.at)}-{target.action}")


def _plan(proposal: Proposal, change: Change, artifact: Sequence[tuple[str, bytes]] = ()) -> Plan:
    target, places = proposal.target, proposal.places
    diff = difference(proposal.document.raw, change.raw, places.registry)
    folder = _evidence_folder(proposal)
    account = Account(
        target=target,
        reason=one_line(proposal.reason),
        at=proposal.at,
        gates=proposal.gates,
        diff=diff,
        evidence_sha256=proposal.evidence.sha256,
        evidence_path=f"{folder}/evidence.json",
        soak=proposal.soak,
        ack=proposal.ack,
        warnings=proposal.warnings,
        origins=proposal.origins,
    )
    text = body(account)
    files = [
        (places.registry, change.raw),
        *artifact,
        *_evidence_files(proposal, folder),
        (f"{folder}/pr_body.md", text.encode()),
    ]
    if change.archive is not None:
        files.append((places.archive(target.model), change.archive))
    _require_sizes(proposal, change)
    title, trailers = title_of(target), trailers_of(target, proposal.evidence.sha256, proposal.ack)
    return Plan(
        target=target,
        branch=branch_of(target, proposal.at),
        title=title,
        message=f"{title}\n\n{one_line(proposal.reason)}\n\n{trailers}",
        body=text,
        files=tuple(sorted(files)),
        diff=diff,
        gates=proposal.gates,
        evidence_sha256=proposal.evidence.sha256,
        ack=proposal.ack,
        warnings=proposal.warnings,
        origins=proposal.origins,
    )


def _require_sizes(proposal: Proposal, change: Change) -> None:
    """Refuse here, before anything is written, what the gate would refuse for its size."""
    documents = (
        ("The registry", change.raw, READ_LIMIT),
        ("The model's archive", change.archive or b"", READ_LIMIT),
        ("The evidence", proposal.evidence.document, EVIDENCE_LIMIT),
    )
    for what, content, limit in documents:
        if len(content) > limit:
            raise Invalid(
                f"{what} would have {len(content) >> 20} MiB, and the gate reads at most {limit >> 20} MiB.",
                "Move models or history into another repository, or shorten the soak's queries.",
            )


def require_artifact_size(size: int) -> None:
    """Refuse an artifact that is too large for git, by the sum of its files in bytes.

    Raises: Invalid.
    """
    if size > EXPORT_LIMIT:
        raise Invalid(
            f"The artifact has {size >> 20} MiB, and git takes at most {EXPORT_LIMIT >> 20} MiB of one.",
            "Make the model smaller, for example by storing weights in half precision.",
        )


def _evidence_files(proposal: Proposal, folder: str) -> list[tuple[str, bytes]]:
    evidence = proposal.evidence
    named = (("evidence.json", evidence.document), ("review.svg", evidence.review_svg))
    return [(f"{folder}/{name}", content) for name, content in named if content]
