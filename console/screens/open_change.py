"""Screen of one change: its rungs up to serving, and what it is made of; it is approved, landed and closed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.types import CSSPathType
from textual.widget import Widget
from textual.widgets import Button, ContentSwitcher, Input, Static, TabbedContent, TabPane

from console.screens.change_question import Question, QuestionPage
from console.screens.pushed import PushedScreen
from console.screens.rungs import Follower, advice
from ml.clock import age
from ml.errors import ConsoleError
from ml.promotion.close import Closing
from ml.promotion.land import Approval
from ml.promotion.rungs import Ending, Ladder, Rung, State
from ml.promotion.values import Landing, Submission
from ml.session.details import ChangeDetails
from ml.text import visible
from ml.verdict import Gate, worst
from widgets.ack_input import AckInput
from widgets.change_ladder import ChangeLadder, step_words
from widgets.checklist import ChecklistView, GateRows
from widgets.diff_view import DiffView
from widgets.drawing import MARKS, glyphs_of
from widgets.facts import Fact, Facts

_TABS = ("rungs", "proofs", "difference", "gates", "evidence", "approvals")
_LABEL = 10


class OpenChangeScreen(PushedScreen):
    """Follows one change until it is left. Nothing is changed before its question is confirmed.

    Args:
        branch: the change's branch.
        then: ``push``, ``approve``, ``land`` or ``close`` asks that question at once; empty only shows the change.
    """

    LEAVE = "Back"
    CSS_PATH: ClassVar[CSSPathType | None] = ["pushed.tcss", "open_change.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "tab(-1)", "Tab left", show=False, id="change.left", tooltip="The tab to the left"),
        Binding("right", "tab(1)", "Next tab", id="change.right", tooltip="The tab to the right"),
        Binding("up,k", "line(-1)", "Up", show=False, id="change.line_up", tooltip="The gate above, or a line up"),
        Binding("down,j", "line(1)", "Down", show=False, id="change.line_down",
                tooltip="The gate below, or a line down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="change.up", tooltip="Scroll the tab up"),
        Binding("pagedown", "page(1)", "Scroll", show=False, id="change.down", tooltip="Scroll the tab down"),
        Binding("a", "ask('approve')", "Approve", id="change.approve", tooltip="Approve it, signed; asks first"),
        Binding("l", "ask('land')", "Land", id="change.land", tooltip="Judge the gate, then land it; asks first"),
        Binding("p", "ask('push')", "Push", show=False, id="change.push",
                tooltip="Push its branch to the remote; asks first"),
        Binding("x", "ask('close')", "Close it", id="change.close", tooltip="Close it without landing; asks first"),
        Binding("o", "address", "Address", show=False, id="change.address",
                tooltip="Copy the address of its pull request"),
        Binding("f5", "look", "Look again", show=False, id="change.look", tooltip="Look at the change again now"),
        Binding("ctrl+l", "confirm", "Confirm", id="change.confirm", tooltip="Do what the open question asks about"),
    ]  # fmt: skip

    def __init__(self, branch: str, *, then: str = "") -> None:
        super().__init__()
        self._branch = branch
        self._then = then
        self._ladder: Ladder | None = None
        self._details: ChangeDetails | None = None
        self._undo = ""
        self._writing = ""
        self._judged = self._judging = False
        self._stood: object = None
        self._alarmed = False
        self._follower = Follower(self, self._seen, self._blind)

    # --- frame -------------------------------------------------------------------------------------------------------
    @property
    def model_name(self) -> str:
        """The change's model, once it is known."""
        return self._ladder.subject.model if self._ladder is not None else ""

    def body(self) -> ComposeResult:
        """The tabs of the change, and the page of a question."""
        with ContentSwitcher(initial="inside", id="pages"):
            with TabbedContent(id="inside"):
                with TabPane("Rungs", id="rungs"), VerticalScroll(can_focus=False):
                    yield Static(id="whole-name", markup=False)
                    yield ChangeLadder(brief=True)
                with TabPane("Proofs", id="proofs"), VerticalScroll(can_focus=False):
                    yield ChangeLadder()
                with TabPane("Difference", id="difference"):
                    yield DiffView()
                with TabPane("Gates", id="gates"):
                    yield ChecklistView()
                with TabPane("Evidence", id="evidence"), VerticalScroll(can_focus=False):
                    yield Facts(id="evidence-facts", label_width=_LABEL)
                with TabPane("Approvals", id="approvals"), VerticalScroll(can_focus=False):
                    yield Facts(id="approval-facts", label_width=_LABEL)
            yield QuestionPage(id="question")

    def buttons(self) -> ComposeResult:
        """The button that confirms a question."""
        yield Button("Land", id="confirm", compact=True, disabled=True)

    def begin(self) -> None:
        """Follow the change, and read what it is made of."""
        self.query_one("#confirm").display = False
        for rows in self.query(GateRows):
            rows.can_focus = False  # nothing is waived here, and its keys are this screen's own
        self.title_is("Change")
        self.query_one("#whole-name", Static).update(Content.styled(visible(self._branch), "bold"))
        self.query_one("#evidence-facts", Facts).facts = (Fact.of("", "Reading."),)
        self.query_one("#approval-facts", Facts).facts = (Fact.of("", "Reading."),)
        self._follower.follow(self._branch)
        self._open()

    def _open(self) -> None:
        session, branch = self.console.session, self._branch
        self.work(f"open {branch}", lambda: session.details.of(branch), self._opened, self._not_opened)

    # --- what was found ----------------------------------------------------------------------------------------------
    def _seen(self, found: Ladder) -> None:
        before, self._ladder = self._ladder, found
        for shown in self.query(ChangeLadder):
            shown.ladder, shown.outdated = found, ""
        subject = found.subject
        about = f"{step_words(subject, glyphs_of(self.app))}  {subject.artifact_id}".rstrip()
        who = f"by {subject.by}, {age(subject.at, self.console.clock.now())} ago"
        self.title_is(f"{subject.model or 'Rules'}  {about}", who)
        if self._details is not None and self._details.head != subject.commit:
            self._details, self._judged = None, False
            self._open()
        if before is None and self._then:
            then, self._then = self._then, ""
            self.action_ask(then)
        else:
            self._advise(found)
        self.refresh_bindings()

    def _advise(self, found: Ladder) -> None:
        """Say what to press where the change stands elsewhere than before; an alarm stays until a key is pressed."""
        following = found.stands_at
        stands = (found.ending, (following.rung, following.code) if following is not None else None)
        if stands == self._stood or self._asking or self._writing:
            return
        self._stood = stands
        if not self._alarmed and not self._undo:
            self.say(advice(found))

    def _blind(self, error: ConsoleError) -> None:
        for shown in self.query(ChangeLadder):
            shown.outdated = str(error)

    def _opened(self, details: ChangeDetails) -> None:
        self._details = details
        self.query_one("#difference DiffView", DiffView).diff = details.difference
        ascii_only = glyphs_of(self.app).ascii_only
        self.query_one("#evidence-facts", Facts).facts = tuple(_evidence(details, ascii_only=ascii_only))
        self.query_one("#approval-facts", Facts).facts = tuple(_approvals(details))

    def _not_opened(self, error: ConsoleError) -> None:
        told = (Fact.of("", str(error), "$verdict-unknown"),)
        self.query_one("#evidence-facts", Facts).facts = self.query_one("#approval-facts", Facts).facts = told
        self.query_one("#difference DiffView", DiffView).diff = f" {error}"

    # --- the gate ----------------------------------------------------------------------------------------------------
    def on_tabbed_content_tab_activated(self, event: TabbedContent.TabActivated) -> None:
        """Judge the gate when its lines are looked at for the first time."""
        event.stop()
        if event.pane.id == "gates" and not self._judged and not self._judging:
            self._judge()

    def _judge(self) -> None:
        self._judging = True
        self.say("Judging the gate as the landing would. Nothing is landed.")
        session, branch = self.console.session, self._branch
        self.work(f"judge {branch}", lambda: session.details.gates(branch), self._gates, self._not_judged)

    def _gates(self, gates: tuple[Gate, ...]) -> None:
        self._judging, self._judged = False, True
        self.query_one("#gates ChecklistView", ChecklistView).gates = gates
        if self._asking == "land":
            self._show_gates(gates)
        elif not self._asking and not self._writing:
            self.say(_verdict(gates))

    def _not_judged(self, error: ConsoleError) -> None:
        self._judging = False
        self.complain(error)

    def _show_gates(self, gates: tuple[Gate, ...]) -> None:
        page = self.query_one(QuestionPage)
        page.judged(gates)
        self.say(_verdict(gates) if not page.open else page.next_words, loud=not page.open)
        self._arm()

    # --- questions ---------------------------------------------------------------------------------------------------
    @property
    def _asking(self) -> str:
        """The kind of the open question; empty while there is none."""
        page = self.query_one(QuestionPage)
        return page.asked if self.query_one("#pages", ContentSwitcher).current == "question" else ""

    def action_ask(self, kind: str) -> None:
        """Ask before something is changed, or say why it cannot be."""
        found = self._ladder
        if obstacle := self._obstacle(kind, found):
            self._alarmed = True
            self.say(obstacle, loud=True)
            return
        assert found is not None
        board = self.console.board
        self._undo, self._alarmed = "", False
        question = Question(kind, found, board.operator if board is not None else "")
        self.query_one(QuestionPage).ask(question)
        self.query_one("#pages", ContentSwitcher).current = "question"
        confirm = self.query_one("#confirm", Button)
        confirm.label, confirm.display = question.confirm, True
        self.query_one("#cancel").focus()
        self.say(question.notice)
        if kind == "land":
            self._judge()
        self._arm()

    def _obstacle(self, kind: str, found: Ladder | None) -> str:
        if self._writing or self._asking:
            return self._writing or "A question is open already. Escape goes back to the change."
        if self.console.read_only:
            return "This session is read-only. Start the console without --read-only to change anything."
        if found is None:
            return "The change has not been read yet."
        if found.step(Rung.MERGED).state is State.REACHED:
            return f"It has landed. {advice(found)}"
        if kind != "close" and found.ending is not Ending.OPEN:
            return f"It goes no further. {found.ending_why}"
        return ""

    def _arm(self) -> None:
        self.query_one("#confirm", Button).disabled = not self._ready
        self.refresh_bindings()

    @property
    def _ready(self) -> bool:
        return bool(self._asking) and not self._writing and not self._judging and self.query_one(QuestionPage).ready

    def on_ack_input_changed(self, message: AckInput.Changed) -> None:
        """Enable the landing once the word is typed."""
        self._arm()

    def on_ack_input_confirmed(self, message: AckInput.Confirmed) -> None:
        """Enter in the field does the same as the button."""
        self.action_confirm()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the reason's field confirms nothing."""
        event.stop()

    def pressed(self, button: str) -> None:
        """Handle the button that confirms."""
        self.action_confirm()

    def action_confirm(self) -> None:
        """Do what the open question asks about, once."""
        if not self._ready or self.hidden:
            return
        found, kind = self._ladder, self._asking
        assert found is not None
        session, branch, commit = self.console.session, self._branch, self.query_one(QuestionPage).commit
        reason = self.query_one(QuestionPage).reason
        self._writing = f"The change is being {_DONE[kind]}. Press Escape when it has finished."
        self._arm()
        self.say(f"The change is being {_DONE[kind]}.")
        if kind == "land":
            self._write(kind, lambda: session.changes.land(branch, expected=commit), self._landed)
        elif kind == "approve":
            self._write(kind, lambda: session.changes.approve(branch, expected=commit), self._approved)
        elif kind == "push":
            self._write(kind, lambda: session.changes.push(branch), self._pushed)
        else:
            self._write(kind, lambda: session.ladders.close(branch, reason), self._was_closed)

    def _write(self, kind: str, action: Callable[[], object], then: Callable[[object], None]) -> None:
        self.work(f"{kind} {self._branch}", action, then, self._refused, writes=True)

    def _landed(self, landed: object) -> None:
        assert isinstance(landed, Landing)
        self.query_one("#gates ChecklistView", ChecklistView).gates = landed.gates
        self._back(f"{landed.base} is now {landed.commit[:12]}. {landed.problem}".rstrip(), loud=bool(landed.problem))

    def _pushed(self, done: object) -> None:
        assert isinstance(done, Submission)
        self._back(f"{done.why} {done.pr_url}".rstrip(), loud=not done.pushed)

    def _approved(self, given: object) -> None:
        assert isinstance(given, Approval)
        self._back(f"{given.by} approves {given.commit[:12]}: {given.why}", loud=not given.pushed)
        self._open()

    def _was_closed(self, done: object) -> None:
        assert isinstance(done, Closing)
        self._undo = f"mlconsole push {done.branch}" if done.remote else ""
        undo = f" To open it again (Y copies): {self._undo}" if self._undo else ""
        self._back(f"It is closed; this clone keeps {done.commit[:12]}.{undo} {done.problem}".rstrip())

    def _refused(self, error: ConsoleError) -> None:
        self._back(str(error), loud=True)

    def _back(self, notice: str, *, loud: bool = False) -> None:
        """Show the change again, with what came of it."""
        self._writing, self._then = "", ""
        self.query_one("#pages", ContentSwitcher).current = "inside"
        self.query_one(TabbedContent).active = "rungs"
        self.query_one("#confirm").display = False
        self.set_focus(None)  # a held Enter must not leave what it has just confirmed
        self._alarmed = loud
        self.say(notice, loud=loud)
        self.refresh_bindings()
        self._follower.hurry()

    # --- keys --------------------------------------------------------------------------------------------------------
    def action_tab(self, by: int) -> None:
        """Switch to another tab."""
        self._alarmed = False
        tabs = self.query_one(TabbedContent)
        tabs.active = _TABS[(_TABS.index(tabs.active) + by) % len(_TABS)]

    def action_line(self, by: int) -> None:
        """Choose another gate where gates are shown, else scroll by a line."""
        shown = self._shown
        rows = list(shown.query(GateRows)) if shown is not None else []
        if rows and rows[0].count:
            rows[0].action_move(by)
        elif not self._asking:
            self._scroll(by)

    def action_page(self, by: int) -> None:
        """Scroll the open tab or question by a page."""
        self._scroll(by * max(1, self.query_one("#pages").size.height - 3))

    def _scroll(self, by: int) -> None:
        shown = self._shown
        for view in [*([shown] if self._asking else []), *(shown.query(VerticalScroll) if shown is not None else [])]:
            view.scroll_relative(y=by, animate=False)

    @property
    def _shown(self) -> Widget | None:
        return self.query_one(QuestionPage) if self._asking else self.query_one(TabbedContent).active_pane

    def action_look(self) -> None:
        """Look at the change again, and judge its gate again where that is shown."""
        self._alarmed = False
        self._follower.hurry()
        if self.query_one(TabbedContent).active == "gates" and not self._judging:
            self._judge()

    def action_address(self) -> None:
        """Copy the address of the change's request."""
        address = self._ladder.address if self._ladder is not None else ""
        if address:
            self.app.copy_to_clipboard(address)
        self.say(f"Copied: {address}" if address else "No pull request of this change is known, so it has no address.")

    @property
    def copyable(self) -> str:
        """Return the command that opens a closed change again, else the branch."""
        return self._undo or self._branch

    @property
    def unfinished(self) -> str:
        """Return a sentence while something is being written."""
        return self._writing

    def action_leave(self) -> None:
        """Leave an open question first, then the screen."""
        if self._asking and not self._writing:
            self._back(advice(self._ladder) if self._ladder is not None else "")
        else:
            super().action_leave()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the confirming key on a question only, and the change's keys beside it only."""
        asking = self._asking if self.is_mounted and self.query("#question") else ""
        if action == "confirm":
            return (True if self._ready and not self.hidden else None) if asking else False
        if action in ("ask", "tab", "address"):
            return not asking
        return super().check_action(action, parameters)


