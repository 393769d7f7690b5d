"""Comparison of two artifacts side by side: composition, latency, and share of different decisions (contract §3)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.types import CSSPathType
from textual.widgets import Static

from console.screens.pushed import PushedScreen
from ml.text import visible
from ml.verdict import Verdict
from widgets.drawing import MARKS, glyphs_of, progress_words
from widgets.facts import ComparisonRows, RowView
from widgets.row_list import RowList

if TYPE_CHECKING:
    from ml.artifacts.compare import Comparison
    from ml.artifacts.protocol import Decided
    from ml.ports import Progress


_WORK = "Verifying both artifacts, then running both on the same inputs. This takes a minute at most."


def _decided(decided: Decided) -> Iterator[str]:
    """Show how the two answer the same inputs, for one output."""
    # Imported here: the screen's module must not wait for it.
    from ml.artifacts.compare import disagreement_of, measured_lines, one_answer  # noqa: PLC0415

    share = disagreement_of(decided)
    if share is None:
        yield one_answer(decided)
        return
    shown = f"{share:.2%} of {decided.rows:,} common inputs"
    if decided.confusion:
        yield f"Decisions differ on {shown}; first down, second across:"
    else:
        yield f"{decided.output} differs on {shown}:"
    yield from measured_lines(decided)


class CompareScreen(PushedScreen):
    """Verifies two artifact directories and shows them side by side.

    Args:
        a: artifact directory relative to the repository root, the newer or the candidate.
        b: the one that it is compared with.
    """

    AUTO_FOCUS = "ComparisonRows"
    LEAVE = "Close"
    CSS_PATH: ClassVar[CSSPathType | None] = ["pushed.tcss", "compare.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "differences", "Differences", id="compare.differences", tooltip="Only rows that differ, or all"),
    ]

    def __init__(self, a: str, b: str) -> None:
        super().__init__()
        self._a = a
        self._b = b

    def body(self) -> ComposeResult:
        """Return the rows, the full values of the chosen row, and the findings."""
        yield ComparisonRows()
        yield Static(id="whole", markup=False)
        yield Static(id="findings", markup=False)

    def begin(self) -> None:
        """Start the comparison."""
        self.title_is("Compare artifacts", self._a, self._b)
        self.say(_WORK)
        session = self.console.session
        self.work(
            "compare",
            lambda: session.artifacts.compare(self._a, self._b, self._report),
            self._show,
            self.complain,
        )

    def _report(self, progress: Progress) -> None:
        """Report progress; called on the comparing thread."""
        self.post_message(self.Settled(partial(self._show_progress, progress)))

    def _show_progress(self, progress: Progress) -> None:
        self.say(f"{_WORK} Now: {progress_words(progress)}")

    def _show(self, comparison: Comparison) -> None:
        self.say("")
        rows = self.query_one(ComparisonRows)
        rows.rows = tuple(RowView(row.name, row.left, row.right) for row in comparison.rows)
        self.query_one("#findings", Static).update(Content("\n").join(self._findings(comparison)))

    def _findings(self, comparison: Comparison) -> Iterator[Content]:
        plain = glyphs_of(self.app).ascii_only
        if comparison.latency:
            check = comparison.latency.check
            mark = MARKS[check.verdict]
            yield Content.assemble((mark.text(ascii_only=plain), mark.color), " latency  ", visible(check.why))
        for decided in comparison.all_decided:
            yield from (Content(visible(line)) for line in _decided(decided))
        if comparison.why:
            yield Content.styled(visible(comparison.why), MARKS[Verdict.FAIL].color)

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Show the chosen row's values in full: a digest does not fit a column."""
        message.stop()
        chosen = self.query_one(ComparisonRows).chosen
        whole = (chosen.name, f"  {chosen.left}", f"  {chosen.right}") if chosen else ()
        self.query_one("#whole", Static).update(Content("\n".join(map(visible, whole))))
        self.refresh_bindings()

    @property
    def copyable(self) -> str:
        """Return the chosen row."""
        chosen = self.query_one(ComparisonRows).chosen if self.is_mounted else None
        return f"{chosen.name}: {chosen.left} {chosen.right}" if chosen else ""

    def action_differences(self) -> None:
        """Show only the rows that differ, or all of them."""
        rows = self.query_one(ComparisonRows)
        rows.only_differences = not rows.only_differences
