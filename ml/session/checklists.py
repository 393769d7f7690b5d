"""The checklist of a step, judged gate by gate, with its evidence (contract §5)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ml.artifacts.manifest import MANIFEST_FILE, feature_order_hash, parse_manifest
from ml.artifacts.runtime import check_runtime, golden_gate
from ml.artifacts.verification import Verification
from ml.artifacts.verify import NAME as LATENCY_GATE
from ml.clock import parse_utc
from ml.errors import Invalid, Refused, Unavailable
from ml.ports import Report
from ml.promotion.evidence import NOT_VERIFIED, Verified, build
from ml.promotion.gates import (
    GOLDEN_GATE,
    TESTS_GATE,
    TestBench,
    ack_gate,
    artifact_id_gate,
    condemned_gate,
    kill_gates,
    not_staged_gate,
    permission_gates,
    train_report_gate,
    unit_tests_gate,
    verify_gate,
)
from ml.promotion.plan import require_artifact_size
from ml.promotion.values import ACK_GATE, REVIEW_GATE, Checklist, Target
from ml.registry.schema import Pointer
from ml.session.artifacts import CommitArtifacts
from ml.session.context import Context
from ml.session.registries import Base, Registries
from ml.session.soaks import Soaks
from ml.slo.review import Review
from ml.slo.soak import SoakJudgement
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Code, Gate, Verdict, finding

_NOT_YET = "being judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listeners:
    """Listeners to a checklist in progress. Each is called from the judging thread, and must return at once."""

    report: Report | None = None
    on_gate: Callable[[Gate], None] | None = None
    on_output: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """The subject of a judgement: the step, the base of the rules, and the operator's typed texts."""

    target: Target
    base: Base
    finding: str = ""
    waivers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Findings:
    """Intermediate results of the judgement, for the evidence."""

    verified: Verified = NOT_VERIFIED
    soak: SoakJudgement | None = None
    review: Review | None = None


