"""The unified diff of two versions of a text."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff

_CONTEXT = 3


def difference(old: bytes, new: bytes, path: str) -> str:
    """Return the unified diff of one file. Lines end in a newline; undecodable bytes are escaped."""
    before, after = (raw.decode("utf-8", "backslashreplace").splitlines() for raw in (old, new))
    return "\n".join(unified(before, after, f"a/{path}", f"b/{path}"))


def unified(before: list[str], after: list[str], old: str, new: str) -> Iterator[str]:
    """Return the lines of a unified diff between two lists of lines, below the names of both.

    Both ends that are alike are set aside first: difflib needs minutes for a registry of a thousand models.
    """
    head = _alike(before, after)
    tail = _alike(before[head:][::-1], after[head:][::-1])
    start = max(0, head - _CONTEXT)
    before_end, after_end = (min(len(lines), len(lines) - tail + _CONTEXT) for lines in (before, after))
    lines = unified_diff(before[start:before_end], after[start:after_end], old, new, lineterm="", n=_CONTEXT)
    yield from (_moved(line, start) for line in lines)


def _alike(one: list[str], other: list[str]) -> int:
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return number
    return min(len(one), len(other))


def _moved(line: str, by: int) -> str:
    """A hunk's header with its line numbers counted from the start of the file again."""
    if not line.startswith("@@ ") or not by:
        return line
    _, old, new, rest = line.split(" ", 3)
    return f"@@ {_shifted(old, by)} {_shifted(new, by)} {rest}"


def _shifted(span: str, by: int) -> str:
    first, comma, length = span[1:].partition(",")
    return f"{span[0]}{int(first) + by}{comma}{length}"
