"""One control per console: a press, a release, and what the engines prove, also against what this clone's file says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.fleets import FleetMetrics
from support.switches import PRESSED, Bench, RememberingActuator

from ml.board import KillView, Rung
from ml.emergency.kill import KillControl
from ml.emergency.questions import Code
from ml.errors import Unavailable
from ml.session.standings import kill_gates, kill_problems
from ml.slo.source import Answer, Series, SourceTimedOut
from ml.verdict import Verdict

BLOCKED, INFERS, SILENT, STOPPED = Code.BLOCKED, Code.INFERS, Code.SILENT, Code.STOPPED


class Session:
    def __init__(self, folder: Path, metrics: FleetMetrics | None, *actuators: RememberingActuator) -> None:
        self.bench = Bench(folder, actuators)
        self.control = KillControl(self.bench.switch, metrics, self.bench.audit, self.bench.clock, confirm_s=30)  # type: ignore[arg-type]

    def later(self, seconds: float) -> KillView:
        self.bench.clock.moment = PRESSED + timedelta(seconds=seconds)
        return self.control.view()


def rungs(view: KillView) -> dict[str, Rung]:
    return {each.instance: each.rung for each in view.instances}


def test_a_press_asks_no_metrics_and_a_look_proves_it(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": BLOCKED, "b:1": BLOCKED})
    session = Session(tmp_path, metrics)
    pressed = session.control.kill("ann@example.com", "p99 spike")
    assert (pressed.engaged, pressed.rung, metrics.asked) == (True, Rung.WRITTEN, [])
    seen = session.later(10)
    assert (seen.rung, seen.engines, seen.proven) == (Rung.CONFIRMED, 2, 2)
    assert rungs(seen) == {"a:1": Rung.CONFIRMED, "b:1": Rung.CONFIRMED}


def test_confirmed_holds_only_as_long_as_it_is_measured(tmp_path: Path) -> None:
    """An engine that died, came back unscraped, or infers again takes the proof away, however late."""
    metrics = FleetMetrics({"a:1": BLOCKED, "b:1": BLOCKED})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    assert session.later(10).rung is Rung.CONFIRMED
    metrics.kill["b:1"] = SILENT
    dead = session.later(3_600)
    assert (dead.rung, rungs(dead)["b:1"]) == (Rung.UNPROVEN, Rung.UNPROVEN)
    assert dead.instances[0].why.startswith("it is silent: it was last seen at 2026-02-17T14:01:11Z")
    assert any("make sure that b:1 is stopped or scraped again" in step for step in dead.manual)
    metrics.kill["b:1"] = INFERS
    alive = session.later(3_700)
    assert (alive.rung, rungs(alive)["b:1"]) == (Rung.UNCONFIRMED, Rung.UNCONFIRMED)
    metrics.sick = True
    blind = session.later(3_800)
    assert (blind.rung, blind.engines) == (Rung.UNCONFIRMED, 0)
    assert [line.fields.get("rung") for line in session.bench.audit.read()[1:]] == [
        "CONFIRMED",
        "UNPROVEN",
        "UNCONFIRMED",
        "UNCONFIRMED",
    ]


def test_a_receipt_is_recorded_once_per_change_also_across_sessions(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": BLOCKED, "b:1": INFERS})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    for seconds in (10, 20, 31, 40):
        session.later(seconds)
    other = Session(tmp_path, metrics)
    other.later(50)
    assert session.bench.kinds() == ["kill", "receipt"]
    line = session.bench.audit.read()[-1]
    assert (line.fields["rung"], line.fields["proven"]) == ("UNCONFIRMED", "1 of 2")
    assert line.fields["engines"] == {"a:1": "CONFIRMED", "b:1": "UNCONFIRMED"}
    assert line.fields["unproven"] == ["b:1: it still infers"]
    metrics.kill["b:1"] = BLOCKED
    other.later(60)
    assert [each.fields.get("rung") for each in session.bench.audit.read()[1:]] == ["UNCONFIRMED", "CONFIRMED"]


def test_a_sick_prometheus_never_confirms_and_never_raises(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": BLOCKED})
    metrics.sick = True
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    seen = session.later(10)
    assert (seen.engaged, seen.rung) == (True, Rung.WRITTEN)
    assert seen.problem == "Prometheus gave no answer within 5 s. Look at it."
    late = session.later(31)
    assert late.rung is Rung.UNCONFIRMED
    assert late.manual[0] == f"echo ML_KILL_SWITCH=1 > {session.bench.file}"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("timeless", "did not say what time it is"),
        ("partial", "its answer is partial: 1 of 2 stores"),
        ("strange", "a number that was not asked for"),
    ],
)
def test_odd_answers_are_problems_and_never_our_bug(tmp_path: Path, fault: str, words: str) -> None:
    metrics = FleetMetrics({"a:1": BLOCKED})
    metrics.timeless = fault == "timeless"
    metrics.warnings = ("1 of 2 stores",) if fault == "partial" else ()
    if fault == "strange":
        metrics.kill = {"a:1": 99}  # type: ignore[dict-item]
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    seen = session.later(31)
    assert (seen.rung, seen.proven) == (Rung.UNCONFIRMED, 0)
    assert words in seen.problem


def test_a_clock_that_runs_behind_moves_the_request_onto_the_servers_clock(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": BLOCKED})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    session.later(10)
    plain = metrics.asked[-1]
    metrics.ahead_s = 10.0
    session.later(10)
    # 20 s after the press by our clock, whatever the server's clock shows: the same window.
    assert "[19500ms]" in plain
    assert "[19500ms]" in metrics.asked[-1]


def test_without_a_prometheus_the_kill_stands_and_is_unconfirmed(tmp_path: Path) -> None:
    session = Session(tmp_path, None)
    session.control.kill("ann@example.com", "p99 spike")
    seen = session.later(31)
    assert (seen.engaged, seen.rung) == (True, Rung.UNCONFIRMED)
    assert "No Prometheus is configured" in seen.problem


def test_a_failed_actuator_is_told_for_as_long_as_the_session_lives(tmp_path: Path) -> None:
    restart = RememberingActuator("command restart", Unavailable("`restart` ended with 1: no such unit."))
    session = Session(tmp_path, FleetMetrics({"a:1": BLOCKED}), restart)
    session.control.kill("ann@example.com", "p99 spike")
    seen = session.later(10)
    assert seen.problem == "command restart: `restart` ended with 1: no such unit."
    assert [(each.name.split()[0], each.done) for each in seen.deliveries] == [("file", True), ("command", False)]


def test_hosts_that_failed_in_the_same_way_are_told_together(tmp_path: Path) -> None:
    hosts = [RememberingActuator(f"command ssh on h{n}", Unavailable(f"`ssh h{n}` hangs.")) for n in range(8)]
    for number, actuator in enumerate(hosts):
        actuator.host = f"h{number}"  # type: ignore[attr-defined]
    session = Session(tmp_path, FleetMetrics({"a:1": BLOCKED}), *hosts)
    view = session.control.kill("ann@example.com", "p99 spike")
    named = ", ".join(f"command ssh on h{n}" for n in range(5))
    assert view.problem == f"{named} and 3 more: `ssh {{host}}` hangs."


def test_a_kill_that_no_file_took_is_still_shown_as_asked_for(tmp_path: Path) -> None:
    session = Session(tmp_path, FleetMetrics({"a:1": INFERS}))
    session.bench.file.parent.mkdir()
    session.bench.file.symlink_to("nowhere")
    pressed = session.control.kill("ann@example.com", "p99 spike")
    assert (pressed.engaged, pressed.unclear, pressed.rung) == (None, True, Rung.REQUESTED)
    seen = session.later(1)
    assert seen.rung is Rung.REQUESTED
    assert "symbolic link" in seen.problem
    assert seen.manual


def test_nothing_asked_for_and_nobody_blocked_is_off(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": INFERS})
    view = Session(tmp_path, metrics).control.view()
    assert (view.engaged, view.rung, view.off, view.beside) == (False, Rung.IDLE, True, "")
    assert len(metrics.asked) == 2


def test_off_by_the_file_alone_says_that_nobody_asked_the_engines(tmp_path: Path) -> None:
    metrics = FleetMetrics()
    metrics.sick = True
    session = Session(tmp_path, metrics)
    assert "Prometheus did not say" in session.control.view().beside
    assert "Prometheus did not say" in session.later(5).beside
    assert len(metrics.asked) == 1  # it rests, so that the board does not wait for it at each poll
    session.later(60)
    assert len(metrics.asked) == 2
    assert "without Prometheus" in Session(tmp_path, None).control.view().beside


class Miscounting(FleetMetrics):
    """Counts the blocked engines in a way that is no number."""

    counted: tuple[float, ...] = ()

    def _series(self, promql: str) -> Iterable[Series]:
        if promql.startswith("count(count by (instance)"):
            return tuple(self._one(each, n=str(each)) for each in self.counted)
        return super()._series(promql)


@pytest.mark.parametrize("counted", [(float("nan"),), (0.0, 1.0)])
def test_a_count_that_is_no_number_is_unknown_and_not_none(tmp_path: Path, counted: tuple[float, ...]) -> None:
    metrics = Miscounting({"a:1": BLOCKED})
    metrics.counted = counted
    seen = Session(tmp_path, metrics).later(10)
    assert "Prometheus did not say whether engines are blocked" in seen.beside


def test_a_kill_thrown_on_another_host_is_on_here_too(tmp_path: Path) -> None:
    """Two operators on two hosts: the second one's file says off, and all five engines are blocked."""
    session = Session(tmp_path, FleetMetrics({f"e{n}:1": BLOCKED for n in range(5)}))
    view = session.later(10)
    assert (view.engaged, view.by_engines, view.file_says, view.off) == (True, True, False, False)
    assert (view.rung, view.proven, view.engines) == (Rung.CONFIRMED, 5, 5)
    assert view.beside == "This clone's kill file says off: the kill was thrown elsewhere."
    assert any("mlconsole kill off" in step for step in view.manual)
    assert session.control.engaged() is True
    (problem,) = kill_problems(view)
    assert problem.severe
    assert "ON by the engines, not by this clone's kill file: 5 of 5" in problem.what
    (gate,) = kill_gates(view, "shadow→active")
    assert (gate.name, gate.verdict) == ("kill_switch", Verdict.FAIL)


