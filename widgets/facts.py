"""Facts below each other: a quiet label, and a value that wraps beside it, never under it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from ml.text import visible

_NARROWEST = 8


@dataclass(frozen=True, slots=True)
class Fact:
    """One label and its value. Without a label the value takes the whole width: a headline, or a blank line."""

    label: str
    value: Content

    @classmethod
    def of(cls, label: str, value: str, style: str = "") -> Fact:
        """A fact from outside text, made visible."""
        return cls(label, Content.styled(visible(value), style))

    @classmethod
    def lines(cls, label: str, values: Iterable[str], style: str = "") -> Iterator[Fact]:
        """Several values under one label."""
        for number, value in enumerate(values):
            yield cls.of(label if number == 0 else " ", value, style)


class Facts(Widget):
    """Shows ``facts``; as high as they are, and gone while there are none."""

    DEFAULT_CSS = "Facts { height: auto; }"

    facts: reactive[tuple[Fact, ...]] = reactive((), layout=True)
    """What is shown, in order."""

    def __init__(self, *, id: str | None = None, label_width: int = 10) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._label_width = label_width

    def watch_facts(self, facts: tuple[Fact, ...]) -> None:
        """No facts take no room, and no margin either."""
        self.display = bool(facts)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as the values fill."""
        return sum(len(self._rows(fact, width)) for fact in self.facts)

    def render(self) -> Content:
        """All rows below each other."""
        return Content("\n").join([row for fact in self.facts for row in self._rows(fact, self.size.width)])

    def _rows(self, fact: Fact, width: int) -> list[Content]:
        if not fact.label:
            return fact.value.wrap(max(_NARROWEST, width)) if fact.value else [Content("")]
        room = max(_NARROWEST, width - self._label_width - 1)
        first, *rest = fact.value.wrap(room) or [Content("")]
        indent = " " * (self._label_width + 1)
        head = Content.styled(f"{fact.label:<{self._label_width}} ", "$quiet")
        return [head + first, *(Content(indent) + line for line in rest)]