class Checklists:
    """Judges checklists. Stateless but for what verification and soaks remember."""

    def __init__(self, context: Context, registries: Registries, artifacts: CommitArtifacts, soaks: Soaks) -> None:
        self._context = context
        self._registries = registries
        self._artifacts = artifacts
        self._soaks = soaks

    def judge(
        self,
        target: Target,
        *,
        finding: str = "",
        waivers: Mapping[str, str] | None = None,
        report: Report | None = None,
        on_gate: Callable[[Gate], None] | None = None,
        on_output: Callable[[str], None] | None = None,
    ) -> Checklist:
        """Judge every gate of a step at this moment, and keep the evidence.

        The gate ``ack`` of a step to active is WAIT until `Changes.plan` gets the phrase.

        Args:
            finding: the reviewer's finding at the dashboards.
            waivers: the reason of each waived gate, by the gate's name.
            on_gate: gets each gate once it is known, and WAIT while a slow one runs.
            on_output: gets the lines of the unit tests as they are printed, already made visible.

        Raises:
            Refused: a waiver names a gate that cannot be waived, or the actor may not waive.
            Unavailable: the repository cannot be read or the sandbox cannot be built.
        """
        base = self._registries.at(target.base_commit)
        request = _Request(target=target, base=base, finding=finding, waivers=waivers or {})
        listeners = _Listeners(report=report, on_gate=on_gate, on_output=on_output)
        self._require_waivable(request)
        found = _Findings()
        gates = []
        for gate in self._gates(request, listeners, found):
            final = _waived(gate, request)
            gates.append(final)
            if listeners.on_gate:
                listeners.on_gate(final)
        return self._checklist(request, tuple(gates), found)

    def again(self, checklist: Checklist) -> Checklist:
        """Judge the same checklist at this moment."""
        return self.judge(checklist.target, finding=checklist.finding, waivers=dict(checklist.waivers))

    def staging(self, target: Target, base: Base, verification: Verification) -> Checklist:
        """The checklist of an artifact that enters staging."""
        model = base.document.registry.models.get(target.model)
        gates = (
            artifact_id_gate(target.artifact_id),
            verify_gate(verification),
            train_report_gate(verification),
            not_staged_gate(model, target.artifact_id),
            *permission_gates(base.policy, target, self._context.clock.now()),
        )
        return self._checklist(
            _Request(target=target, base=base), gates, _Findings(Verified(verification.checks, verification.files))
        )

    def withdrawal(self, target: Target, base: Base) -> Checklist:
        """The checklist of clearing a stage: only that the person may."""
        gates = permission_gates(base.policy, target, self._context.clock.now())
        return self._checklist(_Request(target=target, base=base), gates, _Findings())

    def _checklist(self, request: _Request, gates: tuple[Gate, ...], found: _Findings) -> Checklist:
        to_active, now = request.target.to_stage is Stage.ACTIVE, self._context.clock.now()
        return Checklist(
            target=request.target,
            gates=gates,
            as_of=now,
            evidence=build(
                target=request.target,
                policy=request.base.policy,
                gates=gates,
                now=now,
                tool_version=self._context.place.tool_version,
                verified=found.verified,
                soak=found.soak,
                review=found.review,
                finding=request.finding,
            ),
            ack_phrase=request.base.policy.ack.phrase if to_active else "",
            oddities=found.review.oddities if found.review else (),
            finding=request.finding,
            waivers=tuple(request.waivers.items()),
            soak=found.soak.report if found.soak else None,
        )

    def _gates(self, request: _Request, listeners: _Listeners, found: _Findings) -> Iterator[Gate]:
        """The gates in the order of the runbook's checklist; slow ones are announced as WAIT first."""
        target, base = request.target, request.base
        if target.to_stage is Stage.ACTIVE:
            yield from self._service_levels(request, listeners, found)
        yield from self._artifact(request, listeners, found)
        if target.to_stage is Stage.SHADOW:
            yield self._unit_tests(request, listeners)
        yield condemned_gate(base.whole(target.model), target.artifact_id)
        yield from permission_gates(base.policy, target, self._context.clock.now())
        if target.to_stage is Stage.ACTIVE:
            yield from kill_gates(self._context.kill_control.engaged())
            phrase = base.policy.ack.phrase
            yield ack_gate(None, phrase=phrase, target=target, evidence_sha256="", now=self._context.clock.now())

    def _service_levels(self, request: _Request, listeners: _Listeners, found: _Findings) -> Iterator[Gate]:
        _announce(listeners, "soak")
        found.soak = self._soaks.judge(request.target.model, request.base)
        yield from found.soak.report.gates
        _announce(listeners, REVIEW_GATE)
        found.review, gate = self._soaks.review_gate(request.base, request.target.model, request.finding)
        yield gate

    def _artifact(self, request: _Request, listeners: _Listeners, found: _Findings) -> Iterator[Gate]:
        target = request.target
        _announce(listeners, "verify")
        past = request.base.whole(target.model)
        contract = request.base.policy.contract(target.model)
        verification = self._artifacts.standing(request.base, past, target, listeners.report, contract=contract)
        found.verified = Verified(verification.checks, verification.files)
        yield verify_gate(verification)
        if target.to_stage is Stage.SHADOW:
            yield golden_gate(check_runtime(self._context.verifier()), verification).found.gate(GOLDEN_GATE)
        yield from self._latency(request, listeners)

    def _latency(self, request: _Request, listeners: _Listeners) -> Iterator[Gate]:
        """Compare the candidate's latency with the active artifact's; no gate where nothing is active."""
        target, base = request.target, request.base
        active = base.model(target.model).active
        if active is None:
            return
        _announce(listeners, LATENCY_GATE)
        check = self._artifacts.latency(base, target.model, target.artifact_dir, active.artifact_dir, listeners.report)
        yield check.found.gate(LATENCY_GATE)

    def _unit_tests(self, request: _Request, listeners: _Listeners) -> Gate:
        _announce(listeners, TESTS_GATE)
        bench = TestBench(
            repository=self._context.repository,
            commit=request.target.base_commit,
            checks=request.base.policy.checks,
            run=self._context.run,
            environ=self._context.environ,
        )
        return unit_tests_gate(bench, listeners.on_output)

    def _require_waivable(self, request: _Request) -> None:
        for name, reason in request.waivers.items():
            if not request.base.policy.waivable(name):
                raise Refused(f"The gate {visible(name)} cannot be waived.", "Fix the problem that it reports.")
            if not reason.strip():
                raise Refused(f"The waiver of {visible(name)} has no reason.", "Say in one sentence why.")
        if request.waivers and request.base.policy.is_operator(request.target.actor) is not Verdict.PASS:
            raise Refused(f"{visible(request.target.actor)} is no operator and cannot waive.", "Ask an operator.")


