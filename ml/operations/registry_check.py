"""``check``: the whole registry and every artifact that a stage names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ml.artifacts.verification import Verification
from ml.operations.artifacts import CommitArtifacts
from ml.operations.problems import altered_at_checkout
from ml.operations.registries import Base
from ml.ports import Progress, Report
from ml.promotion.repository import Reader
from ml.registry.doctor import Finding, examine, repair_diff
from ml.registry.schema import Pointer
from ml.stage import Stage
from ml.verdict import Verdict, worst


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCheck:
    """What the doctor found, how each artifact verifies, and a repair as a diff that is never applied by itself."""

    as_of: datetime
    verdict: Verdict
    why: str
    findings: tuple[Finding, ...]
    artifacts: tuple[Verification, ...]
    repair: str


def check_registry(
    base: Base, artifacts: CommitArtifacts, repository: Reader, now: datetime, report: Report | None
) -> RegistryCheck:
    """Examine one base. Raises what the repository and the cage raise."""
    findings = (*examine(base.document, archives=base.archives), *altered_at_checkout(base, repository))
    pointers = _pointers(base)
    verified = []
    for number, (name, pointer) in enumerate(pointers):
        if report:
            report(Progress(f"verify {pointer.artifact_id}", number, len(pointers)))
        verified.append(artifacts.standing(base, base.whole(name), pointer))
    severe = sum(finding.severe for finding in findings)
    bad = sum(not item.verdict.opens for item in verified)
    verdict = worst([Verdict.FAIL if severe else Verdict.PASS, *(item.verdict for item in verified)])
    return RegistryCheck(
        as_of=now,
        verdict=verdict,
        why=f"{len(base.document.registry.models)} models, {severe} problems, {len(findings) - severe} oddities, "
        f"{len(verified)} artifacts of which {bad} do not verify.",
        findings=findings,
        artifacts=tuple(verified),
        repair=repair_diff(base.document),
    )


def _pointers(base: Base) -> tuple[tuple[str, Pointer], ...]:
    """Each artifact that any stage names, once, with its model."""
    found: dict[tuple[str, str | None], tuple[str, Pointer]] = {}
    for name, model in base.document.registry.models.items():
        for stage in Stage:
            pointer = model.pointer(stage)
            if pointer is not None:
                found.setdefault((pointer.artifact_dir, pointer.model_sha256), (name, pointer))
    return tuple(found.values())
