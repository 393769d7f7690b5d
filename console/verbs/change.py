"""Verbs that follow a change to its end: change list, show, wait, land, close."""

from __future__ import annotations

import re
from typing import Any

import click

from console import documents
from console.invocation import Invocation
from console.verbs.changing import landing
from console.verbs.output import Answer, say, verb
from ml.clock import clock_time, format_utc, span
from ml.errors import ConsoleError
from ml.promotion.rungs import Ending, Ladder, Outcome, Rung, State, Step
from ml.text import visible

_CODES = {Outcome.REACHED: 0, Outcome.WAITING: 4, Outcome.ENDED: 5, Outcome.UNKNOWN: 3}
_MARKS = {
    State.REACHED: "[done]",
    State.WAITING: "[waits]",
    State.FAILED: "[failed]",
    State.UNKNOWN: "[unknown]",
    State.NOT_NEEDED: "[-]",
}
_LENGTH = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
_LONGEST_S = 7 * 86_400


class _Length(click.ParamType):  # type: ignore[type-arg]  # only newer versions are generic
    """A length of time, such as ``90s``, ``10m``, ``1h30m``, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of a length."""
        if isinstance(value, int | float):
            return float(value)
        found = _LENGTH.fullmatch(str(value)[:20]) if value else None
        if found is None:
            self.fail(f"{visible(str(value), limit=40)!r} is no length of time such as 90s, 10m or 1h30m.", param, ctx)
        hours, minutes, seconds = (int(each or 0) for each in found.groups())
        return float(min(hours * 3600 + minutes * 60 + seconds, _LONGEST_S))


@click.group()
def change() -> None:
    """Changes on their way from plan to serving, each rung with its proof."""


@change.command("list")
@click.option("--all", "ended", is_flag=True, help="Show also changes that landed and serve, or were closed.")
@verb
def change_list(invocation: Invocation, ended: bool) -> Answer:
    """List open changes with the rung that each has reached, and what to do next."""
    found = invocation.session.ladders.listed(ended=ended)
    document = documents.envelope(invocation.session.clock.now()) | {"changes": [_document(each) for each in found]}
    text = [line for each in found for line in _summary(each)]
    return Answer(text or ["There is no open change."], document)


@change.command("show")
@click.argument("name")
@verb
def change_show(invocation: Invocation, name: str) -> Answer:
    """Show one change with all rungs. NAME is its branch, or the beginning of it or of its commit."""
    found = invocation.session.ladders.show(name)
    return Answer(_lines(found), documents.envelope(found.as_of) | {"change": _document(found)})


@change.command("wait")
@click.argument("name")
@click.option(
    "--until",
    type=click.Choice([rung.value for rung in Rung]),
    default=Rung.SERVING.value,
    show_default=True,
    help="The rung to wait for.",
)
@click.option("--timeout", type=_Length(), default="10m", show_default=True, help="The longest wait, such as 90s.")
@verb
def change_wait(invocation: Invocation, name: str, until: str, timeout: float) -> Answer:
    """Wait until a change reaches a rung: 0 reached, 4 timed out, 5 closed or superseded, 3 unknown."""
    rung, session = Rung(until), invocation.session

    def changed(found: Ladder) -> None:
        _tell(found)
        try:
            session.rungs.tell([found])
        except ConsoleError as error:  # the wait goes on: its answer does not depend on the webhook
            say(str(error))

    waited = session.ladders.wait(name, rung, timeout, changed=changed)
    document = documents.envelope(waited.ladder.as_of) | {
        "until": rung.value,
        "outcome": "timed-out" if waited.outcome is Outcome.WAITING else waited.outcome.value,
        "change": _document(waited.ladder),
    }
    words = {
        Outcome.REACHED: f"{rung.value.upper()} is reached.",
        Outcome.WAITING: f"Timed out after {span(timeout)}: {rung.value.upper()} is not reached.",
        Outcome.ENDED: f"{rung.value.upper()} will not be reached: {waited.ladder.ending_why}",
        Outcome.UNKNOWN: f"Unknown if {rung.value.upper()} is reached.",
    }
    return Answer([*_lines(waited.ladder), words[waited.outcome]], document, _CODES[waited.outcome])


