"""The strict reader of `models.json`: bytes in, a `Document` out, or a refusal with line, column and field path.

Strict means: whatever two JSON readers could disagree about is refused, and nothing is ever mended silently.
The document keeps the text and the place of every model in it, so that an edit touches only its own lines
(`ml.registry.edits`) and only the edited model is read again.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from ml.registry.locate import show
from ml.registry.paths import REGISTRY_PATH
from ml.registry.reader import Reader, Span
from ml.registry.refusal import RegistryInvalid, refuse
from ml.registry.schema import Registry

__all__ = ["MAX_BYTES", "Document", "RegistryInvalid", "Span", "empty_document", "parse"]

MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Document:
    """A registry as it stands in a file. ``models_at`` and ``spans`` say where its models stand in ``text``."""

    raw: bytes
    registry: Registry
    text: str = field(repr=False, compare=False)
    models_at: int = field(repr=False, compare=False)
    spans: Mapping[str, Span] = field(repr=False, compare=False)

    def model_text(self, name: str) -> str:
        """The JSON text of one model, as it stands in the file."""
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
        return Document(text.encode(), registry, text, self.models_at, MappingProxyType({**spans, name: span}))


def empty_document() -> Document:
    """A registry without models, as a new repository starts with."""
    return parse(b'{\n  "schema_version": "v1",\n  "models": {}\n}\n')


def parse(raw: bytes, file: str = REGISTRY_PATH) -> Document:
    """Read a registry; ``file`` is its name in errors.

    Raises:
        RegistryInvalid: with the first place that is wrong.
    """
    text = _decode(raw, file)
    reader = Reader(text, file)
    with _collector_paused():
        registry = reader.registry()
    return Document(raw, registry, text, reader.models_at, MappingProxyType(reader.spans))


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
