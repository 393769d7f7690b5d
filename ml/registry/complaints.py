"""What pydantic complains about, as a sentence for an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.text import visible

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SHAPES = {
    "artifact_id": "is no artifact id (letters, digits, _ . and -, no path)",
    "artifact_dir": "is no path that is relative to the repository and stays inside it",
}
_WRONG_TYPES = {
    "string_type": "is no text",
    "model_type": "is no JSON object",
    "tuple_type": "is no JSON array",
    "moment": "is no time like 2026-02-16T10:00:00Z",
    "string_too_long": "is too long",
}


def complaint(error: ErrorDetails) -> str:
    """One validation error in words; the value is shown where it is short and simple."""
    kind = error["type"]
    names = [part for part in error["loc"] if isinstance(part, str)]
    name = names[-1] if names else "this"
    if kind == "missing":
        return f"{name} is missing"
    value = error["input"]
    shown = (
        f" ({visible(repr(value), limit=80)})" if isinstance(value, str | int | float | bool) or value is None else ""
    )
    if kind == "string_pattern_mismatch":
        return f"{name}{shown} {_SHAPES[name]}"
    said = _WRONG_TYPES.get(kind) or f"is wrong: {visible(error['msg'], limit=120)}"
    return f"{name}{shown} {said}"
