"""Each promise of docs/security.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attack.known import KNOWN

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "docs/security.md").read_text().partition("## Promise → test")[2].partition("\n## ")[0]
ROWS = [tuple(line.strip("| ").rsplit(" | ", 1)) for line in SECTION.splitlines() if line[:1] == "|"][2:]
FILES = {path.name: path.read_text() for path in (ROOT / "tests").rglob("*.py")}
TESTS = "\n".join(FILES.values())


def test_there_are_promises() -> None:
    assert len(ROWS) > 20


@pytest.mark.parametrize(("promise", "proof"), ROWS)
def test_the_tests_of_a_promise_exist(promise: str, proof: str) -> None:
    named = re.findall(r"`([^`]+)`", proof)
    assert named, promise
    for each in named:
        if each.endswith(".py"):
            assert each in FILES
        elif each.startswith("test_"):
            assert re.search(rf"def {re.escape(each).replace('…', '[a-z_0-9]*')}\(", TESTS), each
        elif not each.startswith("nor_"):
            assert each in {known.name for known in KNOWN}
