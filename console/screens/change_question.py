"""Questions of a change's screen: push, approve, land or close it, each with what it does and what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Input, Label

from ml.promotion.rungs import Ladder
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Gate
from widgets.ack_input import AckInput
from widgets.checklist import ChecklistView
from widgets.facts import Fact, Facts
from widgets.quiet_widget import LineInput

LAND_WORD = "LAND"
_LABEL = 8
_CONFIRM = {"approve": "Approve", "land": "Land", "close": "Close the change", "push": "Push"}


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a change, as it was shown. ``kind`` is ``approve``, ``land``, ``push`` or ``close``."""

    kind: str
    ladder: Ladder
    person: str

    @property
    def confirm(self) -> str:
        """Label of the button that confirms."""
        return _CONFIRM[self.kind]

    @property
    def word(self) -> str:
        """The word to type before the landing; empty where none is needed. Only a promotion to active needs one."""
        subject = self.ladder.subject
        trades = subject.action == Action.PROMOTE and subject.to_stage == Stage.ACTIVE
        return LAND_WORD if self.kind == "land" and trades else ""

    @property
    def notice(self) -> str:
        """The sentence above the buttons when the question is asked."""
        if self.kind == "land":
            return "Judging the gate as the landing will. Nothing is landed yet."
        return "Nothing is done yet. ^L, or Tab and Enter on the button, does it."

    def facts(self) -> Iterator[Fact]:
        """Yield what is asked, and what it changes."""
        subject = self.ladder.subject
        yield Fact.of("", _MEANING[self.kind], "bold")
        yield Fact.of("", subject.branch)
        yield Fact.of("commit", subject.commit)
        yield Fact.of("by", f"{subject.by}, {subject.at:%Y-%m-%d %H:%M}Z")
        if self.person and self.kind != "close":
            yield Fact.of("you", self.person)


_MEANING = {
    "approve": "You approve exactly this commit, signed with your key. An approval is pushed and never taken back.",
    "land": "The base takes this change. Engines load it at their next deployment.",
    "push": "The remote gets the branch as this clone has it, and is read back. A branch there is never overwritten.",
    "close": "The branch goes from the remote. This clone keeps it, and a push opens it again.",
}


class QuestionPage(VerticalScroll, can_focus=False):
    """Asks one question, and takes what it needs: the gate's lines, a reason, or a typed word."""

    DEFAULT_CSS = """
    QuestionPage Facts { margin: 0 0 1 0; }
    QuestionPage Label { width: 100%; height: auto; }
    QuestionPage ChecklistView { margin: 0 0 1 0; }
    """

    _question: Question | None = None
    _gates: tuple[Gate, ...] | None = None

    def compose(self) -> ComposeResult:
        """Facts, the gate's lines, the reason, and the word."""
        yield Facts(id="asked", label_width=_LABEL)
        yield Label("Type this word to land it:", id="word-label")
        yield AckInput(LAND_WORD)
        yield ChecklistView(id="gate-lines")
        yield Label("Why? The reason goes into the audit log; it may be empty.", id="reason-label")
        yield LineInput(id="reason", max_length=500)

    def ask(self, question: Question) -> None:
        """Ask a question, with nothing typed and nothing judged."""
        self._question, self._gates = question, None
        self.query_one("#asked", Facts).facts = tuple(question.facts())
        self.query_one("#gate-lines", ChecklistView).gates = ()
        self.query_one("#gate-lines").display = question.kind == "land"
        for part in ("#reason-label", "#reason"):
            self.query_one(part).display = question.kind == "close"
        self.query_one("#reason", Input).value = ""
        self.query_one(AckInput).clear()
        self._offer_word(shown=False)
        self.scroll_home(animate=False)

    def judged(self, gates: tuple[Gate, ...]) -> None:
        """Show the gate's lines, closed ones first; where all are open, ask for the word."""
        self._gates = gates
        self.query_one("#gate-lines", ChecklistView).gates = tuple(sorted(gates, key=lambda gate: gate.verdict.opens))
        self._offer_word(shown=bool(self.open and self._question is not None and self._question.word))

    def _offer_word(self, *, shown: bool) -> None:
        self.query_one("#word-label").display = shown
        self.query_one(AckInput).display = shown

    @property
    def asked(self) -> str:
        """The kind of the last question; empty before the first."""
        return self._question.kind if self._question is not None else ""

    @property
    def commit(self) -> str:
        """The commit that the question is about."""
        return self._question.ladder.subject.commit if self._question is not None else ""

    @property
    def reason(self) -> str:
        """The typed reason."""
        return self.query_one("#reason", Input).value.strip()

    @property
    def open(self) -> bool:
        """True if the gate was judged and lets the change through."""
        return bool(self._gates) and all(gate.verdict.opens for gate in self._gates or ())

    @property
    def ready(self) -> bool:
        """True if nothing is missing but the confirmation."""
        question = self._question
        if question is None or question.kind != "land":
            return question is not None
        return self.open and (not question.word or self.query_one(AckInput).matches)

    @property
    def next_words(self) -> str:
        """The sentence about what to do once the gate is open."""
        count = len(self._gates or ())
        word = self._question.word if self._question is not None else ""
        way = f"Type {visible(word)} (Shift+Tab leads there), then Enter." if word else "Press ^L to land it."
        return f"The gate lets it through: {count} of {count} open. {way}"
