"""Receipt ladder: the proof of a kill or a release, instance by instance, and the manual steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from ml.board import InstanceReceipt, KillView, Rung
from ml.clock import span
from ml.text import visible
from widgets.drawing import Glyphs, glyphs_of

if TYPE_CHECKING:
    from datetime import datetime

_RUNGS = (Rung.REQUESTED, Rung.WRITTEN, Rung.APPLIED, Rung.CONFIRMED)
_SEVERAL = 3
"""Number of deliveries from which they are counted. One or two are named on the problem line."""
_MOST_FAILED = 20
_OPEN = (Rung.UNCONFIRMED, Rung.UNPROVEN)
_LADDER = 51
"""Cells of the four rungs and of the seconds behind them."""
_FAILED = "$verdict-bad bold"


def summary(view: KillView) -> str:
    """Summarize the proof: ``CONFIRMED 3 of 4``, ``WRITTEN, none of 4 confirmed``.

    Without any answering instance, only the rung.
    """
    if not view.engines:
        return str(view.rung)
    if not view.proven:
        return f"{view.rung}, none of {view.engines} confirmed"
    return f"CONFIRMED {view.proven} of {view.engines}"


class ReceiptLadder(Widget):
    """Shows ``view``: one ladder per instance, REQUESTED to CONFIRMED, with seconds and the observation."""

    DEFAULT_CSS = "ReceiptLadder { height: auto; }"

    view: reactive[KillView | None] = reactive(None, layout=True)
    """The switch as last read; ``None`` until the first answer."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as are drawn."""
        return len(ladder_rows(self.view, width, glyphs_of(self.app)))

    def render(self) -> Content:
        """Draw all rows."""
        return Content("\n").join(ladder_rows(self.view, self.size.width, glyphs_of(self.app)))


def ladder_rows(view: KillView | None, width: int, glyphs: Glyphs) -> list[Content]:
    """Return headline, manual steps, then one ladder per instance, unconfirmed ones first."""
    if view is None:
        return [Content.styled(f"Engaging the switch {glyphs.ellipsis}", "bold")]
    rows = [*_head(view, width, glyphs), *_manual(view, width), *_failed(view, width, glyphs)]
    if view.rung is Rung.IDLE:
        return rows
    rows.append(Content(""))
    if not view.instances:
        rows += _folded("No engine instance answers, so nothing can be confirmed from metrics.", width)
        return rows
    room = max(cell_len(visible(receipt.instance)) for receipt in view.instances)
    for receipt in sorted(view.instances, key=lambda each: each.rung not in _OPEN):
        rows += _ladder(view, receipt, room, width, glyphs)
    if view.engines > len(view.instances):
        rows += _folded(f"and {view.engines - len(view.instances)} more engines; the worst are named above", width)
    return rows


def _head(view: KillView, width: int, glyphs: Glyphs) -> list[Content]:
    failed = view.rung in _OPEN or bool(view.problem)
    rows = [Content.styled(f"{_what(view)} {summary(view)}", _FAILED if failed else "bold")]
    facts = (
        f"requested {_hms(view.requested_at)}" if view.requested_at else "",
        f"by {visible(view.by)}" if view.by else "",
        visible(view.reason),
    )
    rows += _folded(f" {glyphs.dot} ".join(filter(None, facts)), width) if any(facts) else []
    rows += _folded(visible(view.beside), width, "bold") if view.beside else []
    return rows + (_folded(visible(view.problem), width, _FAILED) if view.problem else [])


def _manual(view: KillView, width: int) -> list[Content]:
    if not view.manual:
        return []
    rows = [Content(""), Content.styled("By hand, now:", _FAILED)]
    for number, step in enumerate(view.manual, start=1):
        first, *rest = _folded(visible(step), width - 4, "")
        rows += [Content(f" {number}. ") + first, *(Content("    ") + line for line in rest)]
    return rows


def _failed(view: KillView, width: int, glyphs: Glyphs) -> list[Content]:
    """Return the number of successful deliveries and each failed one, when there are several actuators."""
    if len(view.deliveries) < _SEVERAL:
        return []
    open_ones = [each for each in view.deliveries if not each.done]
    done = len(view.deliveries) - len(open_ones)
    rows = [Content(""), Content.styled(f"Delivered by {done} of {len(view.deliveries)} actuators.", "bold")]
    mark = "x" if glyphs.ascii_only else "✗"
    for each in open_ones[:_MOST_FAILED]:
        rows += _folded(f" {mark} {visible(each.name)}: {visible(each.why)}", width, _FAILED)
    if len(open_ones) > _MOST_FAILED:
        rows += _folded(f" and {len(open_ones) - _MOST_FAILED} more; `mlconsole kill status --json` names each", width)
    return rows


def _ladder(view: KillView, receipt: InstanceReceipt, room: int, width: int, glyphs: Glyphs) -> list[Content]:
    """Return one instance's ladder, with its observation behind or below it. A long name takes a line of its own."""
    steps = Content(" ").join([_step(rung, view, receipt, glyphs) for rung in _RUNGS])
    ladder = Content.assemble(steps, (f" {_after(view, receipt):<5}", "$quiet"))
    name, why = Content.styled(visible(receipt.instance), "bold"), Content.styled(visible(receipt.why), "$quiet")
    if room + 1 + _LADDER > width:
        return [*Content.assemble(name, "  ", why).wrap(max(1, width)), Content("  ") + ladder]
    row = Content.assemble(name, " " * (room - name.cell_length + 1), ladder)
    if row.cell_length + 1 + why.cell_length <= width:
        return [Content.assemble(row, " ", why)]
    return [row, *(Content(" " * (room + 1)) + line for line in why.wrap(max(1, width - room - 1)))]


def _step(rung: Rung, view: KillView, receipt: InstanceReceipt, glyphs: Glyphs) -> Content:
    """Return one rung, padded so that ladders align: a reached one in capitals, an open one in small letters."""
    reached = receipt.rung in _RUNGS and _RUNGS.index(rung) <= _RUNGS.index(receipt.rung)
    if receipt.rung in _OPEN:
        if rung is Rung.CONFIRMED:
            word = f"{receipt.rung:<{len(Rung.UNCONFIRMED)}}"
            return Content.styled(f"{'x' if glyphs.ascii_only else '✗'} {word}", _FAILED)
        if rung is Rung.APPLIED:
            return Content.styled("? APPLIED", "$quiet")
        reached = rung is Rung.REQUESTED or view.written or view.by_engines
    width = len(Rung.UNCONFIRMED if rung is Rung.CONFIRMED else rung)
    if reached:
        return Content.styled(f"{'+' if glyphs.ascii_only else '●'} {rung:<{width}}", "$verdict-good")
    return Content.styled(f"{'.' if glyphs.ascii_only else '○'} {rung.lower():<{width}}", "$quiet")


def _what(view: KillView) -> str:
    if view.rung is Rung.IDLE:
        return "KILL SWITCH"
    return "RELEASE" if view.releases else "KILL"


def _after(view: KillView, receipt: InstanceReceipt) -> str:
    """Return the seconds from the request to the rung."""
    if receipt.at is None or view.requested_at is None:
        return ""
    return f"+{span((receipt.at - view.requested_at).total_seconds())}"


def _hms(moment: datetime) -> str:
    return moment.strftime("%H:%M:%SZ")


def _folded(text: str, width: int, style: str = "$quiet") -> list[Content]:
    return Content.styled(text, style).wrap(max(1, width)) if text else [Content("")]
