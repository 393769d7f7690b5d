"""Diffs made from splices: the same as comparing both texts, and always applicable."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.registry.edits import Splice, spliced
from ml.registry.repair import patch


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, list[Splice]]:
    """A text of short lines and some splices that do not overlap."""
    text = draw(st.text("ab\n", min_size=1, max_size=60))
    places = sorted(draw(st.lists(st.integers(0, len(text) - 1), max_size=6, unique=True)))
    splices = [
        Splice(start, draw(st.integers(start, end)), draw(st.text("xy\n", max_size=6)))
        for start, end in zip(places, [*places[1:], len(text)], strict=False)
    ]
    return text, splices


@given(case=edited())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_git_applies_the_diff_to_exactly_the_new_text(
    case: tuple[str, list[Splice]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text, splices = case
    new = spliced(text, splices)
    diff = patch(text, splices, "file.txt")
    assert (diff == "") == (new == text)
    if diff and new:  # a file that becomes empty is another kind of patch, and no registry
        folder: Path = tmp_path_factory.mktemp("patch")
        (folder / "file.txt").write_bytes(text.encode())
        apply = ["git", "apply", "--whitespace=nowarn", "-"]
        subprocess.run(apply, cwd=folder, input=diff.encode(), check=True, timeout=30)
        assert (folder / "file.txt").read_bytes() == new.encode()


def test_near_edits_share_a_hunk_and_far_ones_do_not() -> None:
    text = "".join(f"line {number}\n" for number in range(40))
    near = [Splice(0, 4, "LINE"), Splice(text.index("line 5\n"), text.index("line 6\n"), "")]
    far = Splice(text.index("line 30"), text.index("line 30"), "new\n")
    assert patch(text, near, "f").count("@@ -") == 1
    assert patch(text, [*near, far], "f").count("@@ -") == 2
    assert patch(text, [far], "f").splitlines()[2:] == [
        "@@ -28,6 +28,7 @@",
        *(f" line {number}" for number in (27, 28, 29)),
        "+new",
        *(f" line {number}" for number in (30, 31, 32)),
    ]