_DONE = {"push": "pushed", "land": "landed", "approve": "approved", "close": "closed"}


def _verdict(gates: tuple[Gate, ...]) -> str:
    closed = [gate for gate in gates if not gate.verdict.opens]
    if not gates:
        return "The gate judged nothing, so nothing can be landed."
    if closed:
        return f"The gate refuses it: {', '.join(f'{gate.name} ({gate.verdict})' for gate in closed)}."
    return f"The gate lets it through: {len(gates)} of {len(gates)} open."


def _evidence(details: ChangeDetails, *, ascii_only: bool) -> Iterator[Fact]:
    """Yield the evidence with each verdict as it is judged again, then the files and the commit message."""
    yield from Fact.lines("unread", details.problems, "$verdict-unknown")
    if not details.evidence:
        yield Fact.of("evidence", "This change brings none.")
    for each in details.evidence:
        mark = MARKS[worst(check.verdict for check in each.checks)]
        yield Fact.of("evidence", each.path, "bold")
        yield Fact.of("sha256", each.sha256)
        yield Fact("judged", Content.assemble((mark.text(ascii_only=ascii_only), mark.color), " again here, offline"))
        words = tuple(f"{check.verdict:<7} {check.name}: {check.why}" for check in each.checks)
        yield from Fact.lines("checks", words)
    yield from Fact.lines("files", details.files)
    yield from Fact.lines("message", visible(details.message, lines=True).splitlines())


def _approvals(details: ChangeDetails) -> Iterator[Fact]:
    """Yield the rung's own words, then every approval of the commit and if it counts."""
    step = details.ladder.step(Rung.APPROVED)
    yield Fact.of("rung", f"{step.state.value}: {step.why}", "bold")
    if step.todo:
        yield Fact.of("to do", step.todo)
    yield Fact.of("commit", details.head)
    if not details.approvals:
        yield Fact.of("given", "No signed approval of this commit is known here.")
    for each in details.approvals:
        counts = f"does not count: {each.why_not}" if each.why_not else "counts"
        yield Fact.of("given", f"{each.by} at {each.at:%Y-%m-%d %H:%M}Z, {counts}", "" if each.why_not else "bold")
        yield Fact.of("", f"  {each.commit}")
