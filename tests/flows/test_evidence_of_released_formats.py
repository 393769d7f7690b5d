"""Evidence of every released format verifies for ever: real capsules, made by the version that wrote the format.

They were made on a real Prometheus by the first edition. Whoever makes one of them fail has broken what somebody
committed: give the new way a new format, and leave the judge of the old one as it was.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.verbs import run
from ml.promotion.evidence import verify
from ml.promotion.evidence_formats import sealed
from ml.verdict import Verdict

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


@pytest.mark.parametrize("capsule", CAPSULES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_another_language_changes_no_verdict(capsule: Path) -> None:
    """A server that words its sentences otherwise than the console did accepts what the console proposed."""
    values = json.loads(capsule.read_bytes())
    del values["seal"]
    _translate(values)
    assert [check for check in verify(sealed(values)) if check.verdict is not Verdict.PASS] == []


def _translate(value: object) -> None:
    """Every sentence of ours in a document, in another language; what a server answered stays."""
    if isinstance(value, dict):
        for key, inside in value.items():
            if key == "why":
                value[key] = "auf Deutsch gesagt"
            elif key in ("oddities", "silences") and all(isinstance(each, str) for each in inside):
                value[key] = ["auf Deutsch gesagt"] * len(inside)
            else:
                _translate(inside)
    elif isinstance(value, list):
        for inside in value:
            _translate(inside)


@pytest.mark.parametrize("kind", ["to_active", "waived"])
def test_a_lie_in_numbers_is_found_in_each_format(kind: str) -> None:
    for capsule in RELEASED.glob(f"*/{kind}.json"):
        values = json.loads(capsule.read_bytes())
        del values["seal"]
        for exchange in values["soak_exchanges"]:
            if exchange["kind"] == "query" and "long" in exchange["promql"]:
                exchange["body"] = exchange["body"].replace('"value":[', '"value":[1')
        for reading in values["soak"]["report"]["readings"]:
            reading["value"] = 1.0
        found = {check.name for check in verify(sealed(values)) if check.verdict is Verdict.FAIL}
        assert "soak" in found, capsule


def test_a_format_of_a_later_version_is_named_and_not_guessed() -> None:
    values = json.loads((RELEASED / "v1" / "to_active.json").read_bytes()) | {"schema_version": "v99"}
    del values["seal"]
    (found,) = [check for check in verify(sealed(values)) if check.verdict is Verdict.FAIL]
    assert found.why == "The document's format is v99; this version reads v1, v2."
