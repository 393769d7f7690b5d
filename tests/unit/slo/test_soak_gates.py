"""The gates of a soak from tapes and readings alone: each limit from both sides, and which reason comes first."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from support.judged import CELL_S, DAY_S, ERRORS, NOW, P99, ago

from ml.board import Tape
from ml.policy import Objective, parse_policy
from ml.slo.alerts import AlertsView
from ml.slo.measured import Terms
from ml.slo.promql import Attribution
from ml.slo.soak_gates import Restarts, Soaked, Track, first_reason, gates_of
from ml.slo.tape import Grid, Start
from ml.verdict import Code, Gate, Reading, Verdict, finding

CELLS = 288
QUIET = AlertsView((("MlHigh", finding(Verdict.PASS, Code.ALERTS_QUIET, "All quiet.")),))
FIRING = AlertsView((("MlHigh", finding(Verdict.FAIL, Code.ALERT_FIRING, "MlHigh is firing.")),))
DOUBT = finding(Verdict.NO_DATA, Code.CLOCK_JUMPED, "The wall clock went back.")
UNBEGUN = finding(Verdict.WAIT, Code.LANDED_JUST_NOW, "The pointer has only just landed.")
STRANGERS = finding(Verdict.VACUOUS, Code.SEVERAL_MODELS, "Two models are behind these numbers.")
GAP = finding(Verdict.ERROR, Code.SOURCE_FAILED, "The tape's question got no answer.")


def tape(cells: str = "o" * CELLS, objective: Objective = P99, **values: float) -> Tape:
    """A tape with these cells; ``c3=150.0`` gives the value of the third, every other one is 20."""
    numbers: list[float | None] = [20.0] * len(cells)
    for name, value in values.items():
        numbers[int(name[1:])] = value
    return Tape(
        objective=objective.name,
        started_at=NOW - timedelta(seconds=CELL_S * len(cells)),
        step_s=CELL_S,
        cells=cells,
        values=tuple(numbers),
        limit=objective.limit,
        unit=objective.unit,
    )


def reading(objective: Objective = P99, verdict: Verdict = Verdict.PASS, code: Code = Code.WITHIN_LIMIT) -> Reading:
    return Reading(
        name=objective.name, verdict=verdict, code=code, why="As read.", value=20.0, limit=objective.limit, unit="ms"
    )


def track(objective: Objective = P99, **changed: Any) -> Track:
    values: dict[str, Any] = {
        "objective": objective,
        "reading": reading(objective),
        "tape": tape(objective=objective),
        "inferences": 5_000.0,
    }
    return Track(**values | changed)


def soaked(policy: str = "", elapsed_s: float = DAY_S, **changed: Any) -> Soaked:
    start = ago(elapsed_s)
    values: dict[str, Any] = {
        "terms": Terms(parse_policy(policy.encode() or None), NOW),
        "start": Start(start),
        "grid": Grid(ago(DAY_S), CELL_S, CELLS),
        "tracks": (track(),),
        "alerts": QUIET,
        "scrape_s": 15.0,
    }
    return Soaked(**values | changed)


def soak_gate(*args: Any, **changed: Any) -> Gate:
    return gates_of(soaked(*args, **changed))[0]


def breached(count: int, value: float = 150.0) -> Track:
    cells = "o" * 10 + "b" * count + "o" * (CELLS - 10 - count)
    return track(tape=tape(cells, **{f"c{10 + index}": value for index in range(count)}))


def test_a_clean_soak_passes_with_its_numbers() -> None:
    gates = gates_of(soaked(tracks=(track(), track(ERRORS))))
    assert [(gate.name, gate.verdict) for gate in gates] == [
        ("soak", Verdict.PASS),
        ("p99", Verdict.PASS),
        ("error_rate", Verdict.PASS),
        ("alerts", Verdict.PASS),
    ]
    gate = gates[0]
    assert (gate.code, gate.value, gate.limit, gate.unit) == (Code.SOAKED, DAY_S, DAY_S, "s")
    assert gate.why == "24h soaked; 288 of the last 288 windows hold data, 0 breached."
    assert dict(gate.facts) == {
        "elapsed_s": DAY_S,
        "covered": 288,
        "windows": 288,
        "breaches": 0,
        "restarts": 0,
        "attribution": "artifact",
    }
    assert (gates[1].value, gates[1].limit, gates[1].unit) == (20.0, 100.0, "ms")


@pytest.mark.parametrize(
    ("attribution", "says"),
    [
        (Attribution.ARTIFACT, "0 breached."),
        (Attribution.MODE, "By mode only: no engine says which artifact it serves."),
        (Attribution.MIXED, "In part by mode only: not every engine says which artifact it serves."),
    ],
)
def test_what_ties_the_numbers_to_the_artifact_is_said(attribution: Attribution, says: str) -> None:
    gate = soak_gate(attribution=attribution)
    assert gate.why.endswith(says)
    assert dict(gate.facts)["attribution"] == str(attribution)


# --- limits, from both sides -----------------------------------------------------------------------------------------
class TestTime:
    @pytest.mark.parametrize(
        ("elapsed_s", "code"), [(DAY_S - 1, Code.SOAK_SHORT), (DAY_S, Code.SOAKED), (DAY_S + 1, Code.SOAKED)]
    )
    def test_a_whole_soak_to_the_second(self, elapsed_s: int, code: Code) -> None:
        assert soak_gate(elapsed_s=elapsed_s).code is code

    def test_what_is_short_says_when_it_can_pass(self) -> None:
        gate = soak_gate(elapsed_s=3_600)
        assert gate.why == "1h of 24h soaked; eligible at 2026-02-18T13:00:00Z if nothing breaches."
        assert (gate.verdict, gate.value) == (Verdict.WAIT, 3_600)
        assert dict(gate.facts) == {"elapsed_s": 3_600, "required_s": DAY_S, "eligible_at": "2026-02-18T13:00:00Z"}

    def test_what_has_not_begun_has_soaked_for_no_time(self) -> None:
        assert soaked(start=Start(None, UNBEGUN)).elapsed_s == 0
        assert soaked(elapsed_s=-30).elapsed_s == 0
        assert soaked(elapsed_s=10.9).elapsed_s == 10


class TestRestarts:
    @pytest.mark.parametrize(("times", "code"), [(5, Code.SOAKED), (6, Code.SOAKED), (7, Code.RESTARTED_TOO_OFTEN)])
    def test_six_are_allowed_and_seven_are_not(self, times: int, code: Code) -> None:
        assert soak_gate(restarts=Restarts({"a": times})).code is code
        assert soak_gate(restarts=Restarts({"a": times - 2}, 2)).code is code, "replacements count"
        assert soak_gate(restarts=Restarts({"a": times - 4, "b": 4})).code is code, "all engines together"

    def test_the_policy_says_how_many(self) -> None:
        assert soak_gate("[soak]\nmax_restarts = 0\n", restarts=Restarts({"a": 1})).code is Code.RESTARTED_TOO_OFTEN
        assert soak_gate("[soak]\nmax_restarts = 0\n").code is Code.SOAKED

    def test_what_it_says(self) -> None:
        gate = soak_gate(restarts=Restarts({"a": 4, "b": 5}, 1))
        assert gate.why == "The engines restarted 10 times (b most: 5) during the soak; at most 6 restarts are allowed."
        assert (gate.verdict, dict(gate.facts)) == (Verdict.FAIL, {"restarts": 10, "allowed": 6})

    def test_allowed_ones_are_told_beside_a_pass(self) -> None:
        gate = soak_gate(restarts=Restarts({"a": 1}))
        assert gate.why.endswith("0 breached. The engines restarted once.")
        assert dict(gate.facts)["restarts"] == 1

    @pytest.mark.parametrize(
        ("restarts", "words"),
        [
            (Restarts({"a": 0, "b": 2}), "restarted 2 times"),
            (Restarts({"a": 1, "b": 2}), "restarted 3 times (b most: 2)"),
            (Restarts({"a": 2, "b": 2}), "restarted 4 times (b most: 2)"),
            (Restarts({}, 1), "restarted once"),
            (Restarts({"a": 1_200}), "restarted 1,200 times"),
            (Restarts({"a": 1_200}, 1), "restarted 1,201 times (a most: 1,200)"),
        ],
    )
    def test_the_engine_that_restarted_most_is_named(self, restarts: Restarts, words: str) -> None:
        assert restarts.words == words


class TestScrapes:
    @pytest.mark.parametrize(
        ("scrape_s", "code"), [(None, Code.SOAKED), (150.0, Code.SOAKED), (151.0, Code.SCRAPED_TOO_SELDOM)]
    )
    def test_a_cell_holds_two(self, scrape_s: float | None, code: Code) -> None:
        assert soak_gate(scrape_s=scrape_s).code is code


class TestCoverage:
    @pytest.mark.parametrize(("missing", "code"), [(2, Code.SOAKED), (3, Code.COVERAGE_LOW)])
    def test_two_of_288_cells_may_miss(self, missing: int, code: Code) -> None:
        cells = "." * missing + "o" * (CELLS - missing)
        assert soak_gate(tracks=(track(tape=tape(cells)),)).code is code

    def test_exactly_the_share_that_is_needed_is_enough(self) -> None:
        half = track(tape=tape("." * 144 + "o" * 144))
        assert soak_gate("[soak]\nmin_coverage = 0.5\n", tracks=(half,)).code is Code.SOAKED
        assert soak_gate("[soak]\nmin_coverage = 0.501\n", tracks=(half,)).code is Code.COVERAGE_LOW

    def test_what_it_says(self) -> None:
        gate = soak_gate(tracks=(track(tape=tape("." * 29 + "o" * 259)),))
        assert gate.why.startswith("Only 89.9 % of the windows hold data; 99 % are needed; eligible at ")
        assert gate.verdict is Verdict.NO_DATA
        assert dict(gate.facts)["share"] == pytest.approx(259 / 288)
        assert dict(gate.facts)["needed"] == 0.99

    def test_a_restart_and_a_spared_breach_are_covered_and_a_kill_is_not(self) -> None:
        spared = "[soak]\nmax_breaches = 1\n"
        assert soak_gate(spared, tracks=(track(tape=tape("b" + "r" * 287)),)).code is Code.SOAKED
        assert soak_gate(tracks=(track(tape=tape("kkk" + "o" * 285)),)).code is Code.COVERAGE_LOW


class TestCounts:
    @pytest.mark.parametrize(("count", "code"), [(999.0, Code.TOO_FEW_SAMPLES), (1_000.0, Code.SOAKED)])
    def test_a_thousand_inferences(self, count: float, code: Code) -> None:
        assert soak_gate(tracks=(track(inferences=count),)).code is code
        assert soak_gate(tracks=(track(), track(ERRORS, inferences=count))).code is code

    def test_what_it_says(self) -> None:
        gate = soak_gate(tracks=(track(inferences=12.0),))
        assert gate.why == "Only 12 inferences were made; 1000 are needed."
        assert (gate.verdict, dict(gate.facts)) == (Verdict.NO_DATA, {"samples": 12.0, "needed": 1000})

    def test_what_cannot_block_proves_nothing(self) -> None:
        shown = track(P99.model_copy(update={"gate": False}))
        gates = gates_of(soaked(tracks=(shown,)))
        assert [gate.name for gate in gates] == ["soak", "alerts"]
        assert (gates[0].verdict, gates[0].code) == (Verdict.VACUOUS, Code.NO_OBJECTIVE)


class TestBreaches:
    @pytest.mark.parametrize(
        ("allowed", "count", "code"),
        [(0, 0, Code.SOAKED), (0, 1, Code.SOAK_BREACHED), (2, 2, Code.SOAKED), (2, 3, Code.SOAK_BREACHED)],
    )
    def test_as_many_as_the_policy_spares(self, allowed: int, count: int, code: Code) -> None:
        gates = gates_of(soaked(f"[soak]\nmax_breaches = {allowed}\n", tracks=(breached(count),)))
        assert gates[0].code is code
        assert gates[1].code is (Code.WITHIN_LIMIT if code is Code.SOAKED else Code.SOAK_BREACHED)

    def test_a_cell_that_breaches_twice_is_one_breach_of_the_soak(self) -> None:
        twice = (breached(1), track(ERRORS, tape=tape("o" * 10 + "b" + "o" * 277, ERRORS, c10=0.2)))
        assert soak_gate("[soak]\nmax_breaches = 1\n", tracks=twice).code is Code.SOAKED

    def test_the_worst_window_is_told(self) -> None:
        cells = "o" * 10 + "bbb" + "o" * 275
        gate = soak_gate(tracks=(track(tape=tape(cells, c10=150.0, c11=612.0, c12=200.0)),))
        assert gate.why == (
            "p99 breached in 3 of 288 windows, worst 612 ms from 2026-02-16T14:55:00Z to 2026-02-16T15:00:00Z; "
            "eligible at 2026-02-17T15:05:00Z if nothing breaches."
        )
        assert gate.verdict is Verdict.FAIL
        assert dict(gate.facts) == {
            "objective": "p99",
            "breached": 3,
            "windows": 288,
            "value": 612.0,
            "limit": 100.0,
            "begins_at": "2026-02-16T14:55:00Z",
            "ends_at": "2026-02-16T15:00:00Z",
            "eligible_at": "2026-02-17T15:05:00Z",
        }

    def test_the_objective_that_is_exceeded_most_is_told(self) -> None:
        rates = track(ERRORS, tape=tape("o" * 20 + "b" + "o" * 267, ERRORS, c20=0.2))
        assert dict(soak_gate(tracks=(breached(1, 150.0), rates)).facts)["objective"] == "error_rate"
        assert dict(soak_gate(tracks=(breached(1, 500.0), rates)).facts)["objective"] == "p99"

    def test_the_objectives_own_gate_says_it_without_the_soaks_end(self) -> None:
        gate = gates_of(soaked(tracks=(breached(1),)))[1]
        assert gate.verdict is Verdict.FAIL
        assert gate.why == (
            "p99 breached in 1 of 288 windows, worst 150 ms from 2026-02-16T14:50:00Z to 2026-02-16T14:55:00Z."
        )

    def test_a_reading_that_fails_now_is_told_before_a_breach_of_yesterday(self) -> None:
        now = reading(verdict=Verdict.FAIL, code=Code.BREACHED)
        gate = gates_of(soaked(tracks=(track(reading=now, tape=breached(1).tape),)))[1]
        assert (gate.code, gate.why) == (Code.BREACHED, "As read.")


# --- which reason comes first ----------------------------------------------------------------------------------------
REASONS: dict[str, tuple[dict[str, Any], Code]] = {
    "doubt": ({"doubt": DOUBT}, Code.CLOCK_JUMPED),
    "unbegun": ({"start": Start(None, UNBEGUN)}, Code.LANDED_JUST_NOW),
    "gap": ({"gap": GAP}, Code.SOURCE_FAILED),
    "mixed_models": ({"mixed_models": STRANGERS}, Code.SEVERAL_MODELS),
    "breached": ({"cells": "b" + "o" * 287}, Code.SOAK_BREACHED),
    "restarted": ({"restarts": Restarts({"a": 7})}, Code.RESTARTED_TOO_OFTEN),
    "short": ({"elapsed_s": 3_600}, Code.SOAK_SHORT),
    "seldom": ({"scrape_s": 200.0}, Code.SCRAPED_TOO_SELDOM),
    "thin": ({"cells": "....." + "o" * 283}, Code.COVERAGE_LOW),
    "few": ({"inferences": 9.0}, Code.TOO_FEW_SAMPLES),
}
PAIRS = [
    (first, second)
    for first, second in combinations(REASONS, 2)
    if not REASONS[first][0].keys() & REASONS[second][0].keys()
]


def having(**changed: Any) -> Gate:
    """The soak's gate with these faults; those of a track are laid into its only one."""
    one = track(
        tape=tape(changed.pop("cells", "o" * CELLS), c0=150.0),
        doubt=changed.pop("gap", None),
        inferences=changed.pop("inferences", 5_000.0),
    )
    return soak_gate(tracks=(one,), **changed)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_reasons_the_earlier_is_given(first: str, second: str) -> None:
    assert len(PAIRS) == 10 * 9 // 2 - 1
    assert having(**REASONS[first][0]).code is REASONS[first][1]
    assert having(**REASONS[second][0]).code is REASONS[second][1]
    assert having(**REASONS[first][0], **REASONS[second][0]).code is REASONS[first][1]


