"""The receipt ladder: how far a kill or a release is proven, instance by instance, and what to do by hand."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from ml.board import InstanceReceipt, KillView, Rung
from ml.clock import span
from ml.text import visible

_RUNGS = (Rung.REQUESTED, Rung.WRITTEN, Rung.APPLIED, Rung.CONFIRMED)
_NAME_AT_MOST = 28
_NAME_AT_LEAST = 12
_LADDER = 50


def summary(view: KillView) -> str:
    """How far the switch is proven, in a few words: ``CONFIRMED 3 of 4``; just the rung where nobody answers."""
    if not view.instances:
        return str(view.rung)
    confirmed = sum(receipt.rung is Rung.CONFIRMED for receipt in view.instances)
    rung = "CONFIRMED" if confirmed else str(view.rung)
    return f"{rung} {confirmed} of {len(view.instances)}"


class ReceiptLadder(Widget):
    """Shows ``view``: one ladder per instance, REQUESTED to CONFIRMED, with the moment and the observation."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "ladder--reached",
        "ladder--open",
        "ladder--failed",
        "ladder--quiet",
        "ladder--title",
    }
    DEFAULT_CSS = """
    ReceiptLadder {
        height: auto;
        .ladder--reached { color: $verdict-good; }
        .ladder--open { color: $quiet; }
        .ladder--failed { color: $verdict-bad; text-style: bold; }
        .ladder--quiet { color: $quiet; }
        .ladder--title { text-style: bold; }
    }
    """

    view: reactive[KillView | None] = reactive(None, layout=True)
    """The switch as last read back; ``None`` until the first answer."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as are drawn."""
        return len(self._rows(width))

    def render(self) -> Content:
        """The rows below each other."""
        return Content("\n").join(self._rows(self.size.width))

    def _rows(self, width: int) -> list[Content]:
        view = self.view
        if view is None:
            return [Content.styled("Throwing the switch …", ".ladder--title")]
        rows = [*self._head(view, width), Content("")]
        if not view.instances and view.rung is not Rung.IDLE:
            rows += _folded("No engine instance answers, so nothing can be confirmed from metrics.", width)
        for receipt in view.instances:
            rows += self._ladder(view, receipt, width)
        return [*rows, *self._manual(view, width)]

    def _head(self, view: KillView, width: int) -> list[Content]:
        what = _what(view)
        failed = view.rung is Rung.UNCONFIRMED or bool(view.problem)
        rows = [Content.styled(f"{what} {summary(view)}", ".ladder--failed" if failed else ".ladder--title")]
        if view.requested_at:
            by = f" by {visible(view.by)}" if view.by else ""
            rows.append(Content.styled(f"requested {_hms(view.requested_at)}{by}", ".ladder--quiet"))
        if view.reason:
            rows += _folded(f"reason: {visible(view.reason)}", width)
        if view.problem:
            rows += _folded(visible(view.problem), width, ".ladder--failed")
        return rows

    def _ladder(self, view: KillView, receipt: InstanceReceipt, width: int) -> list[Content]:
        longest = max(cell_len(visible(each.instance)) for each in view.instances)
        room = max(_NAME_AT_LEAST, min(longest, _NAME_AT_MOST, width - _LADDER - 14))
        name = set_cell_size(visible(receipt.instance), room)
        steps = Content("  ").join([self._step(rung, view, receipt) for rung in _RUNGS])
        rows = [Content.assemble((name + "  ", ".ladder--title"), steps, (_moment(view, receipt), ".ladder--quiet"))]
        if receipt.why:
            rows += [Content(" " * (room + 2)) + line for line in _folded(visible(receipt.why), width - room - 2)]
        return rows

    def _step(self, rung: Rung, view: KillView, receipt: InstanceReceipt) -> Content:
        plain = self.app.has_class("-ascii")
        if receipt.rung is Rung.UNCONFIRMED:
            if rung is Rung.CONFIRMED:
                return Content.styled(f"{'x' if plain else '✗'} UNCONFIRMED", ".ladder--failed")
            if rung is Rung.APPLIED:
                return Content.styled("? APPLIED", ".ladder--open")
            reached = rung is Rung.REQUESTED or not view.problem
        else:
            reached = receipt.rung in _RUNGS and _RUNGS.index(rung) <= _RUNGS.index(receipt.rung)
        if reached:
            return Content.styled(f"{'+' if plain else '●'} {rung}", ".ladder--reached")
        return Content.styled(f"{'.' if plain else '○'} {rung.lower()}", ".ladder--open")

    def _manual(self, view: KillView, width: int) -> list[Content]:
        if not view.manual:
            return []
        rows = [Content(""), Content.styled("By hand, now:", ".ladder--failed")]
        for number, step in enumerate(view.manual, start=1):
            first, *rest = _folded(visible(step), width - 4, "")
            rows += [Content(f" {number}. ") + first, *(Content("    ") + line for line in rest)]
        return rows


def _what(view: KillView) -> str:
    if view.rung is Rung.IDLE:
        return "KILL SWITCH"
    return "RELEASE" if view.engaged is False else "KILL"


def _moment(view: KillView, receipt: InstanceReceipt) -> str:
    if receipt.at is None:
        return ""
    after = f" +{span((receipt.at - view.requested_at).total_seconds())}" if view.requested_at else ""
    return f"  {_hms(receipt.at)}{after}"


def _hms(moment: datetime) -> str:
    return moment.strftime("%H:%M:%SZ")


def _folded(text: str, width: int, style: str = ".ladder--quiet") -> list[Content]:
    return Content.styled(text, style).wrap(max(1, width)) if text else [Content("")]
