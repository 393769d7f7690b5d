"""A unified diff straight from splices: linear in the text, where comparing a large file with itself is not."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ml.registry.edits import Splice, spliced

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_CONTEXT = 3


@dataclass(frozen=True, slots=True)
class _Hunk:
    """Lines from ``start`` to before ``end`` (from 0) that become ``new``."""

    start: int
    end: int
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Lines from ``start`` to before ``end``, and the splices in them."""

    start: int
    end: int
    splices: tuple[Splice, ...]


def patch(text: str, splices: Sequence[Splice], file: str) -> str:
    """The unified diff of applying splices to a text; empty when nothing changes. Lines end at ``\\n`` only."""
    lines = _LINE.findall(text)
    hunks = _hunks(text, lines, [each for each in splices if text[each.start : each.end] != each.text])
    parts = [f"--- a/{file}\n+++ b/{file}\n"] if hunks else []
    shift = 0
    for group in _grouped(hunks):
        before = max(0, group[0].start - _CONTEXT)
        after = min(len(lines), group[-1].end + _CONTEXT)
        grown = sum(len(hunk.new) - (hunk.end - hunk.start) for hunk in group)
        parts.append(f"@@ -{_range(before, after)} +{_range(before + shift, after + shift + grown)} @@\n")
        shift += grown
        index = before
        for hunk in group:
            parts += [_line(" ", line) for line in lines[index : hunk.start]]
            parts += [_line("-", line) for line in lines[hunk.start : hunk.end]]
            parts += [_line("+", line) for line in hunk.new]
            index = hunk.end
        parts += [_line(" ", line) for line in lines[index:after]]
    return "".join(parts)


def _range(start: int, end: int) -> str:
    return f"{start + 1},{end - start}"


def _line(sign: str, line: str) -> str:
    return sign + line if line.endswith("\n") else f"{sign}{line}\n\\ No newline at end of file\n"


def _hunks(text: str, lines: Sequence[str], splices: Sequence[Splice]) -> list[_Hunk]:
    """The splices widened to whole lines; those that share a line are one."""
    starts = [0, *accumulate(len(line) for line in lines)]
    pieces: list[_Piece] = []
    for splice in sorted(splices, key=lambda each: (each.start, each.end)):
        first = bisect_right(starts, splice.start) - 1
        last = bisect_left(starts, max(splice.end, splice.start + 1))
        if pieces and first < pieces[-1].end:
            joined = pieces.pop()
            pieces.append(_Piece(joined.start, max(joined.end, last), (*joined.splices, splice)))
        else:
            pieces.append(_Piece(first, last, (splice,)))
    return [_hunk(text, lines, starts, piece) for piece in pieces]


def _hunk(text: str, lines: Sequence[str], starts: Sequence[int], piece: _Piece) -> _Hunk:
    """One piece applied, without the lines at both ends that stay as they are."""
    start, end, offset = piece.start, piece.end, starts[piece.start]
    moved = [Splice(each.start - offset, each.end - offset, each.text) for each in piece.splices]
    new = _LINE.findall(spliced(text[offset : starts[end]], moved))
    while start < end and new and lines[start] == new[0]:
        start, new = start + 1, new[1:]
    while start < end and new and lines[end - 1] == new[-1]:
        end, new = end - 1, new[:-1]
    return _Hunk(start, end, tuple(new))


def _grouped(hunks: Sequence[_Hunk]) -> list[list[_Hunk]]:
    """Hunks whose context would touch belong together."""
    groups: list[list[_Hunk]] = []
    for hunk in hunks:
        if groups and hunk.start - groups[-1][-1].end <= 2 * _CONTEXT:
            groups[-1].append(hunk)
        else:
            groups.append([hunk])
    return groups
