"""Measure a registry of 1,000 models with 50 events each: parse, validate, re-serialize one edit."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

from benchmarks.measure import Result, in_turns
from ml.registry.changes import withdraw
from ml.registry.codec import parse
from ml.registry.doctor import examine
from ml.stage import Stage

_MODELS, _EVENTS = 1_000, 50
_AT = datetime(2026, 2, 20, tzinfo=UTC)


def large_registry(models: int = _MODELS, events: int = _EVENTS) -> bytes:
    """Registry bytes with both vocabularies in every event, as our own changes write them."""
    named = {f"model_{number:04}": _model(events) for number in range(models)}
    return (json.dumps({"schema_version": "v1", "models": named}, indent=2) + "\n").encode()


def run() -> tuple[Result, ...]:
    """Measure against the standard library's reader and writer, which check nothing and keep nothing."""
    raw = large_registry()

    def ours() -> bytes:
        document = parse(raw)
        change = withdraw(document, "model_0500", Stage.SHADOW, by="a@example.com", reason="benchmark", at=_AT)
        return change.raw

    def floor() -> str:
        return json.dumps(json.loads(raw), indent=2)

    mine, theirs = in_turns(ours, floor, 5)
    size = f"registry of {_MODELS} models x {_EVENTS} events ({len(raw) >> 20} MiB)"
    what = f"{size}: parse, validate, edit"
    return (Result(what, "json.loads + json.dumps", mine, theirs, 4.0), *_looks(raw, size))


def _looks(raw: bytes, size: str) -> tuple[Result, ...]:
    """Measure what a board and a check do with a registry against reading it, and its memory against the file."""
    tracemalloc.start()
    document = parse(raw)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    edited = withdraw(document, "model_0500", Stage.SHADOW, by="a@example.com", reason="benchmark", at=_AT).raw
    again, first = in_turns(lambda: parse(edited, known=document), lambda: parse(raw), 3)
    looked, read = in_turns(lambda: examine(document), lambda: parse(raw), 3)
    return (
        Result(f"{size}: examine", "parse", looked, read, 2.5),
        Result(f"{size}: parse after a change of one model", "parse", again, first, 0.35),
        Result(f"{size}: memory", "the file", held / 1e6, len(raw) / 1e6, 6.0, "MB"),
    )


def _model(events: int) -> dict[str, Any]:
    return {
        "staging": None,
        "shadow": _pointer(2),
        "active": _pointer(1),
        "history": [_event(number) for number in range(events)],
    }


def _pointer(number: int) -> dict[str, Any]:
    artifact = f"regime_v2026_02_{number % 28 + 1:02}_001"
    return {
        "artifact_id": artifact,
        "artifact_dir": f"artifacts/onnx/{artifact}",
        "model_sha256": "a" * 64,
        "git_sha": "b" * 40,
        "dataset_id": "production_data_v4",
        "created_at_utc": "2026-02-16T08:00:00Z",
        "promoted_at_utc": "2026-02-16T10:00:00Z",
        "notes": "benchmark",
        "actor": "a@example.com",
        "source": "mlconsole",
        "feature_order_hash": "c" * 64,
    }


def _event(number: int) -> dict[str, Any]:
    moment = f"2026-02-{number // 24 + 1:02}T{number % 24:02}:00:00Z"
    pointer = _pointer(number)
    return {
        "timestamp_utc": moment,
        "ts_utc": moment,
        "action": "promote",
        "from_stage": "shadow",
        "to_stage": "active",
        "artifact_id": pointer["artifact_id"],
        "by": "a@example.com",
        "actor": "a@example.com",
        "source": "mlconsole",
        "reason": "benchmark",
        "notes": "benchmark",
        "pointer": pointer,
        "registry_git_sha": "b" * 40,
    }
