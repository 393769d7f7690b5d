"""What a rollback would do, in words: from, to, why, proof, choices, and what could undo it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, Label

from ml.clock import span
from ml.promotion.values import Candidate, RollbackPlan
from ml.text import visible
from ml.verdict import Check, worst
from widgets.amounts import amount
from widgets.columns import fit
from widgets.facts import Fact, Facts
from widgets.glyphs import Glyphs, glyphs_of
from widgets.line_input import LineInput
from widgets.row_list import RowList
from widgets.verdicts import MARKS

_LABEL = 10


class CandidateRows(RowList):
    """The artifacts to which one could roll back, best first; Enter prepares another one and commits nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Prepare", id="rollback.choose", key_display="Enter",
                tooltip="Prepare a rollback to this artifact"),
    ]  # fmt: skip

    candidates: reactive[tuple[Candidate, ...]] = reactive((), init=False)

    class Chosen(Message):
        """The operator wants to go to this artifact instead."""

        def __init__(self, candidate: Candidate) -> None:
            super().__init__()
            self.candidate = candidate

    def watch_candidates(self, candidates: tuple[Candidate, ...]) -> None:
        """Draw what differs."""
        self.count = len(candidates)
        self.renew()

    def row(self, index: int) -> Content:
        """Verdict, artifact, how long it served, and why it is good or not."""
        candidate, glyphs = self.candidates[index], glyphs_of(self.app)
        mark = MARKS[candidate.verdict]
        served = f"served {span(candidate.tenure_s)}" if candidate.tenure_s is not None else ""
        return Content.assemble(
            self.lead(index),
            (mark.text(ascii_only=glyphs.ascii_only), mark.color),
            f" {fit(visible(candidate.artifact_id), 28, glyphs)} ",
            (f"{served:<14} ", "$quiet"),
            (visible(candidate.why), "$quiet" if candidate.verdict.opens else ""),
        )

    def action_choose(self) -> None:
        """Ask for another target."""
        if self.cursor < len(self.candidates):
            self.post_message(self.Chosen(self.candidates[self.cursor]))


class RollbackPage(VerticalScroll, can_focus=False):
    """Shows one prepared rollback, and takes its reason."""

    def compose(self) -> ComposeResult:
        """Facts, reason, choices, cautions: what decides stands above what may scroll."""
        yield Facts(id="facts", label_width=_LABEL)
        with Horizontal(id="why"):
            yield Label("reason", classes="quiet")
            yield LineInput(id="reason", max_length=500)
        yield Label("Where to (Shift+Tab): Enter prepares another one", classes="quiet", id="where")
        yield CandidateRows()
        yield Facts(id="cautions", label_width=_LABEL)

    def show(self, prepared: RollbackPlan, now: datetime) -> None:
        """Show a prepared rollback."""
        self.show_facts(prepared, now)
        self.query_one("#why").display = prepared.plan is not None
        self.query_one("#where").display = bool(prepared.candidates)
        self.query_one(CandidateRows).candidates = prepared.candidates
        self.query_one("#cautions", Facts).facts = tuple(cautions(prepared))

    def show_facts(self, prepared: RollbackPlan, now: datetime) -> None:
        """Show what it would do, and how old it is by now."""
        self.query_one("#facts", Facts).facts = tuple(facts(prepared, glyphs_of(self.app), now))

    @property
    def reason(self) -> Input:
        """The field of the reason."""
        return self.query_one("#reason", Input)


def facts(prepared: RollbackPlan, glyphs: Glyphs, now: datetime) -> Iterator[Fact]:
    """From, to, why, verification, how long ago that was, and what breaches."""
    yield Fact.of("from", prepared.from_artifact or "nothing is active", "bold")
    if prepared.plan is not None:
        served = f"  served {span(prepared.tenure_s)} before" if prepared.tenure_s is not None else ""
        yield Fact("to", Content.assemble((visible(prepared.to_artifact), "bold"), (served, "$quiet")))
        yield Fact.of("why", prepared.why)
    if prepared.checks:
        ago = f"; prepared {span((now - prepared.built_at).total_seconds())} ago" if prepared.built_at else ""
        yield Fact("verified", Content.assemble(verification(prepared.checks, glyphs), (ago, "$quiet")))
    for reading in prepared.breaching:
        mark = MARKS[reading.verdict]
        value, limit = (amount(each, reading.unit, limit=reading.limit) for each in (reading.value, reading.limit))
        words = f" {visible(reading.name)} {value}, limit {limit}"
        yield Fact("breaching", Content.assemble((mark.text(ascii_only=glyphs.ascii_only), mark.color), words))


def verification(checks: tuple[Check, ...], glyphs: Glyphs) -> Content:
    """The worst verdict, and the checks by name; those that do not open say why."""
    mark = MARKS[worst(check.verdict for check in checks)]
    closed = [check for check in checks if not check.verdict.opens]
    bad = [f"{visible(check.name)} {check.verdict}: {visible(check.why)}" for check in closed]
    names = "; ".join(bad) or ", ".join(visible(check.name) for check in checks)
    return Content.assemble((mark.text(ascii_only=glyphs.ascii_only), mark.color), " ", names)


def cautions(prepared: RollbackPlan) -> Iterator[Fact]:
    """Condemned artifacts, branches that would bring the bad one back, and the plan's warnings."""
    if prepared.condemned:
        yield Fact.of("condemned", ", ".join(prepared.condemned))
    yield from Fact.lines("would undo", prepared.reviving, "$verdict-unknown")
    origins = prepared.plan.origins if prepared.plan else ()
    yield from Fact.lines("pointer", tuple(f"{each.field} {each.why}" for each in origins))
    yield from Fact.lines("warning", prepared.plan.warnings if prepared.plan else (), "$verdict-unknown")
