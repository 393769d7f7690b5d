"""Asks for the reason of one waiver."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from ml.text import visible
from ml.verdict import Gate
from widgets.line_input import LineInput


class WaiveScreen(ModalScreen[str | None]):
    """Closes with the typed reason, or with ``None`` when the gate is not to be waived."""

    AUTO_FOCUS = "#cancel"
    CSS_PATH = "waive.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="waive.leave", tooltip="Leave the gate as it is"),
    ]

    def __init__(self, gate: Gate, reason: str = "") -> None:
        """Ask about a gate; ``reason`` is what was typed before, which an empty field takes back."""
        super().__init__()
        self._gate = gate
        self._reason = reason

    def compose(self) -> ComposeResult:
        """What is waived, and the field for why."""
        with Vertical(id="dialog", classes="box") as box:
            box.border_title = f"Waive {visible(self._gate.name)}"
            yield Static(f"{self._gate.verdict}: {visible(self._gate.why)}", markup=False)
            yield Static(
                "The waiver, your name and this reason go into the registry, the evidence and the pull request.",
                classes="quiet",
            )
            yield LineInput(self._reason, id="why", placeholder="Why may this gate stay closed?", max_length=500)
            with Horizontal(id="choices"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Waive", id="waive", compact=True, disabled=not self._reason)

    def on_input_changed(self, event: Input.Changed) -> None:
        """A waiver without a reason is none."""
        event.stop()
        waive = self.query_one("#waive", Button)
        waive.disabled = not event.value.strip() and not self._reason
        waive.label = "Take back" if self._reason and not event.value.strip() else "Waive"

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Close with the reason, or without."""
        event.stop()
        self.dismiss(self.query_one(Input).value.strip() if event.button.id == "waive" else None)

    def action_leave(self) -> None:
        """Close without a waiver."""
        self.dismiss(None)
