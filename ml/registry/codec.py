"""The strict reader of `models.json`: bytes in, a `Document` out, or a refusal with line, column and field path.

Strict means: whatever two JSON readers could disagree about is refused, and nothing is ever mended silently.
The document keeps the text and the place of every model in it, so that an edit touches only its own lines
(`ml.registry.edits`) and only the edited model is read again.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from pydantic import ValidationError

from ml.errors import Invalid
from ml.registry.scanner import (
    MAX_DEPTH,
    MAX_DIGITS,
    Path,
    first_offence,
    line_column,
    members,
    offset_of,
    path_at,
    show,
    skip_space,
)
from ml.registry.schema import MODEL_NAME_PATTERN, REGISTRY_PATH, Model, Registry
from ml.text import visible

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


# The refusal of a registry that cannot be read safely, with the place of the error.


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


# The strict parser of a registry: one pass in C, and an exact second pass after an error.

SCHEMA_VERSION = "v1"

_MODEL_NAME = re.compile(MODEL_NAME_PATTERN)
# Escapes of control characters and of surrogates without their partner. An escaped backslash may deceive this
# pattern, which costs only the slow, exact look.
_SUSPECT_ESCAPE = re.compile(
    r"\\[bf]|\\u(?:00[018][0-9a-fA-F]|009|007[fF])"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
_CONTROL = re.compile(r"[\x7f-\x9f\ud800-\udfff]")


class _Offended(ValueError):
    """The fast reader met something that the exact one shall find and name."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Offended
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Offended


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS + digits.startswith("-"):
        raise _Offended
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if value - value != 0.0:
        raise _Offended
    return value


_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer, parse_float=_finite
)


@dataclass(frozen=True, slots=True)
class Span:
    """The place of a value in the text, from ``start`` to before ``end``, in characters."""

    start: int
    end: int


class Reader:
    """One pass over one text; every failure leaves it as `RegistryInvalid`.

    After `registry`, ``models_at`` is where the object with the models begins, and ``spans`` where each stands.
    """

    def __init__(self, text: str, file: str, known: Document | None = None) -> None:
        self._known = known
        self.models_at = -1
        self.spans: dict[str, Span] = {}
        self._text = text
        self._file = file
        self._models: dict[str, Model] = {}

    def registry(self) -> Registry:
        """Read the whole text."""
        text = self._text
        start = skip_space(text, 0)
        if text[start] != "{":
            refuse(self._file, text, start, "a registry is one JSON object", ())
        self._look_for_characters()
        try:
            parts, end = members(text, start, self._part)
        except json.JSONDecodeError as error:
            refuse(self._file, text, error.pos, _syntax(error))
        rest = skip_space(text, end)
        if rest != len(text):
            refuse(self._file, text, rest, "there is something after the end of the registry", ())
        self._look_for_repeats(start, [part.key for part in parts], ())
        values = {part.key: part.value for part in parts}
        for key in ("schema_version", "models"):
            if key not in values:
                refuse(self._file, text, start, f"the key {key} is missing", ())
        return Registry.model_validate({**values, "models": self._models})

    def _part(self, key: str, text: str, start: int) -> tuple[object, int]:
        if key == "models":
            return self._read_models(start)
        value, end = self._value(start, (key,))
        if key == "schema_version" and value != SCHEMA_VERSION:
            what = f"schema_version is {visible(json.dumps(value), limit=80)}, and only {SCHEMA_VERSION} is known"
            refuse(self._file, text, start, what, (key,))
        return value, end

    def _read_models(self, start: int) -> tuple[object, int]:
        if self._text[start : start + 1] != "{":
            refuse(self._file, self._text, start, "models is no JSON object", ("models",))
        self.models_at = start
        found, end = members(self._text, start, self.model)
        self._look_for_repeats(start, [member.key for member in found], ("models",))
        self._models = {member.key: member.value for member in found}
        self.spans = {member.key: Span(member.start, member.end) for member in found}
        return None, end

    def model(self, name: str, text: str, start: int) -> tuple[Model, int]:
        """Read and validate the model with a value that begins at ``start``."""
        path: Path = ("models", name)
        same = self._same(name, start)
        if same is not None:
            return same
        if not _MODEL_NAME.fullmatch(name):
            refuse(self._file, text, start, "a model's name holds only a to z, 0 to 9 and _", path)
        value, end = self._value(start, path)
        try:
            return Model.model_validate(value), end
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where: Path = first["loc"]
            refuse(self._file, text, offset_of(text, start, where), complaint(first), path + where)

    def _same(self, name: str, start: int) -> tuple[Model, int] | None:
        """The model of a text that was read before, where its own text is the same here."""
        if self._known is None or name not in self._known.spans:
            return None
        text = self._known.model_text(name)
        # A value that is an object ends where its text ends, whatever follows.
        if not text.startswith("{") or not self._text.startswith(text, start):
            return None
        return self._known.registry.models[name], start + len(text)

    def revision(self, name: str, span: Span) -> Model:
        """Read and validate one model of a text that is valid elsewhere."""
        if _suspicious(self._text[span.start : span.end]):
            offence = first_offence(self._text, span.start)
            if offence:
                refuse(self._file, self._text, offence.offset, offence.what, ("models", name, *offence.path))
        return self.model(name, self._text, span.start)[0]

    def _value(self, start: int, path: Path) -> tuple[object, int]:
        """Read one whole value, refusing what `first_offence` names."""
        try:
            value, end = _STRICT.raw_decode(self._text, start)
        except json.JSONDecodeError as error:
            inside = path_at(self._text, start, error.pos)
            refuse(self._file, self._text, error.pos, _syntax(error), path + inside)
        except (_Offended, RecursionError):
            self._refuse_offence(start, path)
        if _deeper(value, MAX_DEPTH - len(path)):
            self._refuse_offence(start, path)
        return value, end

    def _look_for_characters(self) -> None:
        text = self._text
        if _suspicious(text):
            offence = first_offence(text, skip_space(text, 0))
            if offence:
                refuse(self._file, text, offence.offset, offence.what, offence.path)

    def _look_for_repeats(self, start: int, keys: list[str], path: Path) -> None:
        if len(set(keys)) != len(keys):
            self._refuse_offence(start, path)

    def _refuse_offence(self, start: int, path: Path) -> NoReturn:
        offence = first_offence(self._text, start, len(path))
        assert offence, "the fast reader refused what the exact one accepts"
        refuse(self._file, self._text, offence.offset, offence.what, path + offence.path)


