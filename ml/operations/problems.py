"""What is wrong with a registry at one commit: its doctor's severe findings, and pointers that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from ml.board import Problem
from ml.operations.registries import Base
from ml.promotion.repository import Reader
from ml.registry.doctor import examine
from ml.stage import Stage


def registry_problems(base: Base, repository: Reader, artifact_base: str) -> tuple[Problem, ...]:
    """All severe problems; ``where`` is the model's name. Costs one listing of the commit's tree."""
    findings = (
        Problem(finding.model, finding.what, finding.remedy) for finding in examine(base.document) if finding.severe
    )
    return (*findings, *_missing_artifacts(base, repository, artifact_base))


def _missing_artifacts(base: Base, repository: Reader, artifact_base: str) -> Iterator[Problem]:
    """Pointers whose directory is not where the configured base resolves them (SPEC §2)."""
    present = {entry.path.rpartition("/")[0] for entry in repository.tree(base.commit)}
    for name, model in base.document.registry.models.items():
        for stage in Stage:
            pointer = model.pointer(stage)
            if pointer is None:
                continue
            path = located(pointer.artifact_dir, artifact_base)
            if path not in present:
                what = f"{stage} {pointer.artifact_id} is not in the commit at {path}."
                yield Problem(name, what, "Restore the directory, or correct registry.artifact_base.")


def located(artifact_dir: str, artifact_base: str) -> str:
    """A pointer's directory relative to the repository root; ``artifact_base`` is ``.`` or a folder below the root."""
    path = artifact_dir.removeprefix("./").strip("/")
    folder = artifact_base.strip("./")
    return f"{folder}/{path}" if folder else path
