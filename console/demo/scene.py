"""Table of the demo's past: nine days of staging and promoting. Pure.

`regime_classifier` has just completed 24 hours of soak, `regime_night` 18 hours; `regime_lowvol` is in staging.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.demo.engines import ENGINES, EngineSpec
from ml.registry.changes import Change, promote, stage
from ml.registry.codec import Document, empty_document
from ml.registry.schema import Pointer
from ml.stage import Stage

OPERATOR = "operator@example.com"
DEVELOPER = "developer@example.com"
FIRST, SECOND, THIRD = "regime_v2026_02_14_001", "regime_v2026_02_15_001", "regime_v2026_02_15_002"
ARTIFACTS = (FIRST, SECOND, THIRD)


@dataclass(frozen=True, slots=True)
class Move:
    """One change of the past: a model's artifact entered a stage at a given time before now."""

    ago: timedelta
    model: str
    artifact_id: str
    to_stage: Stage
    by: str
    reason: str


def _h(hours: float) -> timedelta:
    return timedelta(hours=hours)


MOVES = (
    Move(_h(216), "regime_classifier", FIRST, Stage.STAGING, DEVELOPER, "First model with the 15 features"),
    Move(_h(214), "regime_classifier", FIRST, Stage.SHADOW, DEVELOPER, "Staging validation passed"),
    Move(_h(188), "regime_classifier", FIRST, Stage.ACTIVE, OPERATOR, "Soak of 24 h within its objectives"),
    Move(_h(160), "regime_night", FIRST, Stage.STAGING, DEVELOPER, "The same model for the night session"),
    Move(_h(158), "regime_night", FIRST, Stage.SHADOW, DEVELOPER, "Staging validation passed"),
    Move(_h(150), "regime_classifier", SECOND, Stage.STAGING, DEVELOPER, "Trained on newer data"),
    Move(_h(149), "regime_classifier", SECOND, Stage.SHADOW, DEVELOPER, "Staging validation passed"),
    Move(_h(132), "regime_night", FIRST, Stage.ACTIVE, OPERATOR, "Soak of 24 h within its objectives"),
    Move(_h(122), "regime_classifier", SECOND, Stage.ACTIVE, OPERATOR, "Soak of 24 h within its objectives"),
    Move(_h(27), "regime_classifier", THIRD, Stage.STAGING, DEVELOPER, "More samples, same features"),
    Move(_h(24.2), "regime_classifier", THIRD, Stage.SHADOW, DEVELOPER, "Staging validation passed"),
    Move(_h(20), "regime_night", SECOND, Stage.STAGING, DEVELOPER, "Proven by day"),
    Move(_h(18.1), "regime_night", SECOND, Stage.SHADOW, DEVELOPER, "Staging validation passed"),
    Move(_h(2), "regime_lowvol", FIRST, Stage.STAGING, DEVELOPER, "Candidate for quiet markets"),
)
DRILL_MOVES = (
    *MOVES,
    Move(_h(0.1), "regime_classifier", THIRD, Stage.ACTIVE, OPERATOR, "Soak of 24 h within its objectives"),
)
"""Past of a drill: the newest artifact has been active for six minutes, and no artifact soaks."""
FOUNDED = _h(240)
"""Age of the repository's first commit, which comes before all moves."""


@dataclass(frozen=True, slots=True)
class Step:
    """One commit of the past on the main branch. ``registry`` is the whole file after it."""

    at: datetime
    by: str
    message: str
    registry: bytes
    artifact_id: str = ""
    move: Move | None = None


def steps(now: datetime, pointers: Mapping[str, Pointer], moves: Sequence[Move] = MOVES) -> Iterator[Step]:
    """Return the commits of the past, oldest first. ``pointers`` holds each artifact's pointer by its id."""
    document = empty_document()
    yield Step(now - FOUNDED, DEVELOPER, "The registry, its policy and the runbook", document.raw)
    for move in moves:
        at = now - move.ago
        change = _change(document, move, pointers[move.artifact_id], at)
        document = change.document
        yield Step(at, move.by, _message(move), change.raw, move.artifact_id, move)


def _change(document: Document, move: Move, pointer: Pointer, at: datetime) -> Change:
    if move.to_stage is Stage.STAGING:
        return stage(document, move.model, pointer, by=move.by, reason=move.reason, at=at)
    return promote(document, move.model, move.to_stage, by=move.by, reason=move.reason, at=at)


def _message(move: Move) -> str:
    before = move.to_stage.below
    title = f"{move.model}: {move.artifact_id} to {move.to_stage}"
    trailers = [("Model", move.model), ("Artifact", move.artifact_id), ("To-Stage", move.to_stage.value)]
    if before:
        trailers.insert(2, ("From-Stage", before.value))
    return f"{title}\n\n{move.reason}\n\n" + "".join(f"{key}: {value}\n" for key, value in trailers)


def tenures(engine: EngineSpec, past: Sequence[tuple[Step, str]]) -> list[tuple[int, str, str]]:
    """Return the tenures of an engine, from steps and commits: (start in Unix seconds, artifact or none, registry
    commit)."""
    entries = []
    for step, commit in past:
        model = json.loads(step.registry)["models"].get(engine.model, {})
        pointer = model.get(engine.stage.value) or {}
        entries.append((int(step.at.timestamp()), pointer.get("artifact_id", ""), commit))
    return entries


def policy() -> str:
    """Return the demo's policy: roles, model selector in Prometheus, and the unit tests of its repository."""
    tests = json.dumps([sys.executable, "-B", "-m", "unittest", "discover", "-v", "-s", "tests"])
    models = dict.fromkeys(engine.model for engine in ENGINES)
    selectors = "\n".join(f"[model.{name}]\nselector = 'model=\"{name}\"'\n" for name in models)
    return f'[roles]\noperators = ["{OPERATOR}"]\n\n[checks]\nunit_tests = {tests}\n\n{selectors}'


def settings(url: str) -> str:
    """Return the console.toml of the operator's clone."""
    return f'[environment]\nname = "demo"\n\n[registry]\nfetch_seconds = 5\n\n[prometheus]\nurl = "{url}"\n'
