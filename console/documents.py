"""JSON documents of the verbs (contract §11), made from frozen values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python

from ml.board import Board, KillView, ModelView, SoakReport, StageView
from ml.clock import format_utc
from ml.judgement import board_verdict, gates_of, gauges_of, judged, soak_verdict
from ml.promotion.values import Landing, Plan, RollbackPlan, Submission
from ml.stage import Stage
from ml.verdict import Check, Verdict, worst

SCHEMA_VERSION = "v1"


def plain(value: object) -> Any:
    """Convert frozen values for JSON: times as RFC 3339, enumerations as words, NaN as null.

    The facts of findings become one object, with a value per name.
    """
    return _named(to_jsonable_python(value, inf_nan_mode="null", bytes_mode="utf8"))


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: dict(each) if key == "facts" else _named(each) for key, each in value.items()}
    return [_named(each) for each in value] if isinstance(value, list) else value


def envelope(as_of: datetime, verdict: Verdict | None = None) -> dict[str, Any]:
    """Return the fields that every document has."""
    head: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "as_of": format_utc(as_of)}
    return head if verdict is None else head | {"verdict": verdict.value}


def status(board: Board) -> dict[str, Any]:
    """Return the whole board. ``verdict`` of the board and of each model is the worst of its readings and gates."""
    fetched = board.registry.fetched
    return envelope(board.as_of, board_verdict(board)) | {
        "environment": {"name": board.environment, "production": board.production, "read_only": board.read_only},
        "operator": board.operator,
        "registry": {
            "ref": board.registry.ref,
            "commit": board.registry.commit,
            "fetched_at": plain(fetched.as_of),
            "fetch": plain(fetched),
            "branches": plain(board.registry.branches),
            "problem": board.registry.problem,
        },
        "prometheus": plain(board.prometheus),
        "models": {model.name: _model(model) for model in board.models},
        "kill_switch": kill(board.kill),
        "problems": plain((*board.problems, *(problem for model in board.models for problem in model.problems))),
    }


def _model(model: ModelView) -> dict[str, Any]:
    serving = plain([item for stage in Stage for item in model.stage(stage).serving])
    judgement = judged(model)
    return {
        "verdict": judgement.verdict.value,
        "decided_by": judgement.name,
        "why": judgement.why,
        "staging": _stage(model.staging),
        "shadow": _stage(model.shadow),
        "active": _stage(model.active),
        "serving": serving,
        "soak": None if model.soak is None else _soak_body(model.soak) | {"verdict": plain(soak_verdict(model))},
        "readings": plain(gauges_of(model)),
        "active_readings": plain(model.active_readings),
        "hop": model.step,
        "gates": plain(gates_of(model)),
        "condemned": list(model.condemned),
        "problems": plain(model.problems),
    }


def _stage(view: StageView) -> dict[str, Any] | None:
    if view.artifact_id is None:
        return None
    row: dict[str, Any] = plain(view)
    del row["serving"]
    return row


def soak(report: SoakReport) -> dict[str, Any]:
    """Return a soak with its gates and the cells of each objective as letters."""
    return envelope(report.as_of, report.verdict) | _soak_body(report)


def _soak_body(report: SoakReport) -> dict[str, Any]:
    return {
        "model": report.model,
        "artifact_id": report.artifact_id,
        "model_sha256": report.model_sha256,
        "verdict": report.verdict.value,
        "why": report.why,
        "started_at": plain(report.started_at),
        "elapsed_s": report.elapsed_s,
        "required_s": report.required_s,
        "coverage": report.coverage,
        "breaches": report.breaches,
        "restarts": report.restarts,
        "engines": list(report.engines),
        "attribution": report.attribution,
        "scrape_s": report.scrape_s,
        "eligible_at": plain(report.eligible_at),
        "gates": plain(report.gates),
        "silences": list(report.silences),
        "cells": {tape.objective: tape.cells for tape in report.tapes},
        "queries": list(report.queries),
    }


def verification(as_of: datetime, artifact_id: str, verdict: Verdict, checks: tuple[Check, ...]) -> dict[str, Any]:
    """The checks of one artifact."""
    return envelope(as_of, verdict) | {"artifact_id": artifact_id, "checks": plain(checks)}


def change(as_of: datetime, planned: Plan, done: Submission | None) -> dict[str, Any]:
    """Return a planned change and, unless it was a dry run, its result."""
    return envelope(as_of, worst(item.verdict for item in planned.gates) if planned.gates else None) | {
        "branch": planned.branch,
        "commit": done.commit if done else None,
        "pushed": bool(done and done.pushed),
        "pr_url": done.pr_url if done else "",
        "why": done.why if done else "dry run: nothing was written",
        "plan": {
            "target": plain(planned.target),
            "title": planned.title,
            "message": planned.message,
            "body": planned.body,
            "diff": planned.diff,
            "files": [path for path, _ in planned.files],
            "evidence_sha256": planned.evidence_sha256,
            "warnings": list(planned.warnings),
            "pointer_origins": [plain(each) | {"why": each.why} for each in planned.origins],
        },
        "gates": plain(planned.gates),
    }


def no_change(as_of: datetime, prepared: RollbackPlan) -> dict[str, Any]:
    """Return a rollback that has nothing to do, or no target."""
    return envelope(as_of) | {
        "branch": None,
        "commit": None,
        "pushed": False,
        "pr_url": "",
        "plan": None,
        "gates": [],
        "why": prepared.why,
        "candidates": plain(prepared.candidates),
    }


def landing(as_of: datetime, landed: Landing) -> dict[str, Any]:
    """Return a change that was landed on the base branch."""
    body: dict[str, Any] = plain(landed)
    return envelope(as_of, worst(item.verdict for item in landed.gates)) | body


def kill(view: KillView) -> dict[str, Any]:
    """The kill switch and the receipt of each instance."""
    return {
        "state": view.rung.value,
        "engaged": view.engaged,
        "file_engaged": view.file_says,
        "by_engines": view.by_engines,
        "unclear": view.unclear,
        "asked": None if view.asked is None else "on" if view.asked else "off",
        "engines": view.engines,
        "confirmed": view.proven,
        "requested_at": plain(view.requested_at),
        "by": view.by,
        "reason": view.reason,
        "instances": [
            {"instance": item.instance, "state": item.rung.value, "at": plain(item.at), "why": item.why}
            for item in view.instances
        ],
        "deliveries": [
            {"name": item.name, "done": item.done, "why": item.why, "seconds": round(item.seconds, 3)}
            for item in view.deliveries
        ],
        "manual": list(view.manual),
        "problem": view.problem,
        "beside": view.beside,
    }
