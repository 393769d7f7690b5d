"""What each line of the gate rests on: our own computing, a second measurement, or somebody's word. Pure."""

from __future__ import annotations

from enum import StrEnum

from ml.verdict import Code, Gate

_MEASURED = frozenset({Code.MEASURED_ALIKE, Code.MEASURED_OTHERWISE, Code.FORGOTTEN, Code.ALERT_CONTRADICTED})
_CLAIMED = frozenset({Code.CLAIMED, Code.SELF_DECLARED, Code.NOT_MEASURED_AGAIN})


class Basis(StrEnum):
    """On what a line rests."""

    RECOMPUTED = "re-computed"
    """The gate computed it from git's objects and the recorded responses, with its own code."""
    REMEASURED = "re-measured"
    """The gate asked a metrics source of its own."""
    CLAIMED = "claimed"
    """Only the author says so."""


def basis_of(gate: Gate) -> tuple[Basis, str]:
    """What a line rests on, and by whom it is claimed; empty where it is not."""
    found = gate.was or gate.found
    facts = dict(found.facts)
    if found.code in _MEASURED:
        return Basis.REMEASURED, ""
    if found.code in _CLAIMED or facts.get("proven") is False:
        return Basis.CLAIMED, str(facts.get("who") or "")
    return Basis.RECOMPUTED, ""


def shown_basis(gate: Gate) -> str:
    """The same in words, for the end of a line."""
    basis, who = basis_of(gate)
    return f"{basis} by {who}" if who else str(basis)
