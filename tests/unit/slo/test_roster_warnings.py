"""Warnings about who serves: a partial roster is no proof, on the board, in the soak, and of what serves."""

from __future__ import annotations

from datetime import datetime

import pytest
from support.fixed_metrics import NOW, POLICY, SUBJECT, FixedMetrics

from ml.policy import parse_policy
from ml.slo.readings import StageRead, board_readings
from ml.slo.roster import serving
from ml.slo.soak import judge_soak
from ml.slo.source import Answer, PartialAnswer
from ml.stage import Stage
from ml.verdict import Code, Verdict

WARNING = "remote storage does not answer"


class Partial(FixedMetrics):
    """A source that warns where a question holds some text, and nowhere else."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        self.warnings = [WARNING] if self.text in promql else []
        answer = super().query(promql, at)
        self.warnings = []
        return answer


ROSTER = ['"mlconsole", "timed', "[30m]"]
"""Parts of the two requests of a roster: which engines there are, and how often they are scraped."""


@pytest.mark.parametrize("text", ROSTER)
def test_a_partial_roster_closes_every_gate_of_a_soak(text: str) -> None:
    report = judge_soak(Partial(text), POLICY, SUBJECT, NOW).report
    assert {(gate.verdict, gate.code) for gate in report.gates} == {(Verdict.NO_DATA, Code.SOURCE_WARNED)}
    assert all(WARNING in gate.why for gate in report.gates)


@pytest.mark.parametrize("text", ["min_over_time((vector(time())", '"mlconsole", "restarts"'])
def test_so_do_warnings_about_the_start_and_about_restarts(text: str) -> None:
    gates = {gate.name: gate for gate in judge_soak(Partial(text), POLICY, SUBJECT, NOW).report.gates}
    assert (gates["soak"].verdict, gates["soak"].code) == (Verdict.NO_DATA, Code.SOURCE_WARNED)


def test_a_source_without_warnings_passes_the_same_soak() -> None:
    assert judge_soak(Partial("nothing of the kind"), POLICY, SUBJECT, NOW).report.verdict is Verdict.PASS


@pytest.mark.parametrize("models", [("a",), ("a", "b", "c")])
def test_a_partial_roster_leaves_no_reading_of_a_board(models: tuple[str, ...]) -> None:
    metrics = Partial(ROSTER[0])
    metrics.models = models if len(models) > 1 else ()
    policy = parse_policy("".join(f"[model.{each}]\nselector = 'model=\"{each}\"'\n" for each in models).encode())
    readings = board_readings(metrics, policy, [StageRead(each, Stage.SHADOW) for each in models], NOW)
    found = {(reading.verdict, reading.code) for each in readings.values() for reading in each}
    assert found == {(Verdict.NO_DATA, Code.SOURCE_WARNED)}


def test_labels_of_grouped_engines_count_as_a_part_of_the_roster() -> None:
    metrics = Partial('"mlconsole", "born')
    metrics.models = ("a", "b")
    policy = parse_policy(b"[model.a]\nselector = 'model=\"a\"'\n[model.b]\nselector = 'model=\"b\"'\n")
    readings = board_readings(metrics, policy, [StageRead(each) for each in ("a", "b")], NOW)
    assert {reading.verdict for each in readings.values() for reading in each} == {Verdict.NO_DATA}


def test_a_partial_answer_proves_nothing_of_what_serves() -> None:
    with pytest.raises(PartialAnswer, match=WARNING):
        serving(Partial("grinder_ml_model_info"), POLICY, ("regime",))
