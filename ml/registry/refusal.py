"""The refusal of a registry that cannot be read safely, with the place of the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ml.errors import Invalid
from ml.registry.locate import Path, line_column, path_at, show
from ml.registry.scanner import skip_space
from ml.text import visible

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class RegistryInvalid(Invalid):
    """The registry cannot be read safely; it is shown read-only and never rewritten.

    ``line`` and ``column`` count from 1, the column in characters; ``path`` is the field in words.
    """

    def __init__(self, what: str, *, file: str, line: int, column: int, path: str) -> None:
        super().__init__(
            f"{visible(file)}, line {line}, column {column}, at {path}: {what}.",
            "Correct this place in a commit of its own; until then the registry is read-only.",
        )
        self.line = line
        self.column = column
        self.path = path


def refuse(file: str, text: str, offset: int, what: str, path: Path | None = None) -> NoReturn:
    """Refuse ``file`` for the text at ``offset``; without ``path`` the field is looked up.

    Raises:
        RegistryInvalid: always.
    """
    line, column = line_column(text, offset)
    if path is None:
        path = path_at(text, skip_space(text, 0), offset)
    raise RegistryInvalid(what, file=file, line=line, column=column, path=show(path))


# Pydantic's errors as sentences for an operator.

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
