"""One-line texts of readings, gates and stages for a terminal, used by the verbs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from console.short import kill_word
from ml.board import Board, ModelView, OpenBranch, SoakReport, SourceState, StageView
from ml.clock import format_utc, hours, span
from ml.judgement import gates_of, gauges_of, judged, stopped
from ml.session.metrics import SERVING
from ml.stage import Stage
from ml.text import visible
from ml.units import amount
from ml.verdict import Check, Gate, Reading, Verdict


def check(item: Check) -> str:
    """``[PASS]    digests        every file matches the manifest``."""
    return f"{tag(item.verdict)} {item.name:<14} {item.why}".rstrip()


def gate(item: Gate | Reading) -> str:
    """``[PASS]    p99            42.1 ms < 100   why``; a value that is only known from below has ``≥`` before it."""
    value, bound = (amount(each, item.unit, limit=item.limit) for each in (item.value, item.limit))
    minimum = isinstance(item, Gate) and item.has_minimum
    value = f"≥{value}" if isinstance(item, Reading) and item.clamped else value
    sign = "≥" if minimum else "<"
    limit = "" if item.limit is None else f"{sign} {bound}"
    return f"{tag(item.verdict)} {item.name:<17} {value:>9} {limit:<10} {item.why}".rstrip()


def tag(verdict: Verdict) -> str:
    """Return the verdict as a word of fixed width."""
    return f"[{verdict.value}]".ljust(9)


def status(board: Board) -> list[str]:
    """Return the board for a shell: header, kill switch, models, problems."""
    mode = "RO" if board.read_only else "RW"
    name = f"!{board.environment.upper()}!" if board.production else board.environment
    registry = board.registry
    head = f"{name} {mode}  {registry.ref}@{registry.commit[:7]}  {_source(board)}  KILL {kill_word(board.kill)}"
    lines = [f"{head}  {format_utc(board.as_of)}"]
    for model in board.models:
        lines += ["", *_model(model, board.as_of, killed=stopped(board.kill))]
    if registry.branches:
        lines += ["", "Open changes"]
        lines += [f"  {visible(branch.name)}  {_branch(branch, board.as_of)}" for branch in registry.branches]
    problems = [*board.problems, *(problem for model in board.models for problem in model.problems)]
    if problems:
        lines += ["", "Problems"]
        lines += [f"  {problem.where}: {problem.what} {problem.remedy}".rstrip() for problem in problems]
    return lines


def soak(report: SoakReport) -> list[str]:
    """Return a soak's queries, tapes, gates and verdict.

    The verdict comes last, where it stays visible in a terminal.
    """
    started = format_utc(report.started_at) if report.started_at else "not started"
    return [
        "queries",
        *(f"  {query}" for query in report.queries),
        "",
        *(f"{tape.objective:<12} {tape.cells}" for tape in report.tapes),
        "",
        *(gate(item) for item in report.gates),
        f"soak {hours(report.elapsed_s)} of {hours(report.required_s)}, since {started}, "
        f"coverage {report.coverage:.1%}, breaches {report.breaches}, restarts {report.restarts}",
        f"{report.model} {report.artifact_id}: {tag(report.verdict).strip()} {report.why}",
    ]


def _source(board: Board) -> str:
    prometheus = board.prometheus
    if prometheus.state is SourceState.OK and prometheus.as_of:
        return f"prom OK {span((board.as_of - prometheus.as_of).total_seconds())}"
    return f"prom {prometheus.state.value}"


def _model(model: ModelView, now: datetime, *, killed: bool) -> list[str]:
    silent = bool(model.silent)
    stages = {stage.value: _stage(model.stage(stage), now, killed=killed, silent=silent) for stage in Stage}
    lines = [model.name, *(f"  {stage:<8} {state}" for stage, state in stages.items())]
    judgement = judged(model)
    colon = ": " if judgement.name and judgement.why else ""
    lines.append(f"  {tag(judgement.verdict)} {judgement.name}{colon}{judgement.why}".rstrip())
    lines += [f"  {gate(reading)}" for reading in gauges_of(model)]
    if model.shadow.artifact_id is not None:  # The readings above are of shadow.
        live = (reading for reading in model.active_readings if reading.limit is not None)
        lines += [f"  {gate(replace(reading, name=f'active {reading.name}'))}" for reading in live]
    if model.step:
        lines.append(f"  {model.step}: {_step(model)}")
    return lines


def _branch(branch: OpenBranch, now: datetime) -> str:
    where = "pushed" if branch.pushed else "local only, `mlconsole push` sends it"
    return f"{where}, {span((now - branch.at).total_seconds())} ago by {visible(branch.by)}"


def _step(model: ModelView) -> str:
    blocked = [f"{item.name} {item.verdict.value}" for item in gates_of(model) if not item.verdict.opens]
    if not model.gates:
        return "WAIT, judged when it is promoted"
    return f"blocked by {', '.join(blocked)}" if blocked else "its measured gates are open"


def _stage(view: StageView, now: datetime, *, killed: bool, silent: bool) -> str:
    if view.artifact_id is None:
        return "(empty)"
    moment = view.served_since or view.since
    since = f" for {span((now - moment).total_seconds())}" if moment else ""
    if view.served_since is None and view.since is not None and view.deployment not in ("", SERVING):
        since = f" landed {span((now - view.since).total_seconds())} ago"  # It has not served for that long.
    state = "stopped by the kill switch" if killed and view.stage is not Stage.STAGING else view.deployment
    state = f"last seen: {state}" if silent and state and not killed else state
    deployment = f" · {state}" if state else ""
    return f"{visible(view.artifact_id)}{since}{deployment}"
