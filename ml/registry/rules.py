"""What the trading engine's loader demands of a file (SPEC §2); everything that we write keeps it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_GIT_SHA = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

TIME_KEYS = ("created_at_utc", "promoted_at_utc")
ACTIVE_KEYS = ("git_sha", "dataset_id", "promoted_at_utc")


def is_git_sha(value: object) -> bool:
    """Whether this is a commit as the engine takes it: 40 lowercase hex digits."""
    return isinstance(value, str) and bool(_GIT_SHA.fullmatch(value))


def is_digest(value: object) -> bool:
    """Whether this is a SHA-256 in 64 lowercase hex digits."""
    return isinstance(value, str) and bool(_DIGEST.fullmatch(value))


def pointer_faults(pointer: Mapping[str, object], *, active: bool) -> tuple[tuple[str, str], ...]:
    """Each key of a pointer that the engine refuses, with the reason in words. Path and id are the schema's matter."""
    found = []
    sha = pointer.get("git_sha")
    if sha is not None and not is_git_sha(sha):
        found.append(("git_sha", "git_sha is neither null nor 40 lowercase hex digits"))
    for key in TIME_KEYS:
        value = pointer.get(key)
        if value is not None and not str(value).endswith("Z"):
            found.append((key, f"{key} does not end in Z"))
    if active:
        found += [(key, f"an active pointer needs {key}") for key in ACTIVE_KEYS if not pointer.get(key)]
    return tuple(found)
