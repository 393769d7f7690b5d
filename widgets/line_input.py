"""One line of typed text that is quiet on the line: its cursor does not blink."""

from __future__ import annotations

from textual.widgets import Input


class LineInput(Input):
    """A compact input. A blinking cursor would repaint twice a second for as long as somebody thinks."""

    def __init__(self, value: str = "", *, id: str, max_length: int, placeholder: str = "") -> None:  # noqa: A002
        super().__init__(value, id=id, max_length=max_length, placeholder=placeholder, compact=True)
        self.cursor_blink = False
