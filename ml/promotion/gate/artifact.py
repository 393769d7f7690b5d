"""Whether the artifact stands, whole and verified, in the commit's own tree (SPEC §8)."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from ml.errors import ConsoleError
from ml.promotion.gate.case import Case, Move, passed, refused
from ml.promotion.gates import return_gate, verify_gate
from ml.promotion.pins import pinned
from ml.promotion.repository import Reader
from ml.registry.history import chronological
from ml.registry.paths import located
from ml.stage import Action
from ml.text import visible
from ml.verdict import Gate

if TYPE_CHECKING:
    from ml.artifacts.verification import Verification


class Verifies(Protocol):
    """What verifies an artifact directory (`ml.artifacts.verify.Verifier`)."""

    def verify(self, directory: Path, *, expect_sha256: str | None = None) -> Verification:
        """All checks of one directory; the model's digest must be the expected one."""
        ...


def artifact(repository: Reader, case: Case, move: Move, verifier: Verifies) -> Gate:
    """Export the artifact from the commit and verify it in the cage, by its pointer and by what evidence pinned."""
    if move.action is Action.WITHDRAW:
        return passed("artifact", "a withdrawal needs no artifact")
    pointer = move.after.pointer(move.to_stage)
    assert pointer is not None
    path = located(pointer.artifact_dir, case.artifact_base)
    if PurePosixPath(path).name != move.artifact_id:
        return refused("artifact", f"{visible(path)} is not named after {visible(move.artifact_id)}")
    if not repository.tree(case.commit.sha, path):
        return refused("artifact", f"{visible(path)} is not in the commit")
    try:
        with tempfile.TemporaryDirectory(prefix="mlconsole-gate-") as folder:
            repository.export(case.commit.sha, Path(folder), [path])
            found = verifier.verify(Path(folder) / path, expect_sha256=pointer.model_sha256)
        events = (*chronological(move.past), move.event)
        found = found.pinned(pinned(repository, case.commit.sha, case.places, events, move.artifact_id))
    except ConsoleError as error:
        return refused("artifact", f"{visible(path)} could not be verified: {error.cause}")
    gate = return_gate(found) if move.action is Action.ROLLBACK else verify_gate(found)
    return passed("artifact", gate.why) if gate.verdict.opens else refused("artifact", gate.why)
