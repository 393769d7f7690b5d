"""Measure the verdict on a soak of 24 h against the same queries by curl, on the demo's Prometheus."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import Result, in_turns
from console.demo.stack import Stack, running_stack
from ml.adapters.processes import run as start
from ml.adapters.prometheus import Prometheus
from ml.policy import parse_policy
from ml.slo.soak import SoakJudgement, judge_soak
from ml.slo.source import Answer, Ask, Kind
from ml.slo.tape import SoakSubject

_ROUNDS = 15


def run() -> tuple[Result, ...]:
    """Start the demo's parts, judge, and ask curl for exactly what was asked."""
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder), lambda what, took: None) as stack:
        asked = [each.ask for each in _judge(stack).responses if isinstance(each, Answer)]
        ours, floor = in_turns(lambda: _judge(stack), lambda: _curl(stack, asked), _ROUNDS)
    return (Result(f"soak verdict of 24 h, {len(asked)} queries", "the same queries by curl", ours, floor, 1.3),)


def _judge(stack: Stack) -> SoakJudgement:
    policy = parse_policy((stack.layout.clone / "ml/registry/policy.toml").read_bytes())
    now = datetime.now(UTC)
    subject = SoakSubject("regime_classifier", "regime_v2026_02_15_002", "", now - timedelta(hours=24, minutes=10))
    judgement = judge_soak(Prometheus(stack.url), policy, subject, now)
    assert judgement.report.gates, judgement.report.why
    return judgement


def _curl(stack: Stack, asked: list[Ask]) -> None:
    """One curl process that asks one after the other over one connection; ours asks two side by side."""
    argv = ["curl", "--silent", "--fail", "--max-time", "60"]
    for ask in asked:
        argv += ["--next"] if argv[-1] != "60" else []
        argv += ["--output", "/dev/null", f"{stack.url}/api/v1/{ask.kind.value}", "--get", *_fields(ask)]
    ended = start(argv, deadline_s=120)
    assert ended.code == 0, ended.err


def _fields(ask: Ask) -> list[str]:
    params: dict[str, str] = {}
    if ask.kind in (Kind.QUERY, Kind.RANGE):
        params["query"] = ask.promql
    if ask.at:
        params["time"] = str(ask.at.timestamp())
    if ask.start and ask.end:
        params |= {"start": str(ask.start.timestamp()), "end": str(ask.end.timestamp()), "step": str(ask.step_s)}
    return [part for name, value in params.items() for part in ("--data-urlencode", f"{name}={value}")]
