"""Pages of the promotion wizard. They show values and take text; decisions are made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Input, Label, Log, Static, TabbedContent, TabPane

from console.screens.pushed import PushedScreen
from ml.clock import age, format_utc
from ml.promotion.rungs import Ladder
from ml.promotion.values import Checklist, Plan, Target
from ml.records.drafts import Draft
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Gate
from widgets.ack_input import AckInput
from widgets.checklist import ChecklistView
from widgets.diff_view import DiffView
from widgets.drawing import glyphs_of
from widgets.facts import Fact, Facts
from widgets.quiet_widget import LineInput, TextView

_OUTPUT_LINES = 2000


class StepPage(Vertical):
    """Offers the possible steps when there is more than one."""

    class Chosen(Message):
        """A step was chosen."""

        def __init__(self, to_stage: Stage) -> None:
            super().__init__()
            self.to_stage = to_stage

    def compose(self) -> ComposeResult:
        """The question; `offer` adds the answers."""
        yield Label("Which step?")

    def offer(self, steps: tuple[tuple[Stage, str], ...]) -> None:
        """Show one button per step, with the stages and the artifact."""
        arrow = glyphs_of(self.app).arrow
        for to_stage, artifact_id in steps:
            label = Content(f"{to_stage.below} {arrow} {to_stage}   {visible(artifact_id)}")
            self.mount(Button(label, id=f"to-{to_stage}", compact=True))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Post the chosen step."""
        event.stop()
        self.post_message(self.Chosen(Stage((event.button.id or "").removeprefix("to-"))))


class SameStepPage(VerticalScroll, can_focus=False):
    """Says that the same step is open already, and asks how to go on."""

    _to_stage = Stage.SHADOW
    _branch = ""

    class Answered(Message):
        """An answer was chosen: ``branch`` is the change to open; empty promotes once more."""

        def __init__(self, branch: str, to_stage: Stage) -> None:
            super().__init__()
            self.branch = branch
            self.to_stage = to_stage

    def compose(self) -> ComposeResult:
        """The open changes above the two answers."""
        yield Facts(id="same-steps", label_width=7)
        yield Button("Open that change", id="open-it", compact=True)
        yield Button("Promote once more", id="once-more", compact=True)

    def show(self, same: tuple[Ladder, ...], to_stage: Stage, now: datetime) -> None:
        """Show the open promotions of the same step, the newest first."""
        self._to_stage, self._branch = to_stage, same[0].subject.branch
        self.query_one(Facts).facts = tuple(_same_steps(same, to_stage, now))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Post the chosen answer."""
        event.stop()
        self.post_message(self.Answered(self._branch if event.button.id == "open-it" else "", self._to_stage))


def _same_steps(same: tuple[Ladder, ...], to_stage: Stage, now: datetime) -> Iterator[Fact]:
    yield Fact.of("", f"This step, {to_stage.below} to {to_stage}, is open already.", "bold")
    for each in same:
        yield Fact("", Content(""))
        yield Fact.of("", each.subject.branch)
        yield Fact.of("by", f"{each.subject.by}, {age(each.subject.at, now)} ago")
        following = each.stands_at
        if following is not None:
            yield Fact.of("stands", f"{following.rung.value.upper()} {following.state.value}: {following.why}")
    yield Fact("", Content(""))
    yield Fact.of("", "Only one of them can land: the other one must then be planned anew.")


class ChecklistPage(Vertical):
    """The live checklist, and below it the output of the unit tests."""

    def compose(self) -> ComposeResult:
        """Gates above, output below."""
        yield ChecklistView()
        yield Log(id="output", max_lines=_OUTPUT_LINES)

    def on_mount(self) -> None:
        """The output takes no space while it is empty."""
        self.query_one(Log).display = False

    def show(self, gates: tuple[Gate, ...]) -> None:
        """Show the gates judged so far. No known gate means that a new run has started, which clears the old output."""
        self.query_one(ChecklistView).gates = gates
        if not gates:
            self.query_one(Log).clear().display = False

    def printed(self, line: str) -> None:
        """Add a line of the unit tests' output."""
        log = self.query_one(Log)
        log.display = True
        log.write_line(visible(line))


