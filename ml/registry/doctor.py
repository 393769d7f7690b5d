"""The history doctor: names everything wrong or merely odd in a registry that opens (SPEC §2)."""

from __future__ import annotations

from dataclasses import dataclass

from ml.registry.codec import Document


@dataclass(frozen=True, slots=True)
class Finding:
    """One oddity: a stable code, the field path, what it is, and what to do. ``severe``: the engine refuses the file."""

    code: str
    path: str
    severe: bool
    what: str
    remedy: str


def examine(doc: Document) -> tuple[Finding, ...]:
    """Everything that is wrong or odd, in the order of the file."""
    return ()


def repair_diff(doc: Document) -> str:
    """A unified diff that mends what can be mended without guessing; empty where there is nothing. Never applied."""
    return ""
