"""Evidence of every released format verifies for ever: real capsules, made by the version that wrote the format.

They were made on a real Prometheus by the first edition. Whoever makes one of them fail has broken what somebody
committed: give the new way a new format, and leave the judge of the old one as it was.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.verbs import run

RELEASED = Path(__file__).parents[1] / "data" / "evidence"
CAPSULES = sorted(RELEASED.glob("*/*.json"))


@pytest.mark.parametrize("capsule", CAPSULES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_released_capsule_verifies(capsule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evidence", "verify", str(capsule), "--json"]) == 0, capsys.readouterr().out
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "PASS"
    assert len(told["checks"]) >= 3


def test_each_kind_of_change_is_among_them() -> None:
    assert {path.stem for path in CAPSULES} >= {"to_active", "waived", "to_shadow", "staging", "rollback"}
