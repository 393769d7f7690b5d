"""What is wrong with a registry at one commit: its doctor's severe findings, and pointers that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from ml.board import Problem
from ml.operations.registries import Base
from ml.promotion.checkout import altered_files
from ml.promotion.repository import Reader
from ml.registry.doctor import Finding, examine
from ml.stage import Stage


def registry_problems(base: Base, repository: Reader) -> tuple[Problem, ...]:
    """All severe problems; ``where`` is the model's name. Costs one listing of the commit's tree."""
    found = (*examine(base.document, archives=base.archives), *altered_at_checkout(base, repository))
    findings = (Problem(finding.model, finding.what, finding.remedy) for finding in found if finding.severe)
    return (*findings, *_missing_artifacts(base, repository))


def altered_at_checkout(base: Base, repository: Reader) -> tuple[Finding, ...]:
    """What a checkout of the base would give other bytes than the commit holds."""
    return tuple(altered_files(repository, base.commit, base.document, base.places, base.artifact_base))


def _missing_artifacts(base: Base, repository: Reader) -> Iterator[Problem]:
    """Pointers whose directory is not where `Base.located` resolves them (SPEC §2)."""
    setting = "artifacts.base of the policy" if base.policy.artifacts.base else "registry.artifact_base"
    present = {entry.path.rpartition("/")[0] for entry in repository.tree(base.commit)}
    for name, model in base.document.registry.models.items():
        for stage in Stage:
            pointer = model.pointer(stage)
            if pointer is None:
                continue
            path = base.located(pointer.artifact_dir)
            if path not in present:
                what = f"{stage} {pointer.artifact_id} is not in the commit at {path}."
                yield Problem(name, what, f"Restore the directory, or correct {setting}.")
