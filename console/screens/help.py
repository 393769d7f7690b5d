"""Help: all keys of the open screen, and the runbook's text about its task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.types import CSSPathType
from textual.widgets import Static

from console.screens.pushed import PushedScreen

if TYPE_CHECKING:
    from console.protocol import Console

if TYPE_CHECKING:
    pass

_STEPS = {
    "StagesScreen": (
        "Check Current Model State",
        "The current shadow and active model, and what blocks the next step.",
    ),
    "SoakScreen": (
        "3. Promote shadow to active, step 1",
        "Verify SLO compliance: 24h in shadow, p99, p99.9, errors.",
    ),
    "HistoryScreen": ("4. Rollback, step 2", "Identify the previous artifact_id from history."),
    "LogScreen": ("4. Rollback, step 8", "Post-incident: investigate the root cause."),
    "PromoteScreen": (
        "2. and 3. Promotion",
        "To shadow: verify PASS, unit tests PASS, no regressions in golden tests.\n"
        "To active, ALL REQUIRED: soak window, latency SLO, error rate, no alerts, dashboard review, explicit ACK.",
    ),
    "ReviewScreen": (
        "3. Promote shadow to active, step 3",
        "Dashboard review: baseline stable, no anomalies. What you type about it goes into the evidence.",
    ),
    "StageScreen": ("1. Add New Model to Staging", "Verify the artifact, update the registry, open a pull request."),
    "WithdrawScreen": ("Stages", "Staging or shadow is cleared, with a reason; active is only ever rolled back."),
    "RollbackScreen": ("4. Rollback active to previous", "Emergency: no ACK required. Expedited review, then deploy."),
    "KillScreen": ("Emergency Kill-Switch", "Disable all ML inference. If critical, before the rollback."),
    "ReleaseScreen": ("4. Rollback, step 7", "Disable the kill-switch if enabled."),
    "CompareScreen": ("Latency spike after promotion", "Compare model sizes; does the new model have more parameters?"),
}
"""The runbook's heading and text for each screen."""


class HelpScreen(PushedScreen):
    """Explains the screen below it. It changes nothing."""

    AUTO_FOCUS = "#keys"
    LEAVE = "Close"
    CSS_PATH: ClassVar[CSSPathType | None] = ["pushed.tcss", "help.tcss"]

    def body(self) -> ComposeResult:
        """One scroll of keys."""
        with VerticalScroll(id="keys"):
            yield Static(markup=False)

    def begin(self) -> None:
        """Read the keys of the screen below."""
        below = self.app.screen_stack[-2]
        heading, words = _STEPS.get(type(below).__name__, ("", ""))
        self.title_is("Keys of this screen", *([f"runbook: {heading}"] if heading else []))
        self.query_one("#keys Static", Static).update(Content("\n").join(self._rows(below, words)))

    def _rows(self, below: Screen[Any], words: str) -> Iterator[Content]:
        if words:
            yield from (Content.styled(words, "$quiet"), Content(""))
        own, everywhere = _split(self.console, below)
        for title, bindings in (("Here", own), ("Everywhere", everywhere)):
            if bindings:
                yield Content.styled(title, "bold")
                yield from (self._row(each) for each in bindings)
                yield Content("")

    def _row(self, alike: list[ActiveBinding]) -> Content:
        binding = alike[0].binding
        keys = " ".join(dict.fromkeys(self.app.get_key_display(each.binding) for each in alike))
        words = binding.tooltip + ("" if alike[0].enabled else " (not now)")
        return Content.assemble((f"  {keys:<10} ", "$primary bold"), f"{binding.description:<14} ", (words, "$quiet"))


def _split(console: Console, screen: Screen[Any]) -> tuple[list[list[ActiveBinding]], list[list[ActiveBinding]]]:
    """Split bindings into those of the screen and its focus, and the application's. Footer keys come first.

    Keys with the same action, such as an arrow and its vi letter, stand together.
    """
    once: dict[str, list[ActiveBinding]] = {}
    for each in screen.active_bindings.values():
        if each.binding.id and each.binding.tooltip and console.offers(each.binding.action):
            once.setdefault(each.binding.id, []).append(each)
    ordered = sorted(once.values(), key=lambda alike: not alike[0].binding.show)
    own = [alike for alike in ordered if alike[0].node is not screen.app]
    return own, [alike for alike in ordered if alike[0].node is screen.app]
