"""Models of a registry, those with problems first, filtered by a few letters.

The cost does not grow with their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content
from textual.fuzzy import FuzzySearch
from textual.message import Message
from textual.reactive import var

from ml.board import ModelView
from ml.clock import hours
from ml.judgement import PROBLEM, judged
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Verdict
from widgets.drawing import MARKS, fit, glyphs_of
from widgets.row_list import RowList

if TYPE_CHECKING:
    from ml.judgement import Judgement


# Order of models by priority, used in every list of models.

_GRAVITY = {verdict: rank for rank, verdict in enumerate(reversed(Verdict))}


class Judged(NamedTuple):
    """A model with its verdict and the reading that decides it. Both are cached, because they are read often."""

    model: ModelView
    judgement: Judgement

    @property
    def verdict(self) -> Verdict:
        """The model's verdict."""
        return self.judgement.verdict


def by_need(models: tuple[ModelView, ...]) -> tuple[Judged, ...]:
    """Order models by verdict, worst first, then by name."""
    judgements = (Judged(model, judged(model)) for model in models)
    return tuple(sorted(judgements, key=lambda each: (_GRAVITY[each.verdict], each.model.name)))


_LETTERS = {Stage.STAGING: "st", Stage.SHADOW: "sh", Stage.ACTIVE: "ac"}
_NAME_AT_LEAST, _NAME_AT_MOST = 14, 32


def matching(judged: tuple[Judged, ...], pattern: str) -> tuple[Judged, ...]:
    """Return models with the letters of ``pattern`` in their name, in order; the best match first."""
    if not pattern:
        return judged
    search = FuzzySearch(cache_size=1)
    scored = ((search.match(pattern, each.model.name)[0], each) for each in judged)
    return tuple(each for score, each in sorted(scored, key=lambda pair: -pair[0]) if score > 0)


class ModelList(RowList):
    """The ``models`` that match ``pattern``. Moving the cursor chooses a model."""

    models: var[tuple[ModelView, ...]] = var((), init=False)
    pattern: var[str] = var("", init=False)

    class Chosen(Message):
        """A model was chosen."""

        def __init__(self, models: ModelList, name: str) -> None:
            super().__init__()
            self.models = models
            self.name = name

        @property
        def control(self) -> ModelList:
            """The list."""
            return self.models

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._ordered: tuple[Judged, ...] = ()
        self._rows: tuple[Judged, ...] = ()

    def choose(self, name: str) -> None:
        """Move the cursor to a model that was chosen elsewhere. Posts nothing."""
        for index, row in enumerate(self._rows):
            if row.model.name == name and index != self.cursor:
                with self.prevent(self.Chosen):
                    self.cursor = index

    def watch_models(self) -> None:
        """Order the models again. The chosen model stays chosen."""
        self._ordered = by_need(self.models)
        self._arrange()

    def watch_pattern(self) -> None:
        """Show the matching models, and choose the best match."""
        self._arrange(best=bool(self.pattern))

    def watch_cursor(self, before: int, now: int) -> None:
        """Post the chosen model."""
        super().watch_cursor(before, now)
        self._tell()

    def row(self, index: int) -> Content:
        """Return verdict, name, filled stages, soak, and the first problem."""
        row, glyphs = self._rows[index], glyphs_of(self.app)
        mark, model = MARKS[row.verdict], row.model
        name_width = max(_NAME_AT_LEAST, min(_NAME_AT_MOST, self.width // 4))
        return Content.assemble(
            self.lead(index),
            (mark.text(ascii_only=glyphs.ascii_only), mark.color),
            f" {fit(visible(model.name, limit=80), name_width, glyphs)} ",
            (" ".join(_short(model, stage) for stage in Stage), "$quiet"),
            f"  {_soak(model):<16}  ",
            (visible(_wrong(row)), mark.color),
        )

    def _arrange(self, *, best: bool = False) -> None:
        chosen = self._rows[self.cursor].model.name if self.cursor < len(self._rows) else ""
        self._rows = matching(self._ordered, self.pattern)
        self.count = len(self._rows)
        with self.prevent(self.Chosen):
            index = next((i for i, row in enumerate(self._rows) if row.model.name == chosen), 0)
            self.cursor = 0 if best else index
        self.renew()
        if best:
            self._tell()

    def _tell(self) -> None:
        if self._rows:
            self.post_message(self.Chosen(self, self._rows[self.cursor].model.name))


def _short(model: ModelView, stage: Stage) -> str:
    """Return two letters for a stage with an artifact, blanks for an empty one."""
    return _LETTERS[stage] if model.stage(stage).artifact_id else "  "


def _soak(model: ModelView) -> str:
    if model.soak is None:
        return ""
    return f"soak {hours(model.soak.elapsed_s)}/{hours(model.soak.required_s)}"


def _wrong(row: Judged) -> str:
    """Return the deciding reading or gate. For a good model, return its notice, if any."""
    if row.verdict.opens:
        return row.model.problems[0].what if row.model.problems else ""
    name = "" if row.judgement.name == PROBLEM else row.judgement.name
    return f"{name}: {row.judgement.why}".removeprefix(": ")
