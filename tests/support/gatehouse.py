"""A world for the gate: real artifacts, a real day of metrics, real evidence; and a smith who bends legal changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from requests import Response
from support.artifacts import ROOT, verifier
from support.clones import OPERATOR, Clones, make_clones
from support.engine_past import EnginePast
from support.prometheus import running

from ml.adapters.git import open_repository
from ml.adapters.prometheus import Prometheus
from ml.artifacts.verification import Verification
from ml.contract import Contract
from ml.policy import Policy, policy_or_complaint
from ml.promotion.evidence import build
from ml.promotion.evidence_formats import opened, sealed
from ml.promotion.gate import Bench, judge
from ml.promotion.gates import (
    acknowledge,
    artifact_id_gate,
    condemned_gate,
    freeze_gate,
    golden_gate,
    not_staged_gate,
    role_gate,
    train_report_gate,
    verify_gate,
)
from ml.promotion.paths import Places
from ml.promotion.plan import Proposal, plan_promotion, plan_rollback, plan_stage, plan_withdraw
from ml.promotion.repository import Person, Repository
from ml.promotion.values import ACK_GATE, REVIEW_GATE, Plan, Target
from ml.registry import changes
from ml.registry.codec import Document, empty_document, parse
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH, Model, Pointer, archive_path
from ml.slo.review import Review, review
from ml.slo.soak import SoakJudgement, SoakSubject, judge_soak
from ml.slo.source import Ask, Kind
from ml.stage import Action, Stage
from ml.verdict import Gate, Verdict

MODEL = "regime_classifier"
OLD, LIVE, SOAKED, FRESH = (f"regime_v2026_02_{day}_001" for day in ("13", "14", "15", "16"))
SECOND, STRANGER = "second@example.com", "stranger@example.com"
PHRASE = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
POLICY = f'[roles]\noperators = ["{OPERATOR}", "{SECOND}"]\n'
SIGNERS = "ml/registry/allowed_signers"
_SOURCES = {OLD: "regime_v2026_02_14_001", LIVE: "regime_v2026_02_14_001", SOAKED: "regime_v2026_02_15_001"}


def artifact_files(artifact_id: str) -> dict[str, str | bytes]:
    """A committed sample artifact under another id."""
    source = ROOT / "artifacts/onnx" / _SOURCES.get(artifact_id, "regime_v2026_02_15_002")
    return {f"artifacts/onnx/{artifact_id}/{path.name}": path.read_bytes() for path in sorted(source.iterdir())}


def pointer_to(artifact_id: str) -> Pointer:
    """A complete pointer to `artifact_files`."""
    model = artifact_files(artifact_id)[f"artifacts/onnx/{artifact_id}/model.onnx"]
    assert isinstance(model, bytes)
    return Pointer(
        artifact_id=artifact_id,
        artifact_dir=f"artifacts/onnx/{artifact_id}",
        model_sha256=hashlib.sha256(model).hexdigest(),
        git_sha="a" * 40,
        dataset_id="production_data_v4",
        created_at_utc=datetime(2026, 2, 12, 8, tzinfo=UTC),
        notes="",
    )


def life(now: datetime, *, staged: bool = False) -> Document:
    """OLD and LIVE were active in turn, SOAKED has been in shadow for 30 h; FRESH may stand in staging."""
    doc = empty_document()
    moment = now - timedelta(hours=30 + 7 * 20)
    for name in (OLD, LIVE, SOAKED):
        for step in [Stage.STAGING, Stage.SHADOW] + ([Stage.ACTIVE] if name != SOAKED else []):
            doc = _step(doc, name, step, moment)
            moment += timedelta(hours=20)
    return _step(doc, FRESH, Stage.STAGING, now - timedelta(hours=1)) if staged else doc


def much_later(doc: Document, at: datetime) -> tuple[Document, bytes]:
    """The registry after 52 more events, FRESH staged and withdrawn again and again, and the archive of older ones."""
    archive = b""
    for turn in range(52):
        told: dict[str, Any] = {
            "by": OPERATOR,
            "reason": "again",
            "at": at + timedelta(seconds=turn),
            "archive": archive,
        }
        if turn % 2:
            change = changes.withdraw(doc, MODEL, Stage.STAGING, **told)
        else:
            change = changes.stage(doc, MODEL, pointer_to(FRESH), **told)
        doc, archive = change.document, change.archive or archive
    return doc, archive


def _step(doc: Document, name: str, step: Stage, at: datetime) -> Document:
    by: dict[str, Any] = {"by": OPERATOR, "reason": "as planned", "at": at}
    if step is Stage.STAGING:
        return changes.stage(doc, MODEL, pointer_to(name), **by).document
    return changes.promote(doc, MODEL, step, **by).document


class RememberingVerifier:
    """The real verifier, which looks at the same bytes only once however often they are exported."""

    def __init__(self, scratch: Path) -> None:
        self._real = verifier(scratch)
        self._known: dict[str, Verification] = {}

    def verify(
        self, directory: Path, *, expect_sha256: str | None = None, contract: Contract | None = None
    ) -> Verification:
        """All checks of one directory."""
        digest = hashlib.sha256(f"{directory.name} {contract}".encode())
        for path in sorted(directory.rglob("*")):
            about = str(path.readlink()) if path.is_symlink() else path.stat().st_mode
            digest.update(f"{path.name} {about} ".encode())
            digest.update(path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
        key = digest.hexdigest()
        if key not in self._known:
            self._known[key] = self._real.verify(directory, contract=contract)
        return self._known[key].expecting(expect_sha256)


class PrometheusAsOf(Prometheus):
    """A real Prometheus that evaluates each instant query at one moment.

    A world's changes are dated by one clock, however long the tests that share it take.
    """

    def _send(self, ask: Ask, url: str) -> Response:
        asked = replace(ask, at=self._now()) if ask.kind is Kind.QUERY and ask.at is None else ask
        return super()._send(asked, url)


@dataclass(frozen=True)
class Gatehouse:
    """The world: one repository whose ``main`` is `life`, and everything that legal changes are made with."""

    clones: Clones
    repository: Repository
    bench: Bench
    url: str
    now: datetime
    main: str
    verifier: RememberingVerifier
    judgements: dict[bytes, tuple[SoakJudgement, Review]] = field(default_factory=dict)
    proposed: dict[str, tuple[str, str]] = field(default_factory=dict)

    # --- bases ------------------------------------------------------------------------------------
    def base(self, files: dict[str, str | bytes], on: str = "") -> str:
        """A base commit: ``main`` (or another) with some files more, or others."""
        given = [(path, content.encode() if isinstance(content, str) else content) for path, content in files.items()]
        return self.commit(on or self.main, given, "base", at=self.now - timedelta(minutes=1))

    def staged(self, policy: str = POLICY) -> str:
        """A base in which FRESH stands in staging."""
        return self.base({REGISTRY_PATH: life(self.now, staged=True).raw, POLICY_PATH: policy, **artifact_files(FRESH)})

    def commit(
        self,
        base: str,
        files: Sequence[tuple[str, bytes]],
        message: str,
        *,
        by: str = OPERATOR,
        at: datetime | None = None,
    ) -> str:
        """A commit without a ref."""
        person = Person(by.partition("@")[0], by)
        return self.repository.writer.commit(base, files, message, person, at or self.now)

    def raw(self, base: str, path: str = REGISTRY_PATH) -> bytes:
        """A file of a base."""
        return self.repository.objects.read(base, path) or b""

    # --- legal changes ----------------------------------------------------------------------------
    def propose(
        self,
        base: str,
        action: Action,
        artifact_id: str,
        to_stage: Stage,
        *,
        by: str = OPERATOR,
        waive: tuple[str, ...] = (),
        finding: str = "Baseline stable, nothing odd.",
        at: datetime | None = None,
        about: str = "",
        model: str = MODEL,
    ) -> Proposal:
        """Judge a step as the console does, and keep the evidence; ``about`` makes it another artifact's."""
        # Leniently: an attacker plans on rules that our own planner refuses.
        policy, _ = policy_or_complaint(self.repository.objects.read(base, POLICY_PATH))
        now = at or self.now
        document = parse(self.raw(base))
        target = Target.of(
            action,
            model,
            to_stage,
            pointer_to(artifact_id),
            base_commit=base,
            registry_blob=self.repository.objects.blob_id(base, REGISTRY_PATH),
            opened_at=now,
            actor=by,
        )
        soak = seen = None
        if action is Action.PROMOTE and to_stage is Stage.ACTIVE:
            soak, seen = self.judged(policy, artifact_id, now)
        gates = tuple(
            gate.waived("known and accepted") if gate.name in waive else gate
            for gate in self._gates(target, policy, document, soak)
        )
        subject = replace(target, artifact_id=about) if about else target
        capsule = build(
            target=subject,
            policy=policy,
            gates=gates,
            now=now,
            tool_version="0",
            soak=soak,
            review=seen,
            finding=finding if seen else "",
        )
        return Proposal(
            target=target,
            document=document,
            reason="as planned",
            at=now,
            evidence=capsule,
            archive=self.raw(base, archive_path(model)),
            gates=gates,
            soak=soak.report if soak else None,
        )

    def judged(self, policy: Policy, artifact_id: str, at: datetime | None = None) -> tuple[SoakJudgement, Review]:
        """The soak and the review by the real Prometheus as of a moment, once per policy, artifact and moment."""
        now = at or self.now
        key = self.judgement_key(policy, artifact_id, now)
        if key not in self.judgements:
            landed = self.now - timedelta(hours=30)
            subject = SoakSubject(MODEL, artifact_id, pointer_to(artifact_id).model_sha256 or "", landed)
            metrics = self.as_of(now)
            soak = judge_soak(metrics, policy, subject, now)
            self.judgements[key] = (soak, review(metrics, policy, MODEL, now))
        return self.judgements[key]

    def judgement_key(self, policy: Policy, artifact_id: str, at: datetime) -> bytes:
        """The key of a kept judgement."""
        return policy.source + f"{artifact_id} {at.isoformat()}".encode()

    def as_of(self, now: datetime) -> PrometheusAsOf:
        """The real Prometheus, asked as of a moment."""
        return PrometheusAsOf(self.url, now=lambda: now)

    def _gates(self, target: Target, policy: Policy, document: Document, soak: SoakJudgement | None) -> Iterator[Gate]:
        model = document.registry.models.get(target.model, Model())
        verification = self.verified(target.artifact_id)
        if target.action is Action.STAGE:
            yield from (artifact_id_gate(target.artifact_id), train_report_gate(verification))
            yield not_staged_gate(model, target.artifact_id)
        if soak:
            yield from soak.report.gates
            yield Gate(name=REVIEW_GATE, verdict=Verdict.PASS, why="Baseline stable")
        if target.action is Action.PROMOTE and target.to_stage is Stage.SHADOW:
            yield golden_gate(verification)
            yield Gate(name="unit_tests", verdict=Verdict.PASS, why="3 passed", evidence="0" * 64)
        if target.action is Action.PROMOTE:
            yield condemned_gate(model, target.artifact_id)
            yield freeze_gate(policy, self.now)
        yield verify_gate(verification)
        yield role_gate(policy, target.actor, target.action, target.to_stage)
        if soak:
            yield Gate(name=ACK_GATE, verdict=Verdict.WAIT, why="type the phrase", waivable=False)

    def verified(self, artifact_id: str) -> Verification:
        """The verification of an artifact's files, by the real verifier."""
        folder = self.clones.operator.home / "verified" / artifact_id
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in artifact_files(artifact_id).items():
            assert isinstance(content, bytes)
            (folder / Path(path).name).write_bytes(content)
        return self.verifier.verify(folder)

    def stage(self, base: str = "", artifact_id: str = FRESH, *, force: bool = False, **told: Any) -> Plan:
        """A legal staging with its files; ``force``: the planner is not told of closed gates."""
        proposal = self.propose(base or self.main, Action.STAGE, artifact_id, Stage.STAGING, **told)
        proposal = replace(proposal, gates=() if force else proposal.gates)
        files = [(path, bytes(content)) for path, content in artifact_files(artifact_id).items()]  # type: ignore[arg-type]
        return plan_stage(proposal, pointer_to(artifact_id), files)

    def to_shadow(self, base: str = "", **told: Any) -> Plan:
        """A legal step of FRESH to shadow."""
        return plan_promotion(self.propose(base or self.staged(), Action.PROMOTE, FRESH, Stage.SHADOW, **told))

    def to_active(
        self, base: str = "", *, artifact_id: str = SOAKED, ack_by: str = "", force: bool = False, **told: Any
    ) -> Plan:
        """A legal, acknowledged step to active; ``force`` as for `stage`."""
        proposal = self.propose(base or self.main, Action.PROMOTE, artifact_id, Stage.ACTIVE, **told)
        given = acknowledge(
            PHRASE,
            phrase=PHRASE,
            expires_minutes=15,
            target=proposal.target,
            evidence_sha256=proposal.evidence.sha256,
            by=ack_by or proposal.target.actor,
            now=proposal.at,
        )
        gates = () if force else tuple(gate for gate in proposal.gates if gate.name != ACK_GATE)
        return plan_promotion(replace(proposal, ack=given, gates=gates), phrase="" if ack_by else PHRASE)

    def rollback(self, base: str = "", artifact_id: str = OLD, **told: Any) -> Plan:
        """A legal rollback."""
        return plan_rollback(self.propose(base or self.main, Action.ROLLBACK, artifact_id, Stage.ACTIVE, **told))

    def withdraw(self, base: str = "", artifact_id: str = SOAKED, stage: Stage = Stage.SHADOW, **told: Any) -> Plan:
        """A legal withdrawal."""
        return plan_withdraw(self.propose(base or self.main, Action.WITHDRAW, artifact_id, stage, **told))

    def once(self, name: str, make: Callable[[Gatehouse], tuple[str, str]]) -> tuple[str, str]:
        """The base and head of a proposed change, made the first time that anybody asks for it."""
        if name not in self.proposed:
            self.proposed[name] = make(self)
        return self.proposed[name]

    # --- commits and judgement ----------------------------------------------------------------------
    def made(self, plan: Plan, *, by: str = "", at: datetime | None = None) -> str:
        """The commit of a plan, as it is."""
        target = plan.target
        return self.commit(target.base_commit, plan.files, plan.message, by=by or target.actor, at=at)

    def bent(
        self,
        plan: Plan,
        *,
        registry: Callable[[dict[str, Any]], object] | None = None,
        files: dict[str, bytes] | None = None,
        without: tuple[str, ...] = (),
        message: Callable[[str], str] = lambda text: text,
        by: str = "",
        at: datetime | None = None,
    ) -> str:
        """The commit of a plan after somebody bent it: other bytes, other words, another author or time."""
        content = {path: raw for path, raw in plan.files if not path.endswith(without or ("\0",))}
        if registry:
            values = json.loads(content[REGISTRY_PATH])
            registry(values["models"][MODEL])
            content[REGISTRY_PATH] = json.dumps(values, indent=2).encode() + b"\n"
        content |= files or {}
        target = plan.target
        return self.commit(
            target.base_commit, sorted(content.items()), message(plan.message), by=by or target.actor, at=at
        )

    def reworked(
        self, plan: Plan, work: Callable[[dict[str, Any]], object], files: dict[str, bytes] | None = None
    ) -> str:
        """The commit of a plan after its evidence was changed, with its seal and every digest that names it renewed."""
        path = next(path for path, _ in plan.files if path.endswith("evidence.json"))
        values = opened(dict(plan.files)[path])
        values.pop("seal")
        work(values)
        document = sealed(values)
        digest = hashlib.sha256(document).hexdigest()

        def rename(model: dict[str, Any]) -> None:
            event = model["history"][-1]
            event["evidence"]["sha256"] = digest
            if "ack" in event:
                event["ack"]["evidence_sha256"] = digest

        message = plan.message.replace(plan.evidence_sha256, digest)
        return self.bent(plan, registry=rename, files={**(files or {}), path: document}, message=lambda _: message)

    def verdict(self, base: str, head: str, *, approvals: bool = True) -> tuple[Gate, ...]:
        """What the gate says."""
        return judge(self.repository, base, head, replace(self.bench, approvals=approvals))