def _announce(listeners: _Listeners, name: str) -> None:
    if listeners.on_gate:
        listeners.on_gate(finding(Verdict.WAIT, Code.BEING_JUDGED, _NOT_YET).gate(name))


def _waived(gate: Gate, request: _Request) -> Gate:
    reason = request.waivers.get(gate.name)
    if reason is None or gate.verdict.opens or gate.name == ACK_GATE:
        return gate
    return replace(gate.waived(visible(reason.strip())), waivable=True)


# The artifact directory of the working tree, read for staging: exactly the verified bytes.


@dataclass(frozen=True, slots=True)
class StagedArtifact:
    """The content of the commit: the pointer for the registry, and the files with paths from the repository root."""

    pointer: Pointer
    files: tuple[tuple[str, bytes], ...]
    verification: Verification


def read_artifact(directory: Path, root: Path, artifact_base: str, verification: Verification) -> StagedArtifact:
    """Read what a verification has just hashed.

    Raises:
        Invalid: it does not verify, is too large for git, or a file is not any more what was verified.
        Refused: no pointer can name it, because it is not below ``artifact_base``.
        Unavailable: a file cannot be read.
    """
    below = root / artifact_base
    if not directory.is_relative_to(below):
        raise Refused(
            f"{visible(directory.name)} is not below {visible(artifact_base)}, which pointers are relative to.",
            "Copy the artifact there first.",
        )
    amiss = verification.amiss
    if amiss:
        why = f"{verification.artifact_id} does not verify: {amiss.name} is {amiss.verdict}: {amiss.why}"
        raise Invalid(why, "Build it anew.")
    require_artifact_size(sum(file.size for file in verification.files))
    contents = {file.name: _read(directory / file.name, file.sha256) for file in verification.files}
    path = directory.relative_to(root).as_posix()
    artifact_dir = directory.relative_to(below).as_posix()
    features = verification.contract.features
    pointer = pointer_of(directory.name, artifact_dir, verification.model_sha256, contents[MANIFEST_FILE], features)
    files = tuple((f"{path}/{name}", content) for name, content in sorted(contents.items()))
    return StagedArtifact(pointer, files, verification)


def _read(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        why = f"{visible(path.name)} cannot be read: {error.strerror}."
        raise Unavailable(why, "Correct its permissions.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Invalid(f"{visible(path.name)} changed while it was being staged.", "Stage it again.")
    return content


def pointer_of(
    artifact_id: str, artifact_dir: str, model_sha256: str, manifest_bytes: bytes, features: tuple[str, ...]
) -> Pointer:
    """A pointer as complete as an artifact's manifest and contract make it. Raises Invalid for a broken manifest.

    ``features`` is the feature order of the contract; empty where it names none.
    """
    manifest = parse_manifest(manifest_bytes)
    order = features or manifest.stated_features or ()
    return Pointer(
        artifact_id=artifact_id,
        artifact_dir=artifact_dir,
        model_sha256=model_sha256,
        git_sha=manifest.git_sha,
        dataset_id=manifest.dataset_id,
        created_at_utc=parse_utc(manifest.created_at_utc) if manifest.created_at_utc else None,
        notes=manifest.notes,
        feature_order_hash=feature_order_hash(order) if order else None,
    )
