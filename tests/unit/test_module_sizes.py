"""A module of the product is one thought that a person can hold (`docs/decisions/tree.md`)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import console

ROOT = Path(console.__file__).resolve().parents[1]
MOST_LINES = 450


def longer_than(limit: int, root: Path, *folders: str) -> dict[str, int]:
    """The modules below some folders that are longer than a limit, with their lines."""
    paths = (path for folder in folders for path in (root / folder).rglob("*.py"))
    lines = {str(path.relative_to(root)): path.read_text(encoding="utf-8").count("\n") for path in paths}
    return {path: count for path, count in lines.items() if count > limit}


def test_no_module_is_longer_than_the_limit() -> None:
    assert longer_than(MOST_LINES, ROOT, "console", "widgets", "ml") == {}


def test_the_decision_names_this_limit() -> None:
    decision = (ROOT / "docs/decisions/tree.md").read_text(encoding="utf-8")
    assert f"longer than {MOST_LINES} lines" in " ".join(decision.split())


@pytest.mark.parametrize(("lines", "found"), [(450, {}), (451, {"ml/deep/long.py": 451})])
def test_a_longer_module_is_found(tmp_path: Path, lines: int, found: dict[str, int]) -> None:
    (tmp_path / "ml/deep").mkdir(parents=True)
    (tmp_path / "ml/deep/long.py").write_text("pass\n" * lines, encoding="utf-8")
    assert longer_than(MOST_LINES, tmp_path, "ml") == found


def test_no_two_test_modules_share_a_name() -> None:
    """pytest imports test modules by their bare names, so of two alike it collects only the first."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
