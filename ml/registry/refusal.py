"""The refusal of a registry that cannot be read safely, with the place that is wrong."""

from __future__ import annotations

from typing import NoReturn

from ml.errors import Invalid
from ml.registry.locate import Path, line_column, path_at, show
from ml.registry.scanner import skip_space
from ml.text import visible


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
    """Refuse ``file`` for what stands at ``offset`` of its text; without ``path`` the field is looked up.

    Raises:
        RegistryInvalid: always.
    """
    line, column = line_column(text, offset)
    if path is None:
        path = path_at(text, skip_space(text, 0), offset)
    raise RegistryInvalid(what, file=file, line=line, column=column, path=show(path))
