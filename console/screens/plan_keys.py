"""The keys of a screen that shows a plan: its tabs, and scrolling in them while Cancel keeps the focus."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from console.screens.promote_pages import PlanPage
from console.screens.pushed import PushedScreen


class PlanScreen(PushedScreen):
    """A pushed screen with one `PlanPage`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "tab(-1)", "Tab left", show=False, id="plan.left", tooltip="The plan's tab to the left"),
        Binding("right", "tab(1)", "Next tab", id="plan.right", tooltip="The plan's tab to the right"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="plan.up", tooltip="Scroll the plan up"),
        Binding("pagedown", "page(1)", "Scroll", id="plan.down", tooltip="Scroll the plan down"),
    ]

    def action_tab(self, by: int) -> None:
        """Turn to another tab of the plan."""
        self.query_one(PlanPage).turn(by)

    def action_page(self, by: int) -> None:
        """Scroll the plan's tab."""
        self.query_one(PlanPage).scroll_pages(by)
