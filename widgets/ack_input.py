"""Input for a phrase that a person must type by hand, letter by letter, before something dangerous."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ml.text import visible

BURST_KEYS = 12
"""Characters in one burst that count as not typed by hand.

A burst of this length, or of a whole shorter phrase, is a paste without brackets or an answer of the terminal. A
shorter burst may be typed text that a slow line held back for a second.
"""

BURST_GAP_S = 0.01
"""Longest pause in seconds between two characters of a burst. Typing by hand takes five times as long."""

_OVERRUN = 8


class AckInput(Widget, can_focus=True):
    """Takes one exact phrase: nothing is trimmed, folded or completed, and a paste is refused.

    Enter does nothing until the phrase matches, and then confirms once. Typing another letter, or leaving the field and
    coming back, allows Enter again.
    """

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "confirm", "Confirm", id="ack.confirm", key_display="Enter",
                tooltip="Confirm the phrase, once it matches"),
    ]  # fmt: skip
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "ack-input--phrase",
        "ack-input--typed",
        "ack-input--wrong",
        "ack-input--cursor",
        "ack-input--hint",
    }
    DEFAULT_CSS = """
    AckInput {
        height: 3;
        .ack-input--phrase { text-style: bold; }
        .ack-input--wrong { text-style: underline; }
        .ack-input--cursor { text-style: reverse; }
        .ack-input--hint { color: $quiet; }
    }
    """

    typed: reactive[str] = reactive("")
    """The text typed so far."""

    class Changed(Message):
        """The typed text changed. ``matches`` is True when it is the phrase."""

        def __init__(self, ack_input: AckInput, matches: bool) -> None:
            super().__init__()
            self.ack_input = ack_input
            self.matches = matches

        @property
        def control(self) -> AckInput:
            """The field."""
            return self.ack_input

    class Confirmed(Message):
        """Enter was pressed on the matching phrase. Posted once per typing."""

        def __init__(self, ack_input: AckInput, phrase: str) -> None:
            super().__init__()
            self.ack_input = ack_input
            self.phrase = phrase

        @property
        def control(self) -> AckInput:
            """The field."""
            return self.ack_input

    def __init__(self, phrase: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._phrase = phrase
        self._refusal = ""
        self._confirmed = False
        self._last_key_at = float("-inf")
        self._burst = 0

    @property
    def phrase(self) -> str:
        """The phrase to type."""
        return self._phrase

    @property
    def matches(self) -> bool:
        """True when exactly the phrase was typed; False while there is no phrase."""
        return bool(self._phrase) and self.typed == self._phrase

    def ask(self, phrase: str) -> None:
        """Set another phrase, and clear the field."""
        self._phrase = phrase
        self.clear()
        self.refresh()

    def clear(self) -> None:
        """Clear the typed text."""
        self._refusal = ""
        self.typed = ""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Take letters before any binding sees them."""
        return character is not None and character.isprintable()

    def on_key(self, event: events.Key) -> None:
        """Take letters, Backspace and ^U. Other keys go on to their bindings."""
        if event.is_printable:
            assert event.character is not None
            self._take(event.character, event.time)
        elif event.key == "backspace":
            self._refusal = ""
            self.typed = self.typed[:-1]
        elif event.key == "ctrl+u":
            self.clear()
        else:
            return
        event.stop()
        event.prevent_default()

    def on_mount(self) -> None:
        """Follow the focus: the hint names the key that leads to this field."""
        self.watch(self.screen, "focused", self._focus_moved, init=False)

    def _focus_moved(self) -> None:
        self.refresh()

    def on_focus(self) -> None:
        """Allow Enter again. A held Enter never leaves the field, so it cannot come back to it."""
        self._confirmed = False

    def on_paste(self, event: events.Paste) -> None:
        """Refuse a paste: the acknowledgement only counts when it is typed."""
        event.stop()
        event.prevent_default()
        self._refuse("Paste is refused. Type the phrase by hand.")

    def _take(self, character: str, at: float) -> None:
        self._burst = self._burst + 1 if at - self._last_key_at < BURST_GAP_S else 1
        self._last_key_at = at
        if self._burst >= min(BURST_KEYS, len(self._phrase)):
            self._refuse("That was too fast for typing. Type the phrase by hand.")
        elif len(self.typed) < len(self._phrase) + _OVERRUN:
            self._refusal = ""
            self.typed += character

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer Enter only when the phrase matches."""
        return (True if self.matches else None) if action == "confirm" else True

    def action_confirm(self) -> None:
        """Confirm once. A held Enter does not confirm again."""
        if self.matches and not self._confirmed:
            self._confirmed = True
            self.post_message(self.Confirmed(self, self._phrase))

    def _refuse(self, why: str) -> None:
        self.typed = ""
        self._refusal = why
        self.refresh()

    def watch_typed(self) -> None:
        """Allow Enter again, and tell the screen."""
        self._confirmed = False
        self.refresh_bindings()
        self.post_message(self.Changed(self, self.matches))

    def render(self) -> Content:
        """Draw the phrase, the typed text below it, and the first difference."""
        right = self._right()
        typed = visible(self.typed)
        return Content.assemble(
            ("  " + visible(self._phrase) + "\n", ".ack-input--phrase"),
            ("> " if self.has_focus else "  "),
            (typed[:right], ".ack-input--typed"),
            (typed[right:], ".ack-input--wrong"),
            (" " if self.has_focus else "", ".ack-input--cursor"),
            ("\n  " + self._hint(right), ".ack-input--hint"),
        )

    def _way_here(self) -> str:
        """Return the key that moves the focus to this field."""
        chain, focused = self.screen.focus_chain, self.screen.focused
        behind = focused in chain and chain.index(self) < chain.index(focused)
        return "Shift+Tab" if behind else "Tab"

    def _right(self) -> int:
        """Return the number of letters from the start that agree with the phrase."""
        pairs = zip(self.typed, self._phrase, strict=False)
        return next((index for index, (ours, theirs) in enumerate(pairs) if ours != theirs), self._shorter())

    def _shorter(self) -> int:
        return min(len(self.typed), len(self._phrase))

    def _hint(self, right: int) -> str:
        if self._refusal:
            return self._refusal
        if self.matches:
            return "It matches. Enter confirms."
        if right < len(self.typed):
            return f"It differs from letter {right + 1} on. Backspace deletes, ^U clears."
        if not self.has_focus:
            return f"{self._way_here()} leads here. Then type it. Paste is refused."
        return f"{len(self.typed)} of {len(self._phrase)} letters. Paste is refused."
