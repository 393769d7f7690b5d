"""Every citation of the contract leads to a section of it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CITED = re.compile(r"contract §(\d+)")


def test_every_cited_section_is_there() -> None:
    sections = set(re.findall(r"^## (\d+)\.", (ROOT / "docs/contract.md").read_text(), re.MULTILINE))
    cited = {
        number: path.name
        for folder in ("console", "widgets", "ml", "scripts", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for number in CITED.findall(path.read_text())
    }
    assert len(cited) > 5
    assert {number: name for number, name in cited.items() if number not in sections} == {}