def _suspicious(text: str) -> bool:
    """True if there may be a control character or a lone surrogate. Fast, with false positives."""
    escaped = "\\" in text and _SUSPECT_ESCAPE.search(text)
    return bool(escaped or (("\x7f" in text or not text.isascii()) and _CONTROL.search(text)))


def _deeper(value: object, limit: int) -> bool:
    """True if arrays and objects nest deeper than ``limit`` levels. Works level by level."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        inside = chain.from_iterable(node.values() if isinstance(node, dict) else node for node in level)
        level = [child for child in inside if type(child) is dict or type(child) is list]
    return bool(level)


def _syntax(error: json.JSONDecodeError) -> str:
    return f"this is no JSON ({error.msg[:1].lower()}{visible(error.msg[1:], limit=120)})"


__all__ = ["MAX_BYTES", "Document", "RegistryInvalid", "Span", "empty_document", "parse"]

MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Document:
    """A registry as it is in a file. ``models_at`` and ``spans`` are the places of its models in ``text``."""

    registry: Registry
    text: str = field(repr=False)
    models_at: int = field(repr=False, compare=False)
    spans: Mapping[str, Span] = field(repr=False, compare=False)

    @property
    def raw(self) -> bytes:
        """The bytes of the file, made of its text: a large file is not kept twice."""
        return self.text.encode()

    def model_text(self, name: str) -> str:
        """The JSON text of one model, as it is in the file."""
        span = self.spans[name]
        return self.text[span.start : span.end]

    def revised(self, name: str, text: str, span: Span) -> Document:
        """This document with one model's text changed or added: ``text`` is the whole new file, ``span`` the model.

        Everything outside the model must be as before; only the model is read and validated again.

        Raises:
            RegistryInvalid: the model's new text is not fit for a registry.
        """
        model = Reader(text, REGISTRY_PATH).revision(name, span)
        old = self.spans.get(name)
        moved = len(text) - len(self.text)
        edge = old.end if old else span.start
        spans = {
            other: Span(at.start + moved, at.end + moved) if at.start >= edge else at
            for other, at in self.spans.items()
        }
        registry = self.registry.model_copy(update={"models": {**self.registry.models, name: model}})
        return Document(registry, text, self.models_at, MappingProxyType({**spans, name: span}))


def empty_document() -> Document:
    """A registry without models, as a new repository starts with."""
    return parse(b'{\n  "schema_version": "v1",\n  "models": {}\n}\n')


def parse(raw: bytes, file: str = REGISTRY_PATH, known: Document | None = None) -> Document:
    """Read a registry; ``file`` is its name in errors.

    Models that are written in ``known`` as they are here are taken from there, so both documents share them.

    Raises:
        RegistryInvalid: with the first place that is wrong.
    """
    text = _decode(raw, file)
    reader = Reader(text, file, known)
    with _collector_paused():
        registry = reader.registry()
    return Document(registry, text, reader.models_at, MappingProxyType(reader.spans))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Hundreds of thousands of new objects, none of them garbage: the collector would triple the time of a big file."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _decode(raw: bytes, file: str) -> str:
    if not raw.strip():
        raise RegistryInvalid("the file is empty", file=file, line=1, column=1, path=show(()))
    if len(raw) > MAX_BYTES:
        what = f"the file has {len(raw) >> 20} MiB, more than the {MAX_BYTES >> 20} MiB that a registry may have"
        raise RegistryInvalid(what, file=file, line=1, column=1, path=show(()))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        sound = raw[: error.start].decode("utf-8")
        refuse(file, sound, len(sound), f"the byte 0x{raw[error.start]:02x} is not UTF-8")
    if text.startswith("\ufeff"):
        refuse(file, text, 0, "the file begins with a byte order mark")
    return text
