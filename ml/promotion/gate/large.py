"""Files of a judged artifact in Git LFS: allowed by the base's policy, on the server, and restored by a checkout."""

from __future__ import annotations

from pathlib import Path

from ml.artifacts.survey import MAX_BYTES
from ml.promotion.gate.case import Case
from ml.promotion.lfs import pointers, resolve
from ml.promotion.repository import Reader
from ml.text import visible


def restored(repository: Reader, case: Case, directory: Path, server: str) -> str:
    """Put the server's files in the place of an exported commit's pointers; why that fails: one clause, or empty.

    Args:
        directory: the exported files, with their paths from the root of the repository.
        server: the remote that must have the files; empty where this repository is the server.
    """
    found = {path.relative_to(directory).as_posix(): pointer for path, pointer in pointers(directory)}
    if not found:
        return ""
    first = visible(next(iter(found)))
    if not case.policy.artifacts.lfs:
        return f"{first} is a Git LFS pointer, and the base's policy allows none (artifacts.lfs)"
    large = next((path for path, pointer in found.items() if pointer.size > MAX_BYTES), "")
    if large:
        return f"the file of the Git LFS pointer {visible(large)} has more than {MAX_BYTES:,} bytes"
    if sum(pointer.size for pointer in found.values()) > MAX_BYTES:
        return f"the files of its {len(found)} Git LFS pointers have more than {MAX_BYTES:,} bytes together"
    attributes = repository.clone.attributes(case.commit.sha, list(found))
    bare = next((path for path in found if attributes.get(path, {}).get("filter") != "lfs"), "")
    if bare:
        return f"{visible(bare)} is a Git LFS pointer without the attribute filter=lfs, so a checkout keeps the pointer"
    with repository.lfs.served(server, case.commit.sha, tuple(found)) as store:
        missing = resolve(directory, store)
    return f"the file of the Git LFS pointer {visible(missing[0])} is not on the server" if missing else ""
