"""What verbs print and answer, on the fakes of the interface."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from fakes import NOW, board, model_view, p99, rollback_plan, soak_report, stage_view

from console.short import short
from console.verbs import lines
from console.verbs.changing import rollback
from console.verbs.looking import log
from ml.stage import Stage
from ml.verdict import SOAK_GATE, Code, Verdict, finding

CLOCK = SimpleNamespace(now=lambda: NOW)


def answered(verb: click.Command, session: object, *words: str) -> tuple[int, str]:
    """Exit code and everything that a verb prints."""
    session = SimpleNamespace(session=session, as_json=False)
    result = CliRunner().invoke(verb, list(words), obj=session, standalone_mode=False)
    return result.return_value, result.output


def test_status_names_each_open_branch_as_land_and_push_want_it() -> None:
    shown = board()
    text = "\n".join(lines.status(shown))
    assert shown.registry.branches
    for branch in shown.registry.branches:
        assert f"  {branch.name}  " in text


def test_a_model_of_which_nothing_is_judged_is_not_called_ok() -> None:
    nothing = {"shadow": stage_view(Stage.SHADOW), "readings": (), "gates": (), "soak": None}
    staged = stage_view(Stage.STAGING, "calm_v2026_02_16_001")
    view = model_view("calm", staging=staged, step="staging→shadow", **nothing)
    assert short(board(view)) == "KILL off | calm:checklist WAIT"
    assert short(board(replace(view, step=""))) == "KILL off | calm:NO_DATA"


def test_a_soak_ends_with_its_verdict_after_every_query() -> None:
    report = soak_report()
    told = lines.soak(report)
    assert told[0] == "queries"
    assert told[1 : 1 + len(report.queries)] == [f"  {query}" for query in report.queries]
    assert told[-1] == f"{report.model} {report.artifact_id}: [{report.verdict.value}] {report.why}"


def test_only_a_soak_has_a_minimum() -> None:
    """An engine may count its latencies in seconds; that makes no minimum of their limit."""
    reading = p99(value=0.042, limit=0.1, unit="s", verdict=Verdict.PASS, why="fine")
    assert "0.042 s < 0.1 s" in lines.gate(reading)
    gate = finding(Verdict.PASS, Code.WITHIN_LIMIT, "fine").gate("p99", value=0.042, limit=0.1, unit="s")
    assert "0.042 s < 0.1 s" in lines.gate(gate)
    minutes = finding(Verdict.FAIL, Code.BREACHED, "slow").gate("batch", value=90.0, limit=60.0, unit="s")
    assert "≥" not in lines.gate(minutes)
    soak = finding(Verdict.WAIT, Code.BEING_JUDGED, "young").gate(SOAK_GATE, value=3600.0, limit=86400.0, unit="s")
    assert "1h ≥ 24h" in lines.gate(soak)


def test_a_value_that_is_only_known_from_below_says_so() -> None:
    assert "≥500 ms < 100 ms" in lines.gate(p99(value=500.0, clamped=True, verdict=Verdict.FAIL, why="slow"))
    assert "≥" not in lines.gate(p99(value=500.0, verdict=Verdict.FAIL, why="slow"))


@pytest.mark.parametrize(
    ("active", "words", "code"),
    [
        ("", (), 0),
        ("regime_v2026_02_15_001", ("--to", "regime_v2026_02_15_001"), 0),
        ("regime_v2026_02_15_001", (), 1),
    ],
    ids=["nothing is active", "it is active already", "no target is left"],
)
def test_a_rollback_that_cannot_be_is_not_done(active: str, words: tuple[str, ...], code: int) -> None:
    prepared = replace(rollback_plan(), plan=None, from_artifact=active, why="Because.")
    session = SimpleNamespace(clock=CLOCK, rollbacks=SimpleNamespace(plan=lambda model, to: prepared))
    assert answered(rollback, session, "regime_classifier", *words) == (code, "Because.\n")


def test_an_empty_audit_log_says_so() -> None:
    session = SimpleNamespace(clock=CLOCK, audit=SimpleNamespace(sentences=lambda limit: ()))
    assert answered(log, session) == (0, "The audit log of this machine is empty so far.\n")
