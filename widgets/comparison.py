"""Properties of two things in two columns, marked where they differ."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.reactive import reactive

from ml.text import visible
from widgets.columns import fit
from widgets.glyphs import glyphs_of
from widgets.row_list import RowList

_NAME = 18


@dataclass(frozen=True, slots=True)
class RowView:
    """One property of both, as text."""

    name: str
    left: str
    right: str

    @property
    def differs(self) -> bool:
        """Whether the two are not the same here."""
        return self.left != self.right


class ComparisonRows(RowList):
    """Shows ``rows``, or only those that differ."""

    rows: reactive[tuple[RowView, ...]] = reactive((), init=False)
    only_differences: reactive[bool] = reactive(False, init=False)

    @property
    def shown(self) -> tuple[RowView, ...]:
        """The rows on screen."""
        return tuple(row for row in self.rows if row.differs) if self.only_differences else self.rows

    @property
    def chosen(self) -> RowView | None:
        """The row under the cursor."""
        shown = self.shown
        return shown[self.cursor] if self.cursor < len(shown) else None

    def watch_rows(self) -> None:
        """Draw what differs from before."""
        self._take()

    def watch_only_differences(self) -> None:
        """Draw more or fewer rows."""
        self._take()

    def _take(self) -> None:
        self.count = len(self.shown)
        self.renew()
        self.post_message(self.Moved(self, self.cursor))

    def row(self, index: int) -> Content:
        """Mark, name, left, right; the two columns share what is left of the width."""
        row, glyphs = self.shown[index], glyphs_of(self.app)
        column = max(8, (self.width - _NAME - 8) // 2)
        differs = "!=" if glyphs.ascii_only else "≠ "
        style = "" if row.differs else "$quiet"
        return Content.assemble(
            self.lead(index),
            (differs if row.differs else "  ", "$verdict-unknown bold"),
            (f" {fit(visible(row.name), _NAME, glyphs)} ", "$quiet"),
            (f"{fit(visible(row.left), column, glyphs)}  {fit(visible(row.right), column, glyphs)}", style),
        )
