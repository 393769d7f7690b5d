"""The binding of acknowledgement and evidence: to a model's slice of the registry, not to the whole file (SPEC §14).

Both name the registry by its object id. Where the base moved on and the file is another now, they hold as long as the
model's own text in the file that they name is the text in the file that the change was made on.
"""

from __future__ import annotations

import hashlib

from ml.promotion.gate.case import Case, Move
from ml.promotion.repository import Reader
from ml.registry.codec import Document, RegistryInvalid, parse


def bound(repository: Reader, case: Case, move: Move, written: object) -> str:
    """The registry that an acknowledgement, or evidence, must name: the one before the change, or one with its slice.

    Args:
        written: what names a ``registry_blob``.
    """
    own = repository.blob_id(case.parent.sha, case.places.registry)
    said = written.get("registry_blob") if isinstance(written, dict) else None
    if not isinstance(said, str) or said == own:
        return own
    raw = repository.blob(said)
    try:
        named = parse(raw) if raw is not None else None
    except RegistryInvalid:
        return own
    return said if named is not None and same_slice(named, case.before, move.name) else own


def same_slice(one: Document | None, other: Document | None, name: str) -> bool:
    """Whether two registries hold the same text of a model, or neither has it."""
    return _slice(one, name) == _slice(other, name)


def _slice(document: Document | None, name: str) -> str | None:
    return document.model_text(name) if document is not None and name in document.spans else None


def blob_id(content: bytes, digits: int) -> str:
    """The object id that git gives to a file's bytes, in a repository whose ids have 40 or 64 digits."""
    known = hashlib.sha256() if digits == 64 else hashlib.sha1(usedforsecurity=False)
    known.update(b"blob %d\0" % len(content) + content)
    return known.hexdigest()
