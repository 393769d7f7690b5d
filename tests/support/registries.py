"""Registries for tests: by hand where a case is told, and generated in any content and layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

STAGES = ("staging", "shadow", "active")
START = datetime(2026, 2, 1, tzinfo=UTC)
LATER = datetime(2026, 6, 1, tzinfo=UTC)


def stamp(hours: float) -> str:
    """The time so many hours after the start of the story."""
    return (START + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def name(number: int) -> str:
    """The id of the artifact of that number."""
    return f"regime_v2026_02_{number:02}_001"


def pointer(number: int, **more: object) -> dict[str, Any]:
    """A complete pointer to artifact ``number`` (1 to 28)."""
    return {
        "artifact_id": name(number),
        "artifact_dir": f"artifacts/onnx/{name(number)}",
        "model_sha256": f"{number:064x}",
        "git_sha": f"{number:040x}",
        "dataset_id": "production_data_v4",
        "created_at_utc": stamp(number),
        **more,
    }


def event(hours: float | None, number: int, move: str, *, words: str = "both", **more: object) -> dict[str, Any]:
    """An event like ``shadow>active``, in the vocabulary ``runbook``, ``engine`` or ``both``.

    ``-`` stands for no stage; ``active>active`` is a rollback, ``shadow>shadow`` a withdrawal.
    """
    from_stage, _, to_stage = move.partition(">")
    time = {} if hours is None else {"timestamp_utc": stamp(hours), "ts_utc": stamp(hours)}
    both = {
        **time,
        "action": _action(from_stage, to_stage),
        "from_stage": None if from_stage == "-" else from_stage,
        "to_stage": to_stage,
        "artifact_id": name(number),
        "by": "dev@example.com",
        "actor": "dev@example.com",
        "reason": "because",
        "source": "mlconsole",
        "pointer": pointer(number),
        "registry_git_sha": None,
        **more,
    }
    left_out = {
        "runbook": ("ts_utc", "actor", "source", "pointer", "registry_git_sha"),
        "engine": ("timestamp_utc", "action", "artifact_id", "by"),
        "both": (),
    }[words]
    return {key: value for key, value in both.items() if key not in left_out}


def _action(from_stage: str, to_stage: str) -> str:
    if from_stage == to_stage:
        return "rollback" if to_stage == "active" else "withdraw"
    return "stage" if from_stage == "-" else "promote"


def registry(**models: Mapping[str, Any]) -> bytes:
    """A registry as people write it: two spaces, one final newline."""
    return (json.dumps({"schema_version": "v1", "models": models}, indent=2) + "\n").encode()


def model(
    active: int | None = None, *, shadow: int | None = None, staging: int | None = None, history: object = ()
) -> dict[str, Any]:
    """A model with artifacts by number and a list of events."""
    return {
        "staging": None if staging is None else pointer(staging),
        "shadow": None if shadow is None else pointer(shadow, promoted_at_utc=stamp(1)),
        "active": None if active is None else pointer(active, promoted_at_utc=stamp(1)),
        "history": history,
    }


# --- generated ------------------------------------------------------------------------------------------

_CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))
_KEYS = st.text(_CHARACTERS, min_size=1, max_size=6).map(lambda text: f"x_{text}")
_SCALARS = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(_CHARACTERS, max_size=8)
_EXTRAS = st.dictionaries(
    _KEYS, st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=2), max_leaves=3), max_size=2
)
_GAPS = st.sampled_from(["", "", " ", "\n", "\r\n", "\t", "\n  ", "  "])


@st.composite
def pointers(draw: st.DrawFn, number: int | None = None) -> dict[str, Any]:
    """A pointer that the engine takes in every stage, with notes and unknown keys of any kind, in any key order."""
    which = draw(st.integers(1, 28)) if number is None else number
    more = {"promoted_at_utc": stamp(1), "notes": draw(st.text(_CHARACTERS, max_size=12)), **draw(_EXTRAS)}
    return dict(draw(st.permutations(list(pointer(which, **more).items()))))


@st.composite
def histories(draw: st.DrawFn, clean: bool, most: int = 5) -> list[dict[str, Any]]:
    """Events in order of time; in both vocabularies when ``clean``, in any when not; oldest or newest first."""
    moves = ("->staging", "staging>shadow", "shadow>active", "active>active", "shadow>shadow")
    count = draw(st.integers(0, most) if most < 48 else st.integers(46, most))
    found = [
        event(
            hours,
            draw(st.integers(1, 6)),
            draw(st.sampled_from(moves)),
            words="both" if clean else draw(st.sampled_from(["both", "runbook", "engine"])),
            **draw(_EXTRAS),
        )
        for hours in range(count)
    ]
    return found[::-1] if draw(st.booleans()) else found


@st.composite
def models(draw: st.DrawFn, clean: bool, most: int = 5) -> dict[str, Any]:
    """A model with a different artifact in each stage, or none."""
    numbers = draw(st.permutations(range(1, 9)))
    found: dict[str, Any] = {
        stage: draw(st.none() | pointers(number)) for stage, number in zip(STAGES, numbers, strict=False)
    }
    found |= {"history": draw(histories(clean, most)), **draw(_EXTRAS)}
    if not clean:
        found = {key: value for key, value in found.items() if value is not None or draw(st.booleans())}
    return dict(draw(st.permutations(list(found.items()))))


@st.composite
def registries(draw: st.DrawFn, clean: bool = True, most: int = 5) -> dict[str, Any]:
    """A whole registry; ``clean`` ones are taken by the engine, others are only in use."""
    named = draw(
        st.dictionaries(st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True), models(clean, most), min_size=1, max_size=3)
    )
    parts = {"schema_version": "v1", "models": named, **draw(_EXTRAS)}
    return dict(draw(st.permutations(list(parts.items()))))


@st.composite
def layouts(draw: st.DrawFn, value: object) -> bytes:
    """The value as bytes: neatly indented in many ways, or with any whitespace between any tokens."""
    if draw(st.integers(0, 3)) == 0:
        return _scattered(draw, value).encode()
    text = json.dumps(
        value,
        indent=draw(st.sampled_from([None, 0, 1, 2, 4, "\t"])),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ": "), (",", ":"), (", ", " : ")])),
    )
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return (text + draw(st.sampled_from(["", "\n", "\n\n"]))).replace("\n", end).encode()


def _scattered(draw: st.DrawFn, value: object) -> str:
    gaps = [draw(_GAPS) for _ in range(5)]
    turn = iter(range(1 << 30))

    def gap() -> str:
        return gaps[next(turn) % len(gaps)]

    def write(part: object) -> str:
        if isinstance(part, dict):
            inside = ",".join(
                f"{gap()}{json.dumps(key)}{gap()}:{gap()}{write(each)}{gap()}" for key, each in part.items()
            )
            return "{" + (inside or gap()) + "}"
        if isinstance(part, list):
            inside = ",".join(f"{gap()}{write(each)}{gap()}" for each in part)
            return "[" + (inside or gap()) + "]"
        return json.dumps(part, ensure_ascii=False)

    return gap() + write(value) + gap()
