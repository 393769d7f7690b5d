"""The unified diff, which people read before they confirm and before they trust."""

from __future__ import annotations

from difflib import unified_diff

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.difference import difference, unified

LINES = st.lists(st.sampled_from(["", "a", "b", "@@ -1 +1 @@", "--- a"]), max_size=30)


@given(LINES, LINES, LINES, LINES)
def test_a_diff_is_that_of_the_whole_texts(head: list[str], old: list[str], new: list[str], tail: list[str]) -> None:
    before, after = [*head, *old, *tail], [*head, *new, *tail]
    shown = list(unified(before, after, "old", "new"))
    assert bool(shown) == (before != after)
    assert patched(before, shown) == after


def patched(before: list[str], diff: list[str]) -> list[str]:
    """Apply a diff strictly: each line that it keeps or removes must be where its header says."""
    after: list[str] = []
    at = 0
    for line in diff[2:]:
        if line.startswith("@@ "):
            first, _, length = line.split()[1][1:].partition(",")
            start = int(first) - (length != "0")
            after += before[at:start]
            at = start
            continue
        if line[0] in " -":
            assert before[at] == line[1:]
            at += 1
        if line[0] in " +":
            after.append(line[1:])
    return after + before[at:]


def test_a_diff_with_no_line_in_common_is_difflibs() -> None:
    assert list(unified(["a"], ["b"], "old", "new")) == list(unified_diff(["a"], ["b"], "old", "new", lineterm=""))


def test_a_difference_counts_lines_from_the_start_of_the_file() -> None:
    old = b"".join(b"line %d\n" % number for number in range(1000))
    new = old.replace(b"line 500\n", b"other\n").replace(b"line 700\n", b"")
    shown = difference(old, new, "f").splitlines()
    assert shown[:3] == ["--- a/f", "+++ b/f", "@@ -498,7 +498,7 @@"]
    assert [line for line in shown[3:] if line[0] in "+-"] == ["-line 500", "+other", "-line 700"]
    assert "@@ -698,7 +698,6 @@" in shown


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        (b"", b"a\n", ["+a"]),
        (b"a\n", b"", ["-a"]),
        (b"a\nb\n", b"b\n", ["-a"]),
        (b"\xff\n", b"a\n", ["-\\xff", "+a"]),
        (b"a\r\nb\r\n", b"a\r\nc\r\n", ["-b", "+c"]),
    ],
)
def test_differences_at_the_edges(old: bytes, new: bytes, changed: list[str]) -> None:
    assert [line for line in difference(old, new, "f").splitlines()[3:] if line[0] in "+-"] == changed
    assert difference(old, old, "f") == ""
