"""Pane of one stage: its artifact, its start, and whether engines really serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.message import Message
from textual.reactive import var

from ml.clock import age, hours
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Verdict
from widgets.drawing import Glyphs, bar, cut, fit_line, glyphs_of
from widgets.quiet_widget import Still

if TYPE_CHECKING:
    from datetime import datetime

    from ml.board import ModelView, SoakReport, StageView
    from ml.verdict import Reading

_SOUND = ("", "serving")
_SHORTEST_BAR = 4
_WHEN_UNKNOWN = "since an unknown time"
_WORDS = {
    Verdict.PASS: "SOAKED",
    Verdict.WAIT: "SOAKING",
    Verdict.FAIL: "BREACHED",
}


class StagePane(Still, can_focus=True):
    """A frame with the stage's name and state as its title. ``model`` is ``None`` until something is known."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    StagePane { height: 6; border: round $frame; text-wrap: nowrap; }
    """

    model: var[ModelView | None] = var(None)
    now: var[datetime | None] = var(None)
    checking: var[bool] = var(True)
    """True while only names are known: nothing may look good."""
    killed: var[bool] = var(False)
    """True when the kill switch is confirmed on every engine: nothing may look live."""

    class Chosen(Message):
        """The pane got the focus."""

        def __init__(self, pane: StagePane) -> None:
            super().__init__()
            self.pane = pane
            self.stage = pane.stage

        @property
        def control(self) -> StagePane:
            """The pane."""
            return self.pane

    def __init__(self, stage: Stage) -> None:
        super().__init__(id=stage.value, classes="box")
        self.stage = stage
        self.border_title = stage.value.upper()

    def watch_model(self, model: ModelView | None) -> None:
        """Put the state into the title."""
        state = "" if model is None or self.checking else _state(self.stage, model, killed=self.killed)
        dot = f" {glyphs_of(self.app).dot} "
        self.border_title = Content(dot.join(filter(None, (self.stage.value.upper(), state))))
        differs = model is not None and model.stage(self.stage).deployment not in _SOUND
        self.set_class(differs and not self.killed, "-differs")
        self.renew()

    def watch_now(self) -> None:
        """Update the times."""
        self.renew()

    def watch_checking(self) -> None:
        """Show no state in the title while it is unknown."""
        self.watch_model(self.model)

    def watch_killed(self) -> None:
        """Update the pane when the switch is confirmed, or no longer."""
        self.watch_model(self.model)

    def on_focus(self) -> None:
        """Tell the view which stage has the focus."""
        self.post_message(self.Chosen(self))

    def content(self) -> Content:
        """Artifact, time, deployment in words, instances."""
        if self.model is None or self.now is None:
            return Content.assemble(("reading the registry …", "$quiet"))
        glyphs = glyphs_of(self.app)
        shown = pane_lines if not self.killed else _stopped_lines
        lines = shown(self.stage, self.model, self.now, self.size.width, glyphs, checking=self.checking)
        return Content("\n").join([cut(line, self.size.width, glyphs) for line in lines])


def _stopped_lines(
    stage: Stage, model: ModelView, now: datetime, width: int, glyphs: Glyphs, *, checking: bool
) -> tuple[Content, ...]:
    """Return the lines of a pane under a confirmed kill: the artifact, and that it does nothing."""
    view = model.stage(stage)
    if checking or view.artifact_id is None or stage is Stage.STAGING:
        return pane_lines(stage, model, now, width, glyphs, checking=checking)
    name = Content.assemble((visible(view.artifact_id, limit=80), "bold"))
    number = len(view.serving)
    engines = f"{number} engine{'s' if number != 1 else ''} blocked" if number else "no engine reports"
    return name, Content.styled("stopped by the kill", "$verdict-bad bold"), Content.styled(engines, "$quiet")


def pane_lines(
    stage: Stage, model: ModelView, now: datetime, width: int, glyphs: Glyphs, *, checking: bool
) -> tuple[Content, ...]:
    """Return the lines of a pane, most important first."""
    view = model.stage(stage)
    if view.artifact_id is None:
        return (Content.assemble(("(empty)", "$quiet")),)
    name = Content.assemble((visible(view.artifact_id, limit=80), "bold"))
    if checking:
        return name, Content.assemble(("checking …", "$quiet"))
    if stage is Stage.STAGING:
        return name, _since_line(view, now), _by(view, width, glyphs), Content.assemble((visible(view.notes), "$quiet"))
    if stage is Stage.ACTIVE:
        return name, *_live_lines(model, now, glyphs)
    soak = model.soak
    when = _soak_line(soak, width, glyphs) if soak is not None else _since_line(view, now)
    return name, when, *_engines(view, model.silent)


def _live_lines(model: ModelView, now: datetime, glyphs: Glyphs) -> tuple[Content, ...]:
    """Return the lines of the live artifact: a breached objective first; for a good artifact, its values come last."""
    view = model.active
    usual = (_since_line(view, now), *_engines(view, model.silent))
    if model.breaching:
        return (_reading(model.breaching[0], glyphs), *usual)
    sound = not model.silent and view.deployment in _SOUND and all(serving.up is not False for serving in view.serving)
    shown = next((each for each in _unwell_first(model) if each.limit is not None and each.gate), None)
    return (*usual[:2], _reading(shown, glyphs)) if sound and view.serving and shown is not None else usual


def _unwell_first(model: ModelView) -> list[Reading]:
    """Return the live artifact's readings, worst first."""
    return sorted(model.active_readings, key=lambda reading: reading.verdict.opens)


