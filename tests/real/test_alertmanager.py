"""Silences of a real Alertmanager beside the alerts of a real Prometheus: told in words, and deaf to every verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import NOW, FakeSession
from support.alertmanager import RealAlertmanager, alertmanager
from support.clones import make_clones
from support.gatehouse import POLICY
from support.prometheus import Line, RealPrometheus, running
from support.soaked import target_of
from support.views import console
from support.walk import reads, reads_soon, until

from console.verbs import run
from ml.adapters.prometheus import Prometheus
from ml.policy import parse_policy
from ml.promotion.evidence import build, verify
from ml.registry.codec import empty_document
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH
from ml.slo.soak import SoakJudgement, SoakSubject, judge_soak
from ml.verdict import Gate, Verdict

pytestmark = pytest.mark.xdist_group("alertmanager")

QUIET, FIRING = "MlInferenceLatencyHigh", "MlInferenceLatencyCritical"
RULES = f"""
groups:
- name: ours
  rules:
  - {{alert: {QUIET}, expr: up > 100}}
  - {{alert: {FIRING}, expr: vector(1) > 0}}
"""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    past = [Line("up", {"job": "engine"}, [(time.time() - 60 * minute, 1.0) for minute in range(20, 0, -1)])]
    with running(tmp_path_factory.mktemp("prometheus"), history=past, rules=RULES) as started:
        started.rules_evaluated()
        yield started


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[RealAlertmanager]:
    with alertmanager(tmp_path / "alertmanager") as started:
        yield started


def soak(prometheus: RealPrometheus, alertmanager_url: str, *names: str) -> SoakJudgement:
    """A soak judged now under a policy that names these alerts."""
    now = datetime.now(UTC)
    policy = parse_policy(f"[alerts]\nquiet = {list(names)}\n".encode())
    subject = SoakSubject("regime", "regime_v2026_02_16_001", "5" * 64, now - timedelta(hours=1))
    metrics = Prometheus(prometheus.url, alertmanager_url=alertmanager_url)
    judged = judge_soak(metrics, policy, subject, now)
    metrics.close()
    evidence = build(
        target=target_of(subject, now),
        policy=policy,
        gates=judged.report.gates,
        now=now,
        tool_version="1.0",
        soak=judged,
    )
    assert {check.verdict for check in verify(evidence.document)} == {Verdict.PASS}
    return judged


def alerts_gate(judged: SoakJudgement) -> Gate:
    return next(gate for gate in judged.report.gates if gate.name == "alerts")


def test_a_silence_is_told_by_whom_and_until_when_and_one_that_is_over_is_not(
    prometheus: RealPrometheus, manager: RealAlertmanager
) -> None:
    silence, ends = manager.silence({"alertname": QUIET}, by="ann@example.com")
    over, _ = manager.silence({"alertname": QUIET}, by="expired@example.com")
    manager.expire(over)
    manager.silence({"alertname": QUIET}, by="tomorrow@example.com", begins_in_hours=24)
    manager.silence({"alertname": "SomethingElse"}, by="elsewhere@example.com")
    _, narrow_ends = manager.silence({"alertname": QUIET, "model": "spacing"}, by="narrow@example.com", hours=1)

    told = (
        f"Silenced in Alertmanager: {QUIET}, by ann@example.com until {ends}.",
        f'Silenced in Alertmanager: {QUIET} where model="spacing", by narrow@example.com until {narrow_ends}.',
    )
    judged = soak(prometheus, manager.url, QUIET)
    assert sorted(judged.report.silences) == sorted(told)
    gate = alerts_gate(judged)
    assert gate.verdict is Verdict.PASS
    assert gate.why == " ".join(["All named alert rules are loaded and quiet.", *judged.report.silences])

    manager.expire(silence)
    assert soak(prometheus, manager.url, QUIET).report.silences == told[1:]


def test_a_silenced_alert_that_fires_is_as_red_as_before(prometheus: RealPrometheus, manager: RealAlertmanager) -> None:
    unsilenced = alerts_gate(soak(prometheus, manager.url, QUIET, FIRING))
    _, ends = manager.silence({"alertname": FIRING}, by="ann@example.com")
    gate = alerts_gate(soak(prometheus, manager.url, QUIET, FIRING))
    assert gate.verdict is unsilenced.verdict is Verdict.FAIL
    silenced = f"Silenced in Alertmanager: {FIRING}, by ann@example.com until {ends}."
    assert gate.why == f"{unsilenced.why} {silenced}"


def test_an_alertmanager_that_is_down_is_said_and_turns_nothing_green(
    prometheus: RealPrometheus, manager: RealAlertmanager
) -> None:
    manager.end()
    for names, verdict in (((QUIET,), Verdict.PASS), ((QUIET, FIRING), Verdict.FAIL), (("NoSuch",), Verdict.VACUOUS)):
        asked_alone = alerts_gate(soak(prometheus, "", *names))
        gate = alerts_gate(soak(prometheus, manager.url, *names))
        assert gate.verdict is asked_alone.verdict is verdict
        assert gate.why.startswith(f"{asked_alone.why} Silences are unknown: {manager.url} cannot be reached")


async def test_the_soak_view_shows_the_silence_in_full_at_80_columns(
    prometheus: RealPrometheus, manager: RealAlertmanager
) -> None:
    silence, ends = manager.silence({"alertname": QUIET}, by="ann@example.com")
    session = FakeSession()
    session.shown_soak = replace(soak(prometheus, manager.url, QUIET).report, as_of=NOW)
    async with console(session) as pilot:
        await pilot.press("2")
        await reads_soon(pilot, f"Silenced in Alertmanager: {QUIET}, by ann@example.com")
        assert reads(pilot, f"until {ends}.")
        manager.expire(silence)
        session.shown_soak = replace(soak(prometheus, manager.url, QUIET).report, as_of=NOW)
        await pilot.press("f5")
        await until(pilot, lambda: not reads(pilot, "Silenced"))
        assert reads(pilot, "loaded and quiet")


def test_the_configured_alertmanager_is_the_one_that_the_doctor_asks(
    prometheus: RealPrometheus,
    manager: RealAlertmanager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = f"[alerts]\nquiet = ['{QUIET}']\n"
    clones = make_clones(tmp_path, {REGISTRY_PATH: empty_document().raw, POLICY_PATH: POLICY + policy})
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MLCONSOLE_PROMETHEUS_URL", prometheus.url)
    monkeypatch.setenv("MLCONSOLE_ALERTMANAGER_URL", manager.url)
    monkeypatch.chdir(clones.operator.path)
    _, ends = manager.silence({"alertname": QUIET}, by="ann@example.com")
    run(["doctor"])
    assert (
        f"1 rules are loaded. Silenced in Alertmanager: {QUIET}, by ann@example.com until {ends}."
        in capsys.readouterr().out
    )
    manager.end()
    run(["doctor"])
    out = capsys.readouterr().out
    assert f"{manager.url} cannot be reached" in out
    assert "alertmanager.url is right" in out
