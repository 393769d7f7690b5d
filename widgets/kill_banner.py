"""One loud line on every screen while the kill switch is not off: engaged, unclear, or released without proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ml.text import visible
from widgets.cut import cut
from widgets.glyphs import glyphs_of

if TYPE_CHECKING:
    from ml.board import KillView


class KillBanner(Widget):
    """Hidden while the switch is known to be off."""

    DEFAULT_CSS = """
    KillBanner {
        height: 1;
        padding: 0 1;
        display: none;
        &.-on { display: block; }
    }
    """

    view: reactive[KillView | None] = reactive(None)
    """The switch as last read; ``None`` before the first reading, which is no reason for alarm."""

    def on_mount(self) -> None:
        """Take the one alarm style that every screen shares."""
        self.add_class("alarm")

    def watch_view(self, view: KillView | None) -> None:
        """Appear and disappear with the state."""
        self.set_class(view is not None and not view.off, "-on")

    def render(self) -> Content:
        """State, proof, key, time and person: what matters first, because a narrow terminal cuts from the right."""
        glyphs = glyphs_of(self.app)
        return cut(Content(f" {glyphs.dot} ".join(self._words())), self.size.width, glyphs)

    def _words(self) -> tuple[str, ...]:
        view = self.view
        if view is None:
            return ()
        if view.unwritten:
            return ("KILL NOT WRITTEN", "the engines may not know", "do it by hand: F9 shows how")
        if view.engaged is None:
            if view.unclear:
                return ("KILL UNCLEAR", "engines read the kill file differently", "F9 on, U off")
            return (f"KILL STATE UNKNOWN: {visible(view.problem) or 'the kill file cannot be read.'}",)
        return tuple(filter(None, _state(view)))


def _state(view: KillView) -> tuple[str, ...]:
    # Imported here: the first frame knows nothing of receipts.
    from widgets.receipt_ladder import summary  # noqa: PLC0415

    since = f"since {view.requested_at:%H:%M:%SZ}" if view.requested_at else ""
    by = f"by {visible(view.by)}" if view.by else ""
    who = f"{since} {by}".strip()
    if view.releasing:
        return "RELEASE NOT PROVEN", summary(view), who
    if view.by_engines:
        file = "this clone's file is unclear" if view.unclear else "this clone's file says off"
        return f"KILL ON by {view.proven} of {view.engines} engines", file, "U releases"
    return "KILL SWITCH ENGAGED", summary(view), who