@contextmanager
def gatehouse(home: Path) -> Iterator[Gatehouse]:
    """Open a gatehouse below a folder."""
    now = datetime.now(UTC).replace(microsecond=0)
    files: dict[str, str | bytes] = {REGISTRY_PATH: life(now).raw, POLICY_PATH: POLICY, "README.md": "trading\n"}
    for name in (OLD, LIVE, SOAKED):
        files |= artifact_files(name)
    clones = make_clones(home, files)
    day = {"model": MODEL, "begin": now.timestamp() - 31 * 3600, "end": now.timestamp() + 7200}
    engines = [
        EnginePast(**day, mode=mode, counter_mode=mode, instance=mode)  # type: ignore[arg-type]
        for mode in ("shadow", "active")
    ]
    rules = (ROOT / "ml/monitoring/ml_alerts.yml").read_text()
    history = [line for engine in engines for line in engine.lines()]
    with running(home / "prometheus", history=history, rules=rules) as server:
        server.rules_evaluated()
        remembering = RememberingVerifier(home / "scratch")
        bench = Bench(verifier=remembering, places=Places(), now=now + timedelta(minutes=1))
        repository = open_repository(clones.operator.path)
        yield Gatehouse(clones, repository, bench, server.url, now, clones.tip(), remembering)