@change.command("land")
@click.argument("name")
@verb
def change_land(invocation: Invocation, name: str) -> Answer:
    """Land a change as `mlconsole land` does. NAME may be the beginning of its branch."""
    landed = invocation.session.ladders.land(name)
    return landing(invocation, landed, landed.branch)


@change.command("close")
@click.argument("name")
@click.option("--reason", default="", help="Reason, for the audit log.")
@verb
def change_close(invocation: Invocation, name: str, reason: str) -> Answer:
    """Close a change without landing it. Its branch goes from the remote and stays in this clone."""
    done = invocation.session.ladders.close(name, reason)
    branch = visible(done.branch)
    undo = f"mlconsole push {branch}" if done.remote else ""
    if done.remote:
        text = [f"{branch} is closed: {visible(done.remote)} has it no more.", f"This clone keeps {done.commit[:12]}."]
        text += ["To open it again:", f"  {undo}"]
    else:
        text = [f"{branch} is closed. It was in this clone only, and stays here as {done.commit[:12]}."]
    text += [done.problem] if done.problem else []
    document = documents.envelope(invocation.session.clock.now()) | documents.plain(done) | {"undo": undo}
    return Answer(text, document)


def _tell(found: Ladder) -> None:
    following = found.next
    waits = f"; {following.rung.value}: {following.why}" if following is not None else ""
    say(f"{found.highest.rung.value.upper()}{waits}")


def _summary(found: Ladder) -> list[str]:
    subject, following = found.subject, found.next
    age = span((found.as_of - subject.at).total_seconds())
    where = found.highest.rung.value.upper() if found.ending is Ending.OPEN else found.ending.value
    lines = [f"{where:<10} {visible(subject.branch)}", f"{'':<10} by {subject.by}, {age} ago"]
    if found.ending is not Ending.OPEN:
        return [*lines, f"{'':<10} {found.ending_why}"]
    if following is not None:
        lines.append(f"{'':<10} {following.rung.value}: {following.why}")
        lines += [f"{'':<10} {following.todo}"] if following.todo else []
    return lines


def _lines(found: Ladder) -> list[str]:
    subject = found.subject
    about = f"{subject.action} {subject.artifact_id} → {subject.to_stage} of {subject.model}" if subject.model else ""
    lines = [visible(subject.branch), *([f"  {about}"] if about else []), ""]
    for step in found.steps:
        lines.append(_row(step, found))
        if step.proof is not None:
            lines.append(f"{'':<21}proof: {visible(step.proof.text, limit=400)}")
        if step.todo and found.ending is Ending.OPEN:
            lines.append(f"{'':<21}→ {step.todo}")
    if found.ending is not Ending.OPEN:
        lines += ["", f"{found.ending.value}: {found.ending_why}"]
    return lines


def _row(step: Step, found: Ladder) -> str:
    at = f" {clock_time(step.at, found.as_of)}" if step.at else ""
    by = f" by {step.by}" if step.by else ""
    told = f"{at}{by}:" if at or by else ""
    return f"{_MARKS[step.state]:<10} {step.rung.value.upper():<9}{told} {step.why}"


def _document(found: Ladder) -> dict[str, Any]:
    """A ladder for scripts: the change, its end, and its rungs by name."""
    following = found.next
    subject: dict[str, Any] = documents.plain(found.subject)
    return subject | {
        "as_of": format_utc(found.as_of),
        "ending": found.ending.value,
        "ended_at": documents.plain(found.ended_at),
        "ended_by": found.ended_by,
        "why": found.ending_why,
        "highest": found.highest.rung.value,
        "next": following.rung.value if following is not None else None,
        "done": found.done,
        "address": found.address,
        "rungs": {step.rung.value: _rung(step) for step in found.steps},
    }


def _rung(step: Step) -> dict[str, Any]:
    row: dict[str, Any] = documents.plain(step)
    del row["rung"]
    return row
