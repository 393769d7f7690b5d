"""The names of approvals' refs: the usual one, and one aside for when somebody's ref stands in its way. Pure.

The usual name is ``refs/approvals/<approved commit>/<the approval's own commit>``. On a server without the hook anybody
can push a ref ``refs/approvals/<approved commit>``, and git then takes no ref below it. The name aside is
``refs/approvals/<approved commit>-<the approval's own commit>``. Nobody can stand in its way: it holds the id of a
signed commit, which nobody else knows before it is pushed. git takes no ref ``refs/approvals`` by a push.
"""

from __future__ import annotations

import re

from ml.promotion.repository import APPROVALS

_ID = "(?:[0-9a-f]{40}|[0-9a-f]{64})"
_USUAL = re.compile(rf"{APPROVALS}({_ID})/([0-9a-f]{{16,64}})")
_ASIDE = re.compile(rf"{APPROVALS}({_ID})-({_ID})")


def usual_name(commit: str, note: str) -> str:
    """The name of an approval's ref."""
    return f"{APPROVALS}{commit}/{note}"


def name_aside(commit: str, note: str) -> str:
    """The name of an approval's ref where the usual one has no room."""
    return f"{APPROVALS}{commit}-{note}"


def in_the_way(commit: str) -> str:
    """The name of a ref that leaves no room for the usual names of a commit's approvals."""
    return f"{APPROVALS}{commit}"


def homes(commit: str) -> tuple[str, str]:
    """The patterns of all refs that may be a commit's approvals, for `ml.promotion.repository.Refs.below`."""
    return f"{APPROVALS}{commit}/", f"{APPROVALS}{commit}-*"


def slot_of(ref: str) -> tuple[str, str] | None:
    """The approved commit and the approval's own name in the name of a ref; ``None`` where it is no approval's."""
    found = _USUAL.fullmatch(ref) or _ASIDE.fullmatch(ref)
    return (found[1], found[2]) if found else None
