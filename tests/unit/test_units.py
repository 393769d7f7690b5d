"""One value reads the same wherever it is shown: on the board, in verbs, verdicts, pull requests and watches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from console.verbs import lines
from ml.clock import hours
from ml.emergency.watch import Subject, Trouble, begin, summary_markdown
from ml.policy import Objective
from ml.promotion.body import Account, body
from ml.promotion.values import Target
from ml.slo.measured import words
from ml.stage import Action, Stage
from ml.units import amount, count, figure
from ml.verdict import Gate, Verdict

NOW = datetime(2026, 2, 16, 10, 0, tzinfo=UTC)
TARGET = Target(
    action=Action.PROMOTE,
    model="regime",
    from_stage=Stage.SHADOW,
    to_stage=Stage.ACTIVE,
    artifact_id="regime_v2026_02_16_001",
    artifact_dir="artifacts/onnx/regime_v2026_02_16_001",
    model_sha256="a" * 64,
    base_commit="c" * 40,
    registry_blob="d" * 40,
    opened_at=NOW,
    actor="ann@example.com",
)


@pytest.mark.parametrize("value", [0.0634567, 0.05004, 1.7, 0.003])
def test_a_ratio_reads_the_same_everywhere(value: float) -> None:
    shown, limit = amount(value, "", limit=0.05), 0.05
    gate = Gate(name="error_rate", verdict=Verdict.FAIL, why="", value=value, limit=limit)
    trouble = Trouble("error_rate", NOW, "", value, limit, "")
    watch = begin(Subject("regime", "regime_v2026_02_16_001", NOW, serving=True), "ann", NOW, 60)
    objective = Objective(name="error_rate", kind="ratio", errors="errors", successes="successes", limit=limit)
    account = Account(target=TARGET, reason="", at=NOW, gates=(gate,), diff="")
    assert f" {shown} < 5 % " in f"{lines.gate(gate)} "
    assert f"| {shown} | 5 % |" in summary_markdown(replace(watch, troubles=(trouble,)))
    assert words(objective, value) == shown
    assert f"Error rate: {shown.replace(' ', '')} (SLO: <5%)" in body(account)


@pytest.mark.parametrize(
    ("value", "unit", "limit", "shown"),
    [
        (42.1, "ms", 100.0, "42.1 ms"),
        (0.063, "", 0.05, "6.3 %"),
        (1.7, "", 0.05, "170 %"),
        (3.0, "", 5.0, "3"),
        (86_400, "s", None, "24h"),
        (300, "s", 86_400, "5m"),
        (0.042, "s", 0.5, "0.042 s"),
        (0.0634567, "", 0.05, "6.346 %"),
        (0.0634567, "ratio", None, "6.346 %"),
        (1234.567, "ms", 100.0, "1235 ms"),
        (None, "ms", 100.0, "-"),
    ],
)
def test_amounts_read_as_the_runbook_writes_them(
    value: float | None, unit: str, limit: float | None, shown: str
) -> None:
    assert amount(value, unit, limit=limit) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (300, "5m"), (3_599, "59m"), (3_600, "1h"), (3_660, "1h01m"),
     (86_400, "24h"), (111_900, "31h05m")],
)  # fmt: skip
def test_a_window_is_said_in_hours(seconds: float, shown: str) -> None:
    assert hours(seconds) == shown


def test_figures_have_three_digits_and_no_exponent() -> None:
    shown = [figure(value, unit) for value, unit in ((None, "ms"), (42.123, "ms"), (12_480.4, "blocks"), (0.5, ""))]
    assert shown == ["-", "42.1 ms", "12,480 blocks", "0.5"]


def test_counts_are_short() -> None:
    assert [count(n) for n in (None, 950, 1_000, 9_949, 182_400, 1_250_000)] == [
        "-", "950", "1.0k", "9.9k", "182k", "1.2M"
    ]  # fmt: skip