def _reading(reading: Reading, glyphs: Glyphs) -> Content:
    """Return word and value: ``✗ FAIL p99 182 ms``. Only a failure is loud."""
    from ml.units import amount  # noqa: PLC0415 nothing of the first frame is judged
    from widgets.drawing import MARKS  # noqa: PLC0415 nothing of the first frame is judged

    mark = MARKS[reading.verdict]
    word = mark.text(ascii_only=glyphs.ascii_only).rstrip()
    value = amount(reading.value, reading.unit, limit=reading.limit) if reading.value is not None else ""
    color = mark.color if reading.verdict is Verdict.FAIL else "$quiet"
    return Content.styled(f"{word} {visible(reading.name, limit=40)} {value}".rstrip(), color)


def _state(stage: Stage, model: ModelView, *, killed: bool) -> str:
    view = model.stage(stage)
    if view.artifact_id is None or stage is Stage.STAGING:
        return ""
    if killed:
        return "KILLED"
    if stage is Stage.SHADOW:
        from ml.judgement import soak_verdict  # noqa: PLC0415 nothing of the first frame is judged

        verdict = soak_verdict(model)
        return _WORDS.get(verdict, "UNJUDGED") if verdict is not None else ""
    return _live_state({serving.active_on for serving in view.serving if not model.silent})


def _live_state(levels: set[float | None]) -> str:
    """Return whether the answering instances decide trades."""
    if levels == {1.0}:
        return "LIVE"
    if 1.0 in levels:
        return "PARTLY LIVE"
    return "OFF" if 0.0 in levels else "UNKNOWN"


def _soak_line(soak: SoakReport, width: int, glyphs: Glyphs) -> Content:
    words = f"soak {hours(soak.elapsed_s)}/{hours(soak.required_s)}"
    share = soak.elapsed_s / soak.required_s if soak.required_s else None
    room = width - len(words) - 1
    drawn = bar(share, room, glyphs) if room >= _SHORTEST_BAR else ""
    return Content.assemble(words, " ", (drawn, "$quiet"))


def _since_line(view: StageView, now: datetime) -> Content:
    since = f"for {age(view.served_since or view.since, now)}" if view.served_since or view.since else _WHEN_UNKNOWN
    if view.served_since is None and view.since is not None and view.deployment not in _SOUND:
        return Content(f"landed {age(view.since, now)} ago")  # It has not served for that long.
    levels = {serving.active_on for serving in view.serving if serving.active_on is not None}
    on = f"  active_on={min(levels):g}" if view.stage is Stage.ACTIVE and levels else ""
    return Content(since + on)


def _by(view: StageView, width: int, glyphs: Glyphs) -> Content:
    person = visible(view.by)
    lines = (Content.styled(words, "$quiet") for words in (f"by {person}" if person else "", person))
    return fit_line(lines, width, glyphs)


def _engines(view: StageView, silent: str) -> tuple[Content, Content]:
    """Return whether engines serve it, and how many. While the source is silent, return the last known number."""
    if not silent or not view.serving:
        return _deployment(view), _instances(view)
    last = f"last seen: {visible(view.deployment) or 'not known'}"
    return Content.styled(last, "$quiet"), Content.styled(f"{len(view.serving)} seen before", "$quiet")


def _deployment(view: StageView) -> Content:
    if not view.deployment:
        return Content.assemble(("serving: not known", "$quiet"))
    return Content.assemble((visible(view.deployment), "" if view.deployment in _SOUND else "$verdict-bad bold"))


def _instances(view: StageView) -> Content:
    if not view.serving:
        return Content.assemble(("no instance reports", "$quiet"))
    down = sum(serving.up is False for serving in view.serving)
    number = len(view.serving)
    words = f"{number} instance{'s' if number > 1 else ''}"
    if down:
        return Content.assemble(f"{words}, ", (f"{down} down", "$verdict-bad bold"))
    return Content.assemble((f"{words} up", "$quiet"))
