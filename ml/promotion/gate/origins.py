"""The origin of a rollback's pointer: what is proven of it besides what an activation's event holds (SPEC §14).

Histories in the runbook's words keep no pointers. Then the facts come from where the console finds them too, by the
same search (`ml.promotion.origins`): registries in which the artifact was active, its manifest and train report, and
the commit that added it. What none of them knows may be written as unknown, and as nothing else.
"""

from __future__ import annotations

from ml.promotion.gate.case import Case, Move
from ml.promotion.origins import Search
from ml.promotion.repository import Reader
from ml.registry.history import activation_pointer, known_pointer
from ml.registry.pointers import spelled
from ml.registry.schema import Pointer
from ml.stage import Action

_SIGNATURE = frozenset({"artifact_id", "promoted_at_utc", "actor", "source"})
"""What names the pointer, and what a rollback writes anew into every one."""


def attested(repository: Reader, case: Case, move: Move) -> Pointer | None:
    """The part of a rollback's pointer that is proven; ``None`` where the activation's event holds all of it."""
    said = move.event.pointer
    if move.action is not Action.ROLLBACK or said is None:
        return None
    known = activation_pointer(move.past, move.artifact_id)
    held = spelled(known) if known else {}
    wanted = {key: value for key, value in spelled(said).items() if key not in _SIGNATURE and held.get(key) != value}
    if known and not wanted:
        return None
    folder = known_pointer(move.past, move.artifact_id).artifact_dir
    search = Search(repository, case.parent.sha, case.places.registry, case.artifact_base)
    proven = search.proven(move.name, move.artifact_id, said.artifact_dir, wanted)
    return Pointer.model_validate({"artifact_id": move.artifact_id, "artifact_dir": folder} | dict(proven))