def test_of_the_doubts_of_several_tapes_the_gravest_is_given() -> None:
    lighter = finding(Verdict.NO_DATA, Code.SOURCE_WARNED, "A store is gone.")
    for doubts in ((lighter, GAP), (GAP, lighter)):
        assert soak_gate(tracks=tuple(track(doubt=doubt) for doubt in doubts)).code is Code.SOURCE_FAILED


def test_a_doubt_about_what_cannot_block_holds_nothing_up() -> None:
    shown = track(P99.model_copy(update={"gate": False}), doubt=GAP)
    assert soak_gate(tracks=(track(), shown)).code is Code.SOAKED


class TestObjective:
    def code(self, **changed: Any) -> Code:
        return gates_of(soaked(**changed))[1].code

    def test_the_order_of_its_reasons(self) -> None:
        doubtful = track(tape=breached(1).tape, doubt=GAP)
        assert self.code(doubt=DOUBT, start=Start(None, UNBEGUN), tracks=(doubtful,)) is Code.CLOCK_JUMPED
        assert self.code(start=Start(None, UNBEGUN), tracks=(doubtful,)) is Code.LANDED_JUST_NOW
        assert self.code(tracks=(doubtful,)) is Code.SOAK_BREACHED
        assert self.code(tracks=(track(doubt=GAP),)) is Code.SOURCE_FAILED
        assert self.code() is Code.WITHIN_LIMIT


class TestAlerts:
    def gate(self, **changed: Any) -> Gate:
        return gates_of(soaked(**changed))[-1]

    def test_what_was_found(self) -> None:
        assert (self.gate().name, self.gate().code) == ("alerts", Code.ALERTS_QUIET)
        assert self.gate(alerts=FIRING).code is Code.ALERT_FIRING

    def test_a_doubt_about_time_covers_silence_and_never_an_alert(self) -> None:
        assert self.gate(doubt=DOUBT).code is Code.CLOCK_JUMPED
        assert self.gate(doubt=DOUBT, alerts=FIRING).code is Code.ALERT_FIRING


def test_the_first_reason_is_the_gravest_gates() -> None:
    assert first_reason(gates_of(soaked())).startswith("24h soaked")
    assert first_reason(gates_of(soaked(elapsed_s=3_600, alerts=FIRING))) == "alerts: MlHigh is firing."
    assert first_reason(gates_of(soaked(elapsed_s=3_600))).startswith("soak: 1h of 24h soaked")
