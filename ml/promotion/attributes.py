"""Git's attributes of an artifact's files: what a checkout makes of them, and what they become in a commit.

An engine reads a checkout, and everything was verified byte for byte. Git LFS is the one filter that gives back exactly
what a pointer names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ml.errors import Refused
from ml.promotion.clone import Clone
from ml.promotion.lfs import pointer_to, read_pointer
from ml.promotion.paths import LFS_SETTINGS
from ml.promotion.repository import SUBMODULE, Objects, Reader
from ml.text import visible

_BINARY = (".onnx", ".bin", ".data", ".pb")


def altered(path: str, attributes: Mapping[str, str]) -> str:
    """Say how a checkout alters a file: one clause, empty where it gives the committed bytes back. Pure."""
    filter_name = attributes.get("filter", "unset")
    lines = attributes.get("eol", "")
    text = attributes.get("text", attributes.get("crlf", ""))
    reasons = (
        (filter_name not in ("unset", "lfs"), f"sends it through the filter {visible(filter_name)}"),
        (attributes.get("ident") == "set", "writes object ids into it (ident)"),
        ("working-tree-encoding" in attributes, "writes it in another encoding (working-tree-encoding)"),
        (lines == "crlf" and text != "unset", "writes other line ends into it (eol=crlf)"),
        (text == "set" and path.endswith(_BINARY), "takes it for text, so that its line ends may be rewritten (text)"),
    )
    return next((why for wrong, why in reasons if wrong), "")


def above(path: str) -> Iterator[str]:
    """Every folder above a path, the nearest first."""
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


# The files of an artifact as they are committed.

_PLAIN = "Mark the artifacts in .gitattributes, for example: artifacts/onnx/** -text -ident -filter"
_ALLOW_LFS = "Set lfs = true under [artifacts] of the policy, or take the pattern out of .gitattributes."


@dataclass(frozen=True, slots=True)
class Committed:
    """The files of a commit with their bytes, and the files that Git LFS keeps outside of it."""

    files: tuple[tuple[str, bytes], ...]
    large: tuple[bytes, ...] = ()


def committed(repository: Reader, commit: str, files: Sequence[tuple[str, bytes]], *, lfs: bool) -> Committed:
    """The files as they are committed on top of a commit: unchanged, or as Git LFS pointers where it asks for them.

    Args:
        lfs: the policy allows pointers.

    Raises:
        Refused: git's attributes would change a file, so that a checkout gives other bytes than those verified; or a
            file is for Git LFS, and the policy does not allow that or git-lfs is not installed.
    """
    _require_room(repository.objects, commit, [path for path, _ in files])
    attributes = repository.clone.attributes(commit, [path for path, _ in files])
    large = [path for path, _ in files if attributes.get(path, {}).get("filter") == "lfs"]
    for path, _ in files:
        _require_kept(path, attributes.get(path, {}))
    plain = [(path, content) for path, content in files if path not in large]
    changed = repository.clone.converts(commit, plain)
    if changed:
        why = f"git would change the line ends or characters of {visible(changed[0])}, by its attributes or settings."
        raise Refused(why, f"{_PLAIN}. Or write the file with plain line ends, and set core.autocrlf to false here.")
    if large and not lfs:
        raise Refused(
            f"{visible(large[0])} is for Git LFS (filter=lfs), and the policy allows no pointers.", _ALLOW_LFS
        )
    if large:
        repository.lfs.require_program()
    contents = dict(files)
    kept = {path: pointer_to(contents[path]).content for path in large}
    return Committed(tuple((path, kept.get(path, raw)) for path, raw in files), tuple(contents[path] for path in large))


def _require_room(objects: Objects, commit: str, paths: Sequence[str]) -> None:
    """Refuse to put files where the commit has a submodule, a link or a file: they would replace it."""
    for folder in sorted({parent for path in paths for parent in above(path)}):
        for entry in objects.tree(commit, folder):
            if entry.path == folder:
                kind = "a submodule" if entry.mode == SUBMODULE else "no folder"
                why = (
                    f"{visible(folder)} is {kind} in the repository, so that the artifact cannot be committed below it."
                )
                raise Refused(why, "Keep artifacts in the registry's own repository, or set registry.artifact_base.")


def _require_kept(path: str, attributes: Mapping[str, str]) -> None:
    name = path.rpartition("/")[2]
    if name.startswith(".git") or name == LFS_SETTINGS:
        raise Refused(
            f"{visible(path)} would change how git treats the files beside it.", "Take it out of the artifact."
        )
    why = altered(path, attributes)
    if why:
        raise Refused(f"A checkout would not give {visible(path)} as it was verified: git {why}.", f"{_PLAIN}.")


def fault_of_tree(objects: Objects, clone: Clone, commit: str, path: str, *, fresh: bool) -> str:
    """Say why a checkout of a commit would not give the files below a path: one clause, empty where it would.

    Args:
        fresh: the files are new in the commit, so that the raw bytes of a file for Git LFS are a fault as well.
    """
    entries = objects.tree(commit, path)
    nested = next((entry.path for entry in entries if entry.mode == SUBMODULE), "")
    if nested:
        return f"{visible(nested)} is a submodule, and nobody verified its files"
    attributes = clone.attributes(commit, [entry.path for entry in entries])
    for entry in entries:
        given = attributes.get(entry.path, {})
        why = altered(entry.path, given)
        if why:
            return f"a checkout would not give {visible(entry.path)} as it was committed: git {why}"
        if fresh and given.get("filter") == "lfs" and not read_pointer(objects.content(entry)):
            return f"{visible(entry.path)} is for Git LFS (filter=lfs), and the commit holds its bytes and no pointer"
    return ""
