"""A model's life in a test repository: artifacts, a registry that names them, and plans for what comes next."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.clones import OPERATOR, Clones, Folder, make_clones

from ml.adapters.forge import CommandForge
from ml.adapters.git import open_repository
from ml.adapters.processes import run
from ml.promotion.paths import Places
from ml.promotion.plan import Proposal, plan_promotion, plan_rollback, plan_stage, plan_withdraw
from ml.promotion.publish import Desk
from ml.promotion.repository import Repository
from ml.promotion.values import Ack, Evidence, Plan, Target
from ml.records.journal import Journal
from ml.registry import changes
from ml.registry.codec import Document, empty_document, parse
from ml.registry.schema import REGISTRY_PATH, Pointer, archive_path
from ml.stage import Action, Stage
from ml.verdict import Gate, Verdict

MODEL = "regime_classifier"
OLD, LIVE, SOAKED, FRESH = (f"regime_v2026_02_{day}_001" for day in ("13", "14", "15", "16"))
NOW = datetime(2026, 2, 16, 10, 0, tzinfo=UTC)
PHRASE = "I_UNDERSTAND_THIS_AFFECTS_TRADING"


def artifact(artifact_id: str, content: bytes = b"") -> dict[str, str | bytes]:
    """The files of a small artifact directory whose digests agree; the model is no ONNX."""
    model = content or f"weights of {artifact_id}".encode()
    digest = hashlib.sha256(model).hexdigest()
    folder = f"artifacts/onnx/{artifact_id}"
    manifest = {
        "schema_version": "v1",
        "model_file": "model.onnx",
        "sha256": {"model.onnx": digest},
        "created_at": "2026-02-12T08:00:00Z",
    }
    return {
        f"{folder}/model.onnx": model,
        f"{folder}/manifest.json": json.dumps(manifest),
        f"{folder}/train_report.json": json.dumps({"model_sha256": digest}),
    }


def as_bytes(files: dict[str, str | bytes]) -> list[tuple[str, bytes]]:
    """Files as a plan takes them."""
    return [(path, content.encode() if isinstance(content, str) else content) for path, content in files.items()]


def pointer(artifact_id: str) -> Pointer:
    """A complete pointer to `artifact`."""
    return Pointer(
        artifact_id=artifact_id,
        artifact_dir=f"artifacts/onnx/{artifact_id}",
        model_sha256=hashlib.sha256(
            bytes(artifact(artifact_id)[f"artifacts/onnx/{artifact_id}/model.onnx"])
        ).hexdigest(),  # type: ignore[arg-type]
        git_sha="a" * 40,
        dataset_id="production_data_v4",
        created_at_utc=datetime(2026, 2, 12, 8, tzinfo=UTC),
        notes="",
    )


def evidence(artifact_id: str) -> Evidence:
    """Evidence that is only bytes with a digest; what it says is not judged where this is used."""
    document = json.dumps({"artifact_id": artifact_id}).encode()
    return Evidence(document, hashlib.sha256(document).hexdigest())


def a_life() -> Document:
    """A registry in which OLD and LIVE were active in turn, and SOAKED stands in shadow: eight events."""
    doc = empty_document()
    moment = NOW - timedelta(days=8)
    for name in (OLD, LIVE, SOAKED):
        steps = [Stage.STAGING, Stage.SHADOW] + ([Stage.ACTIVE] if name != SOAKED else [])
        for step in steps:
            moment += timedelta(hours=20)
            by = {"by": OPERATOR, "reason": "as planned", "at": moment}
            doc = (
                changes.stage(doc, MODEL, pointer(name), **by).document
                if step is Stage.STAGING
                else changes.promote(doc, MODEL, step, **by).document
            )
    return doc


def registry_files(doc: Document | None = None) -> dict[str, str | bytes]:
    """The registry of `a_life` (or another) with its artifacts, as files of a repository."""
    files: dict[str, str | bytes] = {REGISTRY_PATH: (doc or a_life()).raw, "README.md": "trading\n"}
    for name in (OLD, LIVE, SOAKED):
        files |= artifact(name)
    return files


@dataclass(frozen=True)
class Session:
    """One operator's session on a clone: what plans changes and carries them out."""

    folder: Folder
    repository: Repository
    desk: Desk
    now: datetime = NOW
    actor: str = OPERATOR
    gates: tuple[Gate, ...] = field(default=(Gate(name="verify", verdict=Verdict.PASS, why="all checks"),))

    @property
    def base(self) -> str:
        """The base commit as last fetched."""
        return self.repository.refs.base("origin/main").commit

    def document(self) -> Document:
        """The registry at the base."""
        raw = self.repository.objects.read(self.base, REGISTRY_PATH)
        assert raw is not None
        return parse(raw)

    def target(self, action: Action, artifact_id: str, to_stage: Stage, model: str = MODEL) -> Target:
        """A frozen target on the base as last fetched."""
        return Target.of(
            action,
            model,
            to_stage,
            pointer(artifact_id),
            base_commit=self.base,
            registry_blob=self.repository.objects.blob_id(self.base, REGISTRY_PATH),
            opened_at=self.now,
            actor=self.actor,
        )

    def proposal(self, target: Target, reason: str = "as planned") -> Proposal:
        """All that a plan is made of."""
        return Proposal(
            target=target,
            document=self.document(),
            reason=reason,
            at=self.now,
            evidence=evidence(target.artifact_id),
            archive=self.repository.objects.read(self.base, archive_path(target.model)) or b"",
            gates=self.gates,
        )

    def stage(self, artifact_id: str = FRESH, model: str = MODEL) -> Plan:
        """Plan to stage an artifact, its files included."""
        proposal = self.proposal(self.target(Action.STAGE, artifact_id, Stage.STAGING, model))
        files = [
            (path, bytes(content, "utf-8") if isinstance(content, str) else content)
            for path, content in artifact(artifact_id).items()
        ]
        return plan_stage(proposal, pointer(artifact_id), files)

    def withdraw(self, artifact_id: str = SOAKED, stage: Stage = Stage.SHADOW) -> Plan:
        """Plan to clear a stage."""
        return plan_withdraw(self.proposal(self.target(Action.WITHDRAW, artifact_id, stage)))

    def rollback(self, artifact_id: str = OLD) -> Plan:
        """Plan to go back to an earlier active artifact."""
        return plan_rollback(self.proposal(self.target(Action.ROLLBACK, artifact_id, Stage.ACTIVE), "EMERGENCY: p99"))

    def to_active(self, artifact_id: str = SOAKED) -> Plan:
        """Plan the acknowledged step to active."""
        target = self.target(Action.PROMOTE, artifact_id, Stage.ACTIVE)
        proposal = self.proposal(target)
        ack = Ack(
            phrase=PHRASE,
            by=self.actor,
            at=self.now,
            expires_at=self.now + timedelta(minutes=15),
            model_sha256=target.model_sha256,
            evidence_sha256=proposal.evidence.sha256,
            registry_blob=target.registry_blob,
        )
        return plan_promotion(replace(proposal, ack=ack), phrase=PHRASE)


def open_session(folder: Folder, state: Path, *, actor: str = OPERATOR, now: datetime = NOW) -> Session:
    """A session on a clone, with its own state folder."""
    repository = open_repository(folder.path)
    desk = Desk(
        repository=repository,
        journal=Journal(state / "journal"),
        forge=CommandForge(run, folder.path, "none"),
        remote="origin",
        base="main",
        bodies=state / "requests",
        places=Places(),
        judge=lambda base, head: (Gate(name="test", verdict=Verdict.PASS, why="accepted by the test"),),
    )
    return Session(folder, repository, desk, now, actor)


def make_session(home: Path, files: dict[str, str | bytes] | None = None) -> tuple[Clones, Session]:
    """A remote with `a_life`, a clone of it, and a session there."""
    clones = make_clones(home, files or registry_files())
    return clones, open_session(clones.operator, home / "state")
