"""Header of every screen: environment, registry, freshness of the data, and the kill switch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content
from textual.reactive import reactive, var
from textual.widget import Widget

from ml.board import SourceState
from ml.clock import age
from ml.text import visible
from widgets.drawing import Glyphs, cut, glyphs_of
from widgets.quiet_widget import Still

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ml.board import KillView, Source


_SHORT = 7
_SHORTEST_MODEL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Content of the header.

    ``commit`` is empty until the registry was read, ``kill`` is ``None`` until the switch was.
    """

    environment: str
    production: bool
    read_only: bool
    model: str = ""
    ref: str = ""
    commit: str = ""
    fetched: Source
    prometheus: Source
    kill: KillView | None = None


class StatusLine(Still):
    """Header line of every screen. It follows the application's reactives ``status`` and ``now``.

    ``model`` is the screen's own model. When it is empty, the model chosen in the views is shown.
    """

    DEFAULT_CSS = """
    StatusLine { height: 1; dock: top; text-wrap: nowrap; }
    """

    status: var[Status | None] = var(None)
    now: var[datetime | None] = var(None)

    def __init__(self, model: str = "") -> None:
        super().__init__()
        self._model = model

    def on_mount(self) -> None:
        """Follow the application."""
        for name in ("status", "now"):
            if hasattr(self.app, name):
                self.watch(self.app, name, self._follow(name))

    def _follow(self, name: str) -> Callable[[object], None]:
        return lambda value: setattr(self, name, value)

    def watch_status(self) -> None:
        """Show the new status."""
        self.renew()

    def watch_now(self) -> None:
        """Update the ages."""
        self.renew()

    def content(self) -> Content:
        """Return the line. On a narrow terminal the least important parts go first."""
        if self.status is None or self.now is None:
            return Content("")
        status = replace(self.status, model=self._model) if self._model else self.status
        return status_content(status, self.now, self.size.width, glyphs_of(self.app))


def status_content(status: Status, now: datetime, width: int, glyphs: Glyphs) -> Content:
    """Return the header in ``width`` cells. Parts are dropped in this order: ref, blanks, model name."""
    for ref, rule in ((True, f" {glyphs.rule} "), (False, f" {glyphs.rule} "), (False, glyphs.rule)):
        parts = [_place(status), *_sources(status, now, ref=ref), _kill(status), Content(f"{now:%H:%M:%S}Z")]
        room = width - sum(part.cell_length for part in parts) - len(parts) * len(rule)
        model = Content(visible(status.model, limit=80) or "-")
        if model.cell_length <= room:
            break
    else:
        model = cut(model, max(_SHORTEST_MODEL, room), glyphs)
    return cut(Content.assemble((rule, "$faint")).join([parts[0], model, *parts[1:]]), width, glyphs)


def _place(status: Status) -> Content:
    mode = ("RO", "$verdict-unknown bold") if status.read_only else ("RW", "")
    if status.production:
        return Content.assemble(("!PROD!", "bold reverse"), " ", mode)
    return Content.assemble((visible(status.environment, limit=12), "bold"), " ", mode)


def _sources(status: Status, now: datetime, *, ref: bool) -> tuple[Content, Content]:
    name = visible(status.ref.rpartition("/")[2], limit=20)
    where = f"{name}@" if ref and name else ""
    commit = status.commit[:_SHORT]
    base = Content.assemble(
        (where, "$quiet"), visible(commit) if commit else "no commit", " ", _age(status.fetched, now)
    )
    return base, Content.assemble(("prom ", "$quiet"), _state(status.prometheus), _age(status.prometheus, now))


def _state(source: Source) -> tuple[str, str]:
    if source.state is SourceState.UNKNOWN:
        return "checking", "$quiet"
    sound = source.state in (SourceState.OK, SourceState.UNASKED)
    return f"{source.state} ", "" if sound else "$verdict-bad bold"


def _age(source: Source, now: datetime) -> tuple[str, str]:
    if source.state in (SourceState.UNKNOWN, SourceState.UNASKED):
        return "", ""
    if source.state is SourceState.NONE:
        return "local" if source.name != "prometheus" else "", "$quiet"
    loud = source.state is not SourceState.OK
    return age(source.as_of, now), "$verdict-bad bold" if loud else "$quiet"


def _kill(status: Status) -> Content:
    kill = status.kill
    if kill is None:
        return Content.assemble(("KILL …", "$quiet"))
    if kill.off:
        return Content.assemble(("KILL ", "$quiet"), "off")
    unknown = kill.unwritten or kill.engaged is None
    word = "KILL ?" if unknown else "RELEASING" if kill.releasing else "KILL ON"
    return Content.assemble((word, "$verdict-bad bold reverse"))


# Footer: up to eight keys, and the open view.

MOST_KEYS = 8

_ALWAYS = 3
"""Keys at the end that stay on a narrow terminal: quit, kill and help."""


class KeyHint(NamedTuple):
    """One key with its label. ``here``: its view is open; ``loud``: an emergency key."""

    key: str
    label: str
    here: bool = False
    loud: bool = False


class KeyLine(Widget):
    """Shows ``keys`` in their order."""

    DEFAULT_CSS = """
    KeyLine { height: 1; dock: bottom; text-wrap: nowrap; }
    """

    keys: reactive[tuple[KeyHint, ...]] = reactive(())

    def render(self) -> Content:
        """Draw each key with its label."""
        parts = [_hint(hint) for hint in self.keys[:MOST_KEYS]]
        line = Content("  ").join(parts)
        while line.cell_length > self.size.width and len(parts) > _ALWAYS:
            del parts[-_ALWAYS - 1]
            line = Content("  ").join(parts)
        return cut(line, self.size.width, glyphs_of(self.app))


def _hint(hint: KeyHint) -> Content:
    if hint.here:
        return Content.assemble((f"{hint.key} {hint.label}", "bold reverse"))
    return Content.assemble((hint.key, "$verdict-bad bold" if hint.loud else "$primary bold"), " ", hint.label)