class ReasonPage(VerticalScroll, can_focus=False):
    """Takes the reason and, for a step to active, the reviewer's finding."""

    def compose(self) -> ComposeResult:
        """Reason first, review below it."""
        yield Label("Why do you promote it? The reason goes into registry, commit and pull request.")
        yield LineInput(id="reason", max_length=500)
        with Vertical(id="review"):
            yield Label("Dashboard review, shadow against active: F4 shows the 24 h. Anomalies:")
            yield Static(id="oddities", markup=False)
            yield Label("What did you see? One sentence; it goes into the evidence.")
            yield LineInput(id="finding", max_length=1000)

    def open(self, draft: Draft, to_stage: Stage) -> None:
        """Fill in the known texts. Hide the review when the step needs none."""
        self.query_one("#reason", Input).value = draft.reason
        self.query_one("#finding", Input).value = draft.finding
        self.query_one("#review").display = to_stage is Stage.ACTIVE

    def odd(self, oddities: tuple[str, ...]) -> None:
        """Show the anomalies of the robust test, for the reviewer to answer."""
        lines = [f"  ! {visible(each)}" for each in oddities] or ["  The robust test found no anomaly."]
        oddities_shown = self.query_one("#oddities", Static)
        oddities_shown.update(Content("\n".join(lines)))
        oddities_shown.set_class(bool(oddities), "-error")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter moves to the next field; in the last field it does nothing."""
        event.stop()
        finding = self.query_one("#finding", Input)
        if event.input is not finding and self.query_one("#review").display:
            finding.focus()

    def typed(self) -> tuple[str, str]:
        """Return the typed reason and finding."""
        return self.query_one("#reason", Input).value, self.query_one("#finding", Input).value


class AckPage(VerticalScroll, can_focus=False):
    """Explains the acknowledgement, and takes the phrase."""

    def compose(self) -> ComposeResult:
        """The explanation above the field."""
        yield Facts(id="meaning", label_width=9)
        yield AckInput("")

    def ask(self, target: Target, checklist: Checklist, environment: str) -> None:
        """Ask for the phrase of one artifact and one evidence."""
        self.query_one(Facts).facts = tuple(_meaning(target, checklist, environment))
        self.query_one(AckInput).ask(checklist.ack_phrase)


def _meaning(target: Target, checklist: Checklist, environment: str) -> Iterator[Fact]:
    where = f" in {environment}" if environment else ""
    yield Fact.of("", f"After review and landing, {target.artifact_id} decides orders{where}.", "bold")
    yield Fact("", Content(""))
    yield Fact.of("artifact", target.model_sha256)
    yield Fact.of("evidence", checklist.evidence.sha256)
    yield Fact.of("registry", target.registry_blob)
    yield Fact.of("", "The ACK is valid once, for exactly these three, and expires soon.", "$quiet")
    yield Fact("", Content(""))
    yield Fact.of("", "Type this phrase. Every gate is then judged once more:")


class PlanPage(Vertical):
    """Shows the effect of submitting: the difference, the pull request, the branch and its commit."""

    def compose(self) -> ComposeResult:
        """Three tabs, each scrollable."""
        with TabbedContent(id="tabs"):
            with TabPane("Difference", id="difference"):
                yield DiffView()
            with TabPane("Pull request", id="request"):
                yield TextView(id="body-text")
            with TabPane("Branch and commit", id="branch"), VerticalScroll():
                yield Facts(id="branch-facts")

    def show(self, plan: Plan) -> None:
        """Show a plan, starting at its first tab."""
        self.query_one(DiffView).diff = plan.diff
        self.query_one("#body-text", TextView).text = f"{plan.title}\n\n{plan.body}"
        self.query_one("#branch-facts", Facts).facts = tuple(_branch(plan))
        self.query_one(TabbedContent).active = "difference"

    def turn(self, by: int) -> None:
        """Move some tabs to the right, wrapping around."""
        tabs = self.query_one(TabbedContent)
        ids = ("difference", "request", "branch")
        tabs.active = ids[(ids.index(tabs.active) + by) % len(ids)]

    def scroll_pages(self, by: int) -> None:
        """Scroll the open tab by some pages."""
        shown = self.query_one(TabbedContent).active_pane
        for view in shown.query(VerticalScroll) if shown else ():
            view.scroll_relative(y=by * max(1, view.size.height - 1), animate=False)


def _branch(plan: Plan) -> Iterator[Fact]:
    yield from Fact.lines("warning", plan.warnings, "$verdict-unknown")
    yield Fact.of("branch", plan.branch)
    yield Fact.of("on", plan.target.base_commit)
    yield Fact.of("evidence", plan.evidence_sha256)
    if plan.ack:
        yield Fact.of("ACK", f"{plan.ack.by}, expires {format_utc(plan.ack.expires_at)}")
    yield from Fact.lines("files", (f"{path}  {len(content):,} bytes" for path, content in plan.files))
    yield from Fact.lines("gates", (f"{gate.verdict:<7} {gate.name}" for gate in plan.gates))
    yield from Fact.lines("message", visible(plan.message, lines=True).splitlines())


# Keys of a screen with a plan: they switch and scroll its tabs while Cancel keeps the focus.


class PlanScreen(PushedScreen):
    """A pushed screen with one `PlanPage`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "tab(-1)", "Tab left", show=False, id="plan.left", tooltip="The plan's tab to the left"),
        Binding("right", "tab(1)", "Next tab", id="plan.right", tooltip="The plan's tab to the right"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="plan.up", tooltip="Scroll the plan up"),
        Binding("pagedown", "page(1)", "Scroll", id="plan.down", tooltip="Scroll the plan down"),
    ]

    def action_tab(self, by: int) -> None:
        """Switch to another tab of the plan."""
        self.query_one(PlanPage).turn(by)

    def action_page(self, by: int) -> None:
        """Scroll the plan's tab."""
        self.query_one(PlanPage).scroll_pages(by)
