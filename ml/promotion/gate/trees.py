"""Malformed trees: git objects that read differently in different tools, refused before anything else. Pure.

A server with ``receive.fsckObjects`` refuses them too; CI, `land` and a server without that setting rest on this.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from ml.text import visible

_MODES = frozenset({b"100644", b"100664", b"100755", b"120000", b"160000", b"40000"})
"""Modes that git writes, or wrote once; with a leading zero they would be another tree of the same content."""
_FOLDER = b"40000"
_SPECIAL = re.compile(r"\.git|git~1")
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
"""Characters that HFS+ leaves out when it compares names."""


def malformed(trees: Iterable[tuple[str, bytes]], width: int) -> str:
    """The first fault of some raw trees: one clause, empty where there is none.

    Args:
        trees: each tree's object id and its bytes as git stores them.
        width: the bytes of an object id in them, 20 or 32.
    """
    for sha, raw in trees:
        why = _fault(raw, width)
        if why:
            return f"the folder {sha[:12]} {why}; git's own tools write no such tree"
    return ""


def _fault(raw: bytes, width: int) -> str:
    """One clause about a malformed tree; empty for a well-formed one."""
    at, last, names = 0, b"", set[bytes]()
    while at < len(raw):
        space = raw.find(b" ", at)
        end = raw.find(b"\0", space)
        if space < 0 or end < 0 or end + 1 + width > len(raw):
            return "cannot be read to its end"
        mode, name = raw[at:space], raw[space + 1 : end]
        at = end + 1 + width
        shown = visible(name.decode("utf-8", "replace"), limit=80)
        if mode not in _MODES:
            return f"holds {shown} with the mode {visible(mode.decode('ascii', 'replace'), limit=12)}"
        if name in names:
            return f"holds the name {shown} twice"
        if not name or b"/" in name or name in (b".", b"..") or _is_git(name):
            return f"holds the name {shown or 'of no character'}, which leads elsewhere"
        order = name + b"/" if mode == _FOLDER else name
        if order <= last:
            return f"holds {shown} out of order"
        names.add(name)
        last = order
    return ""


def _is_git(name: bytes) -> bool:
    """Return True when a file system takes a name, or a part between backslashes, for git's own folder."""
    lowered = name.lower()
    if b"git" not in lowered and name.isascii():
        return False
    text = _IGNORED.sub("", unicodedata.normalize("NFC", name.decode("utf-8", "replace"))).casefold()
    parts = (part.partition(":")[0].rstrip(". ") for part in text.split("\\"))
    return any(_SPECIAL.fullmatch(part) for part in parts)
