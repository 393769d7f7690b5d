"""No face of the product is greener than the gate: every situation on every face, and random boards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import BASE, NOW, FakeSession, alerts, board, error_rate, gate, model_view, p95, p99, p999, soak_report
from fakes import stage_view as stage_of
from hypothesis import given, settings
from hypothesis import strategies as st
from support import faces
from support.views import console, console_of, settled
from support.walk import reads_soon, shown_on
from support.widget_host import staged

from ml.board import Board, ModelView, Problem, Source, SourceState
from ml.judgement import board_verdict, judged, models_at, outweighs, soak_at
from ml.stage import Stage
from ml.verdict import Gate, Reading, Verdict
from widgets.model_list import ModelList
from widgets.stage_pane import StagePane

PASS, FAIL, WAIT, STALE, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.WAIT, Verdict.STALE, Verdict.ERROR
QUIET = alerts(verdict=PASS, why="3 rules are quiet.")
WELL = (p99(), p999(), p95(), error_rate(verdict=PASS, value=0.004, why="0.4 % is below 5 %."), QUIET)
SOAKED = tuple(gate(name, PASS, "Measured.") for name in ("soak", "p99", "p999", "error_rate", "alerts"))
BURST = "p99 breached in 2 of 288 windows, worst 182 ms from 2026-02-17T10:00:00Z to 2026-02-17T10:05:00Z."


def calm(**changes: object) -> ModelView:
    """Everything is measured and well."""
    report = soak_report(verdict=PASS, why="24h soaked.", gates=SOAKED, breaches=0)
    return model_view(**{"readings": WELL, "active_readings": WELL, "gates": SOAKED, "soak": report, **changes})


def with_gates(**verdicts: Verdict) -> ModelView:
    """Calm, but for these gates."""
    gates = tuple(replace(each, verdict=verdicts.get(each.name, PASS), why=BURST) for each in SOAKED)
    return calm(gates=gates, soak=soak_report(verdict=max(verdicts.values()), gates=gates))


def unjudged(view: ModelView) -> ModelView:
    waits = gate("soak", WAIT, "The soak is being judged.")
    return replace(view, gates=(waits,), soak=None)


def old(minutes: float) -> ModelView:
    report = soak_at(soak_report(verdict=PASS, why="24h soaked.", gates=SOAKED), NOW + timedelta(minutes=minutes))
    return calm(gates=report.gates, soak=report)


def unheard(board_age_s: float) -> ModelView:
    (model,) = models_at(board(calm(), as_of=NOW), NOW + timedelta(seconds=board_age_s))
    return model


STAGED = {"shadow": stage_of(Stage.SHADOW), "gates": (), "soak": None, "step": "staging→shadow"}
TABLE = {
    "all is well": (calm(), PASS),
    "a ten-minute burst four hours ago": (with_gates(soak=FAIL, p99=FAIL), FAIL),
    "the soak lasts": (with_gates(soak=WAIT), WAIT),
    "the soak is being judged": (unjudged(calm()), WAIT),
    "one gate could not have failed": (with_gates(error_rate=Verdict.VACUOUS), Verdict.VACUOUS),
    "one gate has no data": (with_gates(p999=Verdict.NO_DATA), Verdict.NO_DATA),
    "an alert fires": (with_gates(alerts=FAIL), FAIL),
    "a gate is waived": (with_gates(p99=Verdict.WAIVED), Verdict.WAIVED),
    "breached now, and passed a minute ago": (calm(readings=(error_rate(), *WELL[:3])), FAIL),
    "what is live breaches": (calm(active_readings=(p99(verdict=FAIL, value=182.0),)), FAIL),
    "the judgement is six minutes old": (old(6), STALE),
    "the clock went back an hour": (old(-60), STALE),
    "Prometheus is silent": (calm(silent="Prometheus does not answer."), STALE),
    "Prometheus never answered": (calm(readings=(p99(verdict=ERROR, value=None),), silent="It is down."), ERROR),
    "nobody has looked for two minutes": (unheard(120), STALE),
    "only staged": (model_view(**STAGED, active=stage_of(Stage.ACTIVE), readings=()), WAIT),
    "staged over what is live and well": (calm(**STAGED), WAIT),
    "the artifact is not there": (calm(problems=(Problem("regime_classifier", "It is missing."),)), FAIL),
    "nothing stands anywhere": (model_view(**{**STAGED, "step": ""}, active=stage_of(Stage.ACTIVE), readings=()), None),
}


def assert_not_greener(face: str, said: Verdict | tuple[Verdict, ...] | None, right: Verdict) -> None:
    for each in said if isinstance(said, tuple) else (said,):
        assert each is None or not each.opens or right.opens, f"{face} says {each}, and the facts prove {right}"


@pytest.mark.parametrize("situation", TABLE)
async def test_every_situation_on_every_face(situation: str) -> None:
    view, right = TABLE[situation]
    right = right or Verdict.NO_DATA
    assert (judged(view).verdict, faces.proven(view)) == (right, right)
    shown = board(view)
    for face, read in faces.OF_BOARD.items():
        said = read(shown)
        if face == "exit codes":
            assert_not_greener(face, said, right)
        else:
            assert set(said if isinstance(said, tuple) else (said,)) <= ({right, PASS} if right.opens else {right}), (
                face
            )
    line = faces.of_gate_line(view)
    assert line is None or not outweighs(faces.gate_proves(view), line)
    async with console(FakeSession(shown)) as pilot:
        await settled(pilot)
        app = console_of(pilot)
        rows, pane = app.screen.query_one(ModelList), app.screen.query_one("#shadow", StagePane)
        assert faces.of_row(rows, view) is right
        assert_not_greener("pane", faces.of_shadow_pane(pane, view), faces.gate_proves(view))
        assert app.window_title.split()[0] == right.value


async def test_a_failing_gate_stands_above_the_passing_gauges_and_says_which_window_each_judges() -> None:
    view, _ = TABLE["a ten-minute burst four hours ago"]
    async with console(FakeSession(board(view)), size=(80, 24)) as pilot:
        await reads_soon(pilot, "GATE shadow→active · window 24h · BLOCKED: 2 FAIL")
        rows = [" ".join(line.split()) for line in shown_on(pilot)]
        failing = [index for index, row in enumerate(rows) if "✗ FAIL" in row]
        passing = [index for index, row in enumerate(rows) if "✓ PASS" in row and "│" not in row]
        assert failing
        assert max(failing) < min(passing)
        (gauge,) = [row for row in rows if "now 42.1 ms" in row]
        assert gauge.startswith("▸ ✗ FAIL p99 now 42.1 ms PASS; in the soak FAIL: p99 breached in 2")


async def test_a_board_that_nobody_renews_turns_stale_on_the_screen() -> None:
    session = FakeSession(board(calm()))
    async with console(session) as pilot:
        app = console_of(pilot)
        with session.held("board"):
            app.clock.advance(200)  # type: ignore[attr-defined]
            await reads_soon(pilot, "BLOCKED: 5 STALE")
        assert app.window_title.startswith("STALE")


# --- random boards ---------------------------------------------------------------------------------------------------
NAMES = ("p99", "p999", "p95", "error_rate", "alerts")
verdicts = st.sampled_from(Verdict)


@st.composite
def readings(draw: st.DrawFn) -> tuple[Reading, ...]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    return tuple(
        p99(name=name, verdict=draw(verdicts), gate=draw(st.booleans()), value=draw(st.sampled_from([None, 42.1])))
        for name in names
    )


@st.composite
def models(draw: st.DrawFn) -> ModelView:
    step = draw(st.sampled_from(("", "staging→shadow", "shadow→active")))
    names = draw(st.lists(st.sampled_from(("soak", *NAMES)), unique=True)) if step == "shadow→active" else []
    gates = tuple(Gate(name=name, verdict=draw(verdicts), why="Because.") for name in names)
    soaks = step == "shadow→active" and draw(st.booleans())
    return model_view(
        step=step,
        gates=gates,
        shadow=stage_of(Stage.SHADOW, *((BASE,) if step == "shadow→active" else ())),
        soak=soak_report(verdict=draw(verdicts), gates=gates) if soaks else None,
        readings=draw(readings()),
        active_readings=draw(readings()),
        problems=draw(st.sampled_from(((), (Problem("m", "It is torn."),), (Problem("m", "A hint.", severe=False),)))),
        silent=draw(st.sampled_from(("", "", "It is down."))),
    )


async def test_no_face_of_a_random_board_is_greener_than_what_is_proven() -> None:
    rows, pane = ModelList(), StagePane(Stage.SHADOW)
    async with staged(rows, (80, 10)) as first:
        await first.pilot.app.mount(pane)
        await first.pilot.pause()

        @settings(max_examples=300, deadline=None)
        @given(models())
        def check(model: ModelView) -> None:
            right = faces.proven(model)
            assert judged(model).verdict is right
            assert faces.of_row(rows, model) is right
            line = faces.of_gate_line(model)
            assert line is None or not outweighs(faces.gate_proves(model), line)
            assert_not_greener("pane", faces.of_shadow_pane(pane, model), faces.gate_proves(model))
            assert_not_greener("short", faces.of_short(board(model)), right)

        check()


@settings(max_examples=150, deadline=None)
@given(st.lists(models(), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_status_of_a_random_board_is_the_worst_of_its_models(many: list[ModelView], torn: bool, heard: bool) -> None:
    source = Source("prometheus", SourceState.OK if heard else SourceState.STALE, NOW)
    named = tuple(replace(model, name=f"m{index}") for index, model in enumerate(many))
    shown: Board = board(*named, prometheus=source, problems=(Problem("registry", "Torn."),) if torn else ())
    right = [faces.proven(model) for model in named] + [FAIL] * torn
    assert board_verdict(shown) in right
    assert not any(outweighs(each, board_verdict(shown)) for each in right)
    for face in ("--json", "exit codes"):
        said = faces.OF_BOARD[face](shown)
        assert_not_greener(face, said[:1] if face == "--json" else said, board_verdict(shown))  # type: ignore[index]


def test_what_is_said_of_each_model_is_what_decides_it() -> None:
    found = judged(TABLE["a ten-minute burst four hours ago"][0])
    assert (found.name, found.why) == ("soak", BURST)
    found = judged(TABLE["what is live breaches"][0])
    assert found.name == "active p99"
