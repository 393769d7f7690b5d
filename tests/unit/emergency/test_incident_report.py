from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml.board import HistoryRow
from ml.emergency.incident import Incident, Moment, incident
from ml.records.audit import AuditLog

START = datetime(2026, 2, 17, 14, 0, tzinfo=UTC)
ARTIFACT = "regime_v2026_02_16_001"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def report(tmp_path: Path) -> Incident:
    now = [0.0]
    log = AuditLog(tmp_path / "audit.jsonl", now=lambda: at(now[0]).timestamp())
    for seconds, kind, fields in (
        (-7200, "kill", {"by": "old@example.com"}),
        (100, "watch_begun", {"by": "ann@example.com", "what": f"{ARTIFACT} serves"}),
        (400, "breach", {"by": "ann@example.com", "what": f"{ARTIFACT} breaches p99 for 5m00s: p99 is 180 ms"}),
        (430, "kill", {"by": "ann@example.com", "reason": "p99 spike", "written": True}),
        (436, "receipt", {"of": "kill", "rung": "CONFIRMED", "engines": {"a:1": "CONFIRMED"}}),
        (900, "release", {"by": "bob@example.com", "reason": "rolled back"}),
        (905, "receipt", {"of": "release", "rung": "CONFIRMED"}),
    ):
        now[0] = seconds
        log.append(kind, **fields)
    rows = [
        HistoryRow(at(700), "rollback", "active", "active", "regime_v2026_02_15_001", "ann@example.com", "EMERGENCY"),
        HistoryRow(at(0), "promote", "shadow", "active", ARTIFACT, "ann@example.com", "soaked | <b>24h</b>"),
        HistoryRow(None, "promote", "", "shadow", "undated", "", ""),
    ]
    alert = Moment(at(395), "alert", "", "MlInferenceLatencyHigh fired")
    return incident(log.read(), {"regime_classifier": rows}, at(-60), at(3600), [alert])


def test_everything_of_the_time_is_there_in_order_and_nothing_else(report: Incident) -> None:
    assert [moment.kind for moment in report.moments] == [
        "promote",
        "watch_begun",
        "alert",
        "breach",
        "kill",
        "kill CONFIRMED",
        "rollback",
        "release",
        "release CONFIRMED",
    ]
    assert report.people == ("ann@example.com", "bob@example.com")


def test_the_spans_a_review_asks_for_are_measured_from_the_breach(report: Incident) -> None:
    assert dict(report.spans) == {"to kill": 30, "to confirmed": 36, "to rollback": 300, "to release": 500}


def test_without_a_breach_they_are_measured_from_the_kill(report: Incident) -> None:
    quiet = incident((), {}, at(0), at(1000), [each for each in report.moments if each.kind != "breach"])
    assert dict(quiet.spans) == {"to confirmed": 6, "to rollback": 270, "to release": 470}
    assert incident((), {}, at(0), at(1000)).spans == ()


def test_markdown_and_document_tell_the_same(report: Incident) -> None:
    text, document = report.markdown(), report.document()
    assert "# Incident, 2026-02-17T13:59:00Z to 2026-02-17T15:00:00Z" in text
    assert "- to confirmed: 36s" in text
    assert r"soaked \| \<b\>24h\</b\>" in text
    assert document["timeline"][4] == {
        "at": "2026-02-17T14:07:10Z",
        "kind": "kill",
        "who": "ann@example.com",
        "what": "reason p99 spike, written yes",
    }
    assert len(document["timeline"]) == text.count("\n| 2026")
