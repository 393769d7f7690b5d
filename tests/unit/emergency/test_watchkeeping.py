from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml.emergency.watch import USUAL, Subject, Watch, begin, durations, look, summary_line, summary_markdown
from ml.emergency.watchkeeper import Turn, WatchEvent, Watchkeeper
from ml.errors import Invalid, Refused
from ml.records.audit import AuditLog
from ml.slo.source import Answer, Ask, Kind
from ml.verdict import Reading, Verdict

PROMOTED = datetime(2026, 2, 17, 14, 0, tzinfo=UTC)
ANN, BOB = "ann@example.com", "bob@example.com"


def at(seconds: float) -> datetime:
    return PROMOTED + timedelta(seconds=seconds)


def p99(verdict: Verdict, value: float | None = 42.0) -> Reading:
    return Reading(name="p99", verdict=verdict, why=f"p99 is {value} ms", value=value, limit=100.0, unit="ms")


GOOD, BAD, UNKNOWN = p99(Verdict.PASS), p99(Verdict.FAIL, 180.0), p99(Verdict.ERROR, None)


def subject(*readings: Reading, serving: bool = True) -> Subject:
    return Subject("regime_classifier", "regime_v2026_02_16_001", PROMOTED, serving, readings)


def watched(looks: list[tuple[float, Reading]]) -> Watch:
    watch = begin(subject(), ANN, at(0), 60)
    for seconds, reading in looks:
        watch = look(watch, [reading], at(seconds), USUAL)
    return watch


def test_a_failure_becomes_a_breach_when_it_has_lasted_as_long_as_its_alert_rule_says() -> None:
    looks = [(seconds, BAD) for seconds in range(10, 330, 10)]
    assert watched(looks[:30]).breaches == ()
    (breach,) = watched(looks).breaches
    assert (breach.since, breach.breached_at, breach.worst) == (at(10), at(310), 180.0)
    assert watched(looks).breaching == (breach,)


def test_one_good_look_starts_the_time_again() -> None:
    looks = [(10, BAD), (250, BAD), (260, GOOD), (270, BAD), (500, BAD)]
    assert watched(looks).breaches == ()
    assert len(watched([*looks, (571, BAD)]).breaches) == 1


def test_what_cannot_be_read_neither_breaches_nor_recovers() -> None:
    assert watched([(seconds, UNKNOWN) for seconds in range(0, 1000, 10)]).troubles == ()
    assert len(watched([(10, BAD), (100, UNKNOWN), (320, BAD)]).breaches) == 1


def test_a_firing_alert_has_waited_already() -> None:
    alert = Reading(name="alerts", verdict=Verdict.FAIL, why="MlInferenceLatencyHigh is firing.")
    assert len(watched([(5, alert)]).breaches) == 1


def test_a_breach_that_ends_stays_in_the_summary_with_its_worst_value() -> None:
    worse = replace(BAD, value=480.0)
    watch = watched([(10, BAD), (200, worse), (320, BAD), (400, GOOD)])
    (breach,) = watch.breaches
    assert (breach.until, breach.worst) == (at(400), 480.0)
    assert watch.breaching == ()
    expected = "| p99 | 2026-02-17T14:00:10Z | 2026-02-17T14:06:40Z | 480 ms | 100 ms | 2026-02-17T14:05:20Z |"
    assert expected in summary_markdown(watch)


def test_time_in_which_nobody_looked_is_not_time_watched() -> None:
    watch = watched([(5, GOOD), (10, GOOD), (1200, GOOD), (1205, GOOD)])
    assert watch.watched_s == 5 + 5 + 60 + 5
    assert "looked for 1m15s of 1h00m" in summary_line(watch)


def test_a_clock_that_steps_back_takes_no_watched_time_away() -> None:
    assert watched([(60, GOOD), (30, GOOD), (40, GOOD)]).watched_s == 70


def test_objectives_and_their_returns_are_judged_one_by_one() -> None:
    errors = Reading(name="error_rate", verdict=Verdict.FAIL, why="7 %", value=0.07, limit=0.05, unit="")
    watch = begin(subject(), ANN, at(0), 60)
    for seconds in (10, 320):
        watch = look(watch, [BAD, errors], at(seconds), USUAL)
    watch = look(watch, [GOOD, errors], at(400), USUAL)
    assert [each.objective for each in watch.breaches] == ["p99", "error_rate"]
    assert [each.objective for each in watch.breaching] == ["error_rate"]
    for seconds in (500, 810):
        watch = look(watch, [BAD, errors], at(seconds), USUAL)
    assert sorted(each.objective for each in watch.breaches) == ["error_rate", "p99", "p99"]


