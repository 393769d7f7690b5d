from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.switches import PRESSED, Bench, RememberingActuator

from ml.board import Rung
from ml.emergency.desk import KillDesk
from ml.emergency.scrapes import QUERY
from ml.errors import Unavailable
from ml.slo.promql import TAG
from ml.slo.source import Answer, Ask, Kind, Series, SourceTimedOut

Scrapes = dict[str, list[tuple[float, float, float, float]]]
"""By instance: seconds after the press, active_on, blocked, inferred."""


class RecordedMetrics:
    """Answers the receipt's questions from a list of scrapes, as a Prometheus with a one-second step would."""

    def __init__(self, scrapes: Scrapes) -> None:
        self.scrapes = scrapes
        self.now = PRESSED.timestamp() + 20
        self.asked = 0
        self.sick = False

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        assert (promql, at) == ("time()", None)
        return self._answer(promql, (Series((), ((self.now, self.now),)),))

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: int) -> Answer:
        assert promql == QUERY
        series = []
        for instance, rows in self.scrapes.items():
            columns: dict[str, list[tuple[float, float]]] = {}
            for step in range(int(start.timestamp()), int(end.timestamp()) + 1, step_s):
                held = [row for row in rows if PRESSED.timestamp() + row[0] <= step]
                if held:
                    after, active, blocked, inferred = held[-1]
                    values = {"times": PRESSED.timestamp() + after, "up": 1.0, "active_on": active}
                    for key, value in (values | {"blocked": blocked, "inferred": inferred}).items():
                        columns.setdefault(key, []).append((float(step), value))
            for key, points in columns.items():
                labels = (("instance", instance), ("job", "ml-engine"), (TAG, key))
                series.append(Series(tuple(sorted(labels)), tuple(points)))
        return self._answer(promql, tuple(series))

    def _answer(self, promql: str, series: tuple[Series, ...]) -> Answer:
        self.asked += 1
        if self.sick:
            raise SourceTimedOut("Prometheus gave no answer within 5 s.", "Look at it.")
        asked_at = datetime.fromtimestamp(self.now, UTC)
        return Answer(ask=Ask(Kind.QUERY, promql), raw=b"", url="", asked_at=asked_at, seconds=0.0, series=series)

    rules = alerts = silences = None


BEFORE = [(-11.0, 1.0, 0.0, 1000.0), (-6.0, 1.0, 0.0, 1050.0), (-1.0, 1.0, 0.0, 1100.0)]
OBEYS = [*BEFORE, (4.0, 0.0, 35.0, 1115.0), (9.0, 0.0, 85.0, 1115.0)]
IGNORES = [*BEFORE, (4.0, 1.0, 0.0, 1150.0), (9.0, 1.0, 0.0, 1200.0)]


class Session:
    def __init__(self, folder: Path, metrics: RecordedMetrics | None, *actuators: RememberingActuator) -> None:
        self.bench = Bench(folder, actuators)
        self.desk = KillDesk(self.bench.switch, metrics, self.bench.audit, self.bench.clock, confirm_s=30)  # type: ignore[arg-type]

    def later(self, seconds: float) -> None:
        self.bench.clock.moment = PRESSED + timedelta(seconds=seconds)


def test_a_press_asks_no_metrics_and_a_look_proves_it(tmp_path: Path) -> None:
    metrics = RecordedMetrics({"a:1": OBEYS, "b:1": OBEYS})
    session = Session(tmp_path, metrics)
    pressed = session.desk.kill("ann@example.com", "p99 spike")
    assert (pressed.engaged, pressed.rung, metrics.asked) == (True, Rung.WRITTEN, 0)
    session.later(10)
    seen = session.desk.view()
    assert seen.rung is Rung.CONFIRMED
    assert [(each.instance, each.rung) for each in seen.instances] == [("a:1", Rung.CONFIRMED), ("b:1", Rung.CONFIRMED)]


def test_a_receipt_is_recorded_once_per_change_also_across_sessions(tmp_path: Path) -> None:
    metrics = RecordedMetrics({"a:1": OBEYS, "b:1": IGNORES})
    session = Session(tmp_path, metrics)
    session.desk.kill("ann@example.com", "p99 spike")
    for seconds in (10, 20, 31, 40):
        session.later(seconds)
        session.desk.view()
    other = Session(tmp_path, metrics)
    other.later(50)
    other.desk.view()
    assert session.bench.kinds() == ["kill", "receipt"]
    line = session.bench.audit.read()[-1]
    assert line.fields["rung"] == "UNCONFIRMED"
    assert line.fields["engines"] == {"a:1": "CONFIRMED", "b:1": "UNCONFIRMED"}
    assert line.fields["unproven"] == ["b:1: it still infers"]
    metrics.scrapes["b:1"] = OBEYS
    other.desk.view()
    assert [each.fields.get("rung") for each in session.bench.audit.read()[1:]] == ["UNCONFIRMED", "CONFIRMED"]