def test_a_kill_thrown_elsewhere_that_not_everybody_obeys_is_on_and_unconfirmed(tmp_path: Path) -> None:
    view = Session(tmp_path, FleetMetrics({"a:1": BLOCKED, "b:1": INFERS})).control.view()
    assert (view.engaged, view.by_engines, view.rung, view.proven) == (True, True, Rung.UNCONFIRMED, 1)


def test_an_unclear_file_is_not_off_and_engines_decide(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": INFERS})
    session = Session(tmp_path, metrics)
    session.bench.file.parent.mkdir()
    session.bench.file.write_text('ML_KILL_SWITCH="1"\n')
    view = session.control.view()
    assert (view.engaged, view.unclear, view.off) == (None, True, False)
    assert kill_gates(view, "shadow→active")[0].verdict is Verdict.NO_DATA
    assert "engines read this differently" in kill_problems(view)[0].what
    metrics.kill = {"a:1": BLOCKED}
    blocked = session.control.view()
    assert (blocked.engaged, blocked.by_engines, blocked.unclear) == (True, True, True)


def test_a_release_climbs_stays_until_it_is_proven_and_is_then_off(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": BLOCKED}, {"a:1": Code.STILL_BLOCKED})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    session.bench.clock.moment = PRESSED + timedelta(seconds=60)
    assert session.control.release("bob@example.com", "rolled back").engaged is False
    blocked = session.later(62)
    assert (blocked.engaged, blocked.rung, blocked.releasing, blocked.off) == (True, Rung.WRITTEN, True, False)
    assert kill_gates(blocked, "shadow→active")[0].verdict is Verdict.WAIT
    late = session.later(7_200)
    assert (late.rung, late.releasing, late.by) == (Rung.UNCONFIRMED, True, "bob@example.com")
    metrics.kill, metrics.release = {"a:1": INFERS}, {"a:1": Code.INFERS_AGAIN}
    proven = session.later(7_210)
    assert (proven.engaged, proven.rung, proven.releasing, proven.off) == (False, Rung.CONFIRMED, False, True)
    metrics.release = {"a:1": Code.IDLE}
    assert session.later(7_220).rung is Rung.IDLE
    other = Session(tmp_path, metrics)
    assert other.later(7_230).rung is Rung.IDLE


def test_a_fresh_release_is_shown_for_ten_minutes(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": INFERS}, {"a:1": Code.INFERS_AGAIN})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    session.control.release("bob@example.com", "rolled back")
    assert (session.later(10).rung, session.later(500).rung) == (Rung.CONFIRMED, Rung.CONFIRMED)
    assert session.later(601).rung is Rung.IDLE


def test_a_kill_thrown_elsewhere_after_our_proven_release_is_on_again(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": INFERS}, {"a:1": Code.INFERS_AGAIN})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    session.control.release("bob@example.com", "rolled back")
    assert session.later(10).off
    metrics.kill = {"a:1": BLOCKED}
    assert session.later(100).by_engines


def test_a_release_that_nobody_is_there_to_prove_does_not_stay_for_ever(tmp_path: Path) -> None:
    session = Session(tmp_path, FleetMetrics())
    session.control.kill("ann@example.com", "p99 spike")
    session.control.release("bob@example.com", "rolled back")
    assert session.later(100).releasing
    assert session.later(700).off


def test_another_sessions_kill_is_seen_and_proven_here(tmp_path: Path) -> None:
    Session(tmp_path, None).control.kill("ann@example.com", "p99 spike")
    seen = Session(tmp_path, FleetMetrics({"a:1": BLOCKED})).later(10)
    assert (seen.by, seen.rung) == ("ann@example.com", Rung.CONFIRMED)


def test_a_steady_kill_shows_the_same_at_every_look(tmp_path: Path) -> None:
    metrics = FleetMetrics({"a:1": BLOCKED})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    views = []
    for seconds in (10, 3_600, 100_000):
        metrics.now = PRESSED.timestamp() + seconds
        views.append(session.later(seconds))
    assert views[0] == views[1] == views[2]
    assert views[0].instances[0].at == PRESSED + timedelta(seconds=10)


def test_a_large_fleet_is_counted_and_its_worst_are_named(tmp_path: Path) -> None:
    metrics = FleetMetrics({f"e{n}:1": BLOCKED for n in range(5_000)} | {"bad:1": INFERS, "dead:1": SILENT})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    seen = session.later(31)
    assert (seen.rung, seen.engines, seen.proven, len(seen.instances)) == (Rung.UNCONFIRMED, 5_002, 5_000, 2)
    assert [each.instance for each in seen.instances] == ["dead:1", "bad:1"]
    close = [query for query in metrics.asked if query.startswith("max by (instance)")]
    assert all('instance=~"bad:1|dead:1"' in query or "max_over_time" in query[:40] for query in close)
    assert session.bench.audit.read()[-1].fields["proven"] == "5000 of 5002"


def test_a_large_fleet_that_nobody_has_proven_yet_is_counted_all_the_same(tmp_path: Path) -> None:
    metrics = FleetMetrics({f"e{n}:1": INFERS for n in range(5_000)})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    early, late = session.later(3), session.later(31)
    assert (early.rung, early.engines, early.proven, len(early.instances)) == (Rung.WRITTEN, 5_000, 0, 50)
    assert (late.rung, late.engines, late.proven, len(late.instances)) == (Rung.UNCONFIRMED, 5_000, 0, 50)


def test_a_large_fleet_without_block_counters_is_proven_by_its_silence(tmp_path: Path) -> None:
    metrics = FleetMetrics({f"e{n}:1": STOPPED for n in range(2_000)})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    seen = session.later(31)
    assert (seen.rung, seen.engines, seen.proven, len(seen.instances)) == (Rung.CONFIRMED, 2_000, 2_000, 50)


def test_one_silent_engine_behind_many_that_stopped_is_named(tmp_path: Path) -> None:
    metrics = FleetMetrics({f"e{n}:1": STOPPED for n in range(2_000)} | {"zz:1": SILENT})
    session = Session(tmp_path, metrics)
    session.control.kill("ann@example.com", "p99 spike")
    seen = session.later(31)
    assert (seen.rung, seen.engines, seen.proven) == (Rung.UNPROVEN, 2_001, 2_000)
    assert seen.instances[0].instance == "zz:1"


def test_a_source_that_cannot_judge_a_large_fleet_closely_proves_no_more_than_it_said(tmp_path: Path) -> None:
    class Weak(FleetMetrics):
        def query(self, promql: str, at: datetime | None = None) -> Answer:
            if promql.startswith("max by (instance) (((") and "instance=~" not in promql:
                raise SourceTimedOut("Prometheus gave no answer within 5 s.", "Look at it.")
            return super().query(promql, at)

    session = Session(tmp_path, Weak({f"e{n}:1": STOPPED for n in range(2_000)}))
    session.control.kill("ann@example.com", "p99 spike")
    seen = session.later(31)
    assert (seen.rung, seen.engines, seen.proven) == (Rung.UNCONFIRMED, 2_000, 50)


def test_instance_names_are_data(tmp_path: Path) -> None:
    session = Session(tmp_path, FleetMetrics({"evil\x1b[2J": BLOCKED}))
    session.control.kill("ann@example.com", "p99 spike")
    assert session.later(10).instances[0].instance == "evil␛[2J"