class Session:
    """One console on a shared state folder."""

    def __init__(self, folder: Path, who: str = ANN) -> None:
        self.audit = AuditLog(folder / "audit.jsonl")
        self.keeper = Watchkeeper(folder / "watch", self.audit)
        self.who = who

    def poll(self, seconds: float, *subjects: Subject) -> list[WatchEvent]:
        return list(self.keeper.poll(subjects, self.who, at(seconds), minutes=60, durations=USUAL))

    def turns(self, seconds: float, *subjects: Subject) -> list[Turn]:
        return [event.turn for event in self.poll(seconds, *subjects)]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def test_a_watch_begins_when_the_promoted_model_is_seen_serving(session: Session) -> None:
    assert session.turns(10, subject(serving=False)) == []
    (event,) = session.poll(20, subject())
    assert event.turn is Turn.BEGUN
    assert (event.watch.began_at, event.watch.ends_at) == (at(20), at(3620))
    assert session.turns(25, subject(GOOD)) == []


def test_an_old_active_model_is_not_watched(session: Session) -> None:
    assert session.turns(86_401, subject()) == []


def test_a_watch_survives_its_console_and_any_other_goes_on(session: Session, tmp_path: Path) -> None:
    session.poll(0, subject())
    session.poll(10, subject(BAD))
    other = Session(tmp_path, BOB)
    assert other.turns(200, subject(BAD)) == []
    (breach,) = other.poll(320, subject(BAD))
    assert breach.turn is Turn.BREACH
    assert breach.sentence == "regime_v2026_02_16_001 breaches p99 for 5m10s: p99 is 180.0 ms"
    assert session.turns(325, subject(BAD)) == []
    assert session.turns(330, subject(GOOD)) == [Turn.RECOVERED]
    (watch,) = other.keeper.watches()
    assert len(watch.breaches) == 1


def test_a_watch_can_be_claimed(session: Session) -> None:
    with pytest.raises(Refused, match="No watch over regime_classifier is running"):
        session.keeper.claim("regime_classifier", BOB)
    session.poll(0, subject())
    event = session.keeper.claim("regime_classifier", BOB)
    assert (event.watch.keeper, event.watch.keepers) == (BOB, (ANN, BOB))
    session.poll(10, subject(GOOD))
    assert session.keeper.watches()[0].keeper == BOB


def test_the_end_is_one_line_of_the_audit_log(session: Session) -> None:
    session.poll(0, subject())
    for seconds in range(60, 3600, 60):
        session.poll(seconds, subject(GOOD))
    assert session.turns(3600, subject(GOOD)) == [Turn.ENDED]
    assert session.turns(3605, subject(GOOD)) == []
    lines = session.audit.read()
    assert [line.kind for line in lines] == ["watch_begun", "watch_ended"]
    assert lines[-1].fields["what"] == (
        "The watch over regime_v2026_02_16_001 ended, the time is over: 0 breaches, looked for 1h00m of 1h00m."
    )


def test_a_rollback_ends_the_watch_and_begins_one_over_what_came_back(session: Session) -> None:
    session.poll(0, subject())
    back = Subject("regime_classifier", "regime_v2026_02_15_001", at(600), serving=True)
    ended, begun = session.poll(610, back)
    assert (ended.turn, begun.turn) == (Turn.ENDED, Turn.BEGUN)
    assert "regime_v2026_02_15_001 became active in its place" in ended.sentence
    assert begun.watch.artifact_id == "regime_v2026_02_15_001"


def test_models_are_watched_side_by_side(session: Session) -> None:
    other = replace(subject(), model="spacing", artifact_id="spacing_v2026_02_16_001")
    assert session.turns(0, subject(), other) == [Turn.BEGUN, Turn.BEGUN]
    assert [watch.model for watch in session.keeper.watches()] == ["regime_classifier", "spacing"]


def test_a_broken_state_is_named(session: Session, tmp_path: Path) -> None:
    session.poll(0, subject())
    (tmp_path / "watch" / "regime_classifier.json").write_text('{"model": ')
    with pytest.raises(Invalid, match=r"regime_classifier\.json cannot be read"):
        session.poll(5, subject())


def test_a_summary_shows_text_from_outside_and_does_not_obey_it() -> None:
    watch = replace(watched([]), artifact_id="a`b|c\x1b[2J", keepers=("<img src=x>",))
    text = summary_markdown(watch)
    assert "a'b\\|c␛[2J" in text
    assert "<img" not in text


def rules(*rows: tuple[str, float]) -> Answer:
    groups = [{"rules": [{"type": "alerting", "name": name, "duration": seconds} for name, seconds in rows]}]
    raw = json.dumps({"status": "success", "data": {"groups": groups}}).encode()
    return Answer(ask=Ask(Kind.RULES), raw=raw, url="", asked_at=at(0), seconds=0.0)


def test_durations_are_those_of_the_loaded_rules() -> None:
    found = durations(rules(("MlInferenceLatencyHigh", 60), ("MlInferenceLatencyHigh", 120), ("Other", 1)))
    assert found == USUAL | {"p99": 60.0}
    assert durations(None) == USUAL
    assert durations(replace(rules(), raw=b'{"data": {"groups": [{}]}}')) == USUAL