def test_a_sick_prometheus_never_confirms_and_never_raises(tmp_path: Path) -> None:
    metrics = RecordedMetrics({"a:1": OBEYS})
    metrics.sick = True
    session = Session(tmp_path, metrics)
    session.desk.kill("ann@example.com", "p99 spike")
    session.later(10)
    seen = session.desk.view()
    assert (seen.engaged, seen.rung, seen.problem) == (
        True,
        Rung.WRITTEN,
        "Prometheus gave no answer within 5 s. Look at it.",
    )
    session.later(31)
    late = session.desk.view()
    assert late.rung is Rung.UNCONFIRMED
    assert late.manual[0] == f"echo ML_KILL_SWITCH=1 > {session.bench.file}"


def test_without_a_prometheus_the_kill_stands_and_is_unconfirmed(tmp_path: Path) -> None:
    session = Session(tmp_path, None)
    session.desk.kill("ann@example.com", "p99 spike")
    session.later(31)
    seen = session.desk.view()
    assert (seen.engaged, seen.rung) == (True, Rung.UNCONFIRMED)
    assert "No Prometheus is configured" in seen.problem


def test_a_failed_actuator_is_told_for_as_long_as_the_session_lives(tmp_path: Path) -> None:
    restart = RememberingActuator("command restart", Unavailable("`restart` ended with 1: no such unit."))
    session = Session(tmp_path, RecordedMetrics({"a:1": OBEYS}), restart)
    session.desk.kill("ann@example.com", "p99 spike")
    session.later(10)
    assert session.desk.view().problem == "command restart: `restart` ended with 1: no such unit."


def test_a_kill_that_no_file_took_is_still_shown_as_asked_for(tmp_path: Path) -> None:
    session = Session(tmp_path, RecordedMetrics({"a:1": IGNORES}))
    session.bench.file.parent.mkdir()
    session.bench.file.symlink_to("nowhere")
    pressed = session.desk.kill("ann@example.com", "p99 spike")
    assert (pressed.engaged, pressed.rung) == (None, Rung.REQUESTED)
    session.later(1)
    seen = session.desk.view()
    assert seen.rung is Rung.REQUESTED
    assert "symbolic link" in seen.problem
    assert seen.manual


def test_nothing_asked_for_is_idle_and_asks_nothing(tmp_path: Path) -> None:
    metrics = RecordedMetrics({})
    view = Session(tmp_path, metrics).desk.view()
    assert (view.engaged, view.rung, metrics.asked) == (False, Rung.IDLE, 0)


def test_a_release_is_proven_and_shown_for_ten_minutes(tmp_path: Path) -> None:
    again = [
        (-6.0, 0.0, 50.0, 1000.0),
        (-1.0, 0.0, 100.0, 1000.0),
        (4.0, 1.0, 110.0, 1040.0),
        (9.0, 1.0, 110.0, 1090.0),
    ]
    session = Session(tmp_path, RecordedMetrics({"a:1": again}))
    session.desk.kill("ann@example.com", "p99 spike")
    assert session.desk.release("bob@example.com", "rolled back").engaged is False
    session.later(10)
    seen = session.desk.view()
    assert (seen.engaged, seen.rung, seen.by) == (False, Rung.CONFIRMED, "bob@example.com")
    session.later(601)
    assert session.desk.view().rung is Rung.IDLE


def test_another_sessions_kill_is_seen_and_proven_here(tmp_path: Path) -> None:
    Session(tmp_path, None).desk.kill("ann@example.com", "p99 spike")
    session = Session(tmp_path, RecordedMetrics({"a:1": OBEYS}))
    session.later(10)
    seen = session.desk.view()
    assert (seen.by, seen.rung) == ("ann@example.com", Rung.CONFIRMED)


@pytest.mark.parametrize("hours", [1, 30])
def test_a_long_kill_is_watched_on_and_a_steady_one_shows_the_same_every_minute(tmp_path: Path, hours: int) -> None:
    start = hours * 3600.0
    steady = [(start - 600 + n * 5, 0.0, 50.0 * n, 1100.0) for n in range(140)]
    metrics = RecordedMetrics({"a:1": steady})
    session = Session(tmp_path, metrics)
    session.desk.kill("ann@example.com", "p99 spike")
    base = (PRESSED.timestamp() + start) // 60 * 60 - PRESSED.timestamp()
    views = []
    for seconds in (0, 5, 10):
        session.later(base + seconds)
        metrics.now = PRESSED.timestamp() + base + seconds
        views.append(session.desk.view())
    assert views[0] == views[1] == views[2]
    assert views[0].rung is Rung.CONFIRMED
    metrics.scrapes["a:1"] = [*steady[:125], *((start + 25 + n * 5, 1.0, 6250.0, 1100.0 + 50 * n) for n in range(10))]
    metrics.now = PRESSED.timestamp() + base + 60
    session.later(base + 60)
    alive = session.desk.view()
    assert alive.rung is Rung.UNCONFIRMED
    assert "came back alive" in alive.instances[0].why
