"""Verbs that change the registry, always on a branch: stage, promote, withdraw, rollback, push, land, gate …"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import click

from console import documents
from console.hook import received_lines
from console.invocation import Invocation
from console.status import next_command, next_words
from console.untrusted import untrusted
from console.verbs import lines
from console.verbs.measuring import judged_document, judged_line, measuring
from console.verbs.output import Answer, code_of, error_document, say, verb
from console.version import __version__
from ml.clock import SystemClock, span
from ml.errors import Conflict, ConsoleError, Usage
from ml.promotion.approvals import usual_name
from ml.promotion.values import Checklist, Landing, Plan, Submission
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Gate, Verdict, worst

_REASON = click.option("--reason", required=True, help="Reason for the event, the commit and the pull request.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show the plan; write nothing.")
_OWN_CODE = (
    "This repository holds mlconsole's own code. Install the gate from a pinned release, outside of this repository, "
    "so that no change can change its own judge."
)
_INIT_SIGNED = "Changes must be signed: allowed_signers names your key. Let git sign: git config commit.gpgSign true."
_INIT_SELF_DECLARED = (
    "The author of a change is self-declared: git does not sign with SSH here. See docs/security.md, Signatures."
)
_NO_PUSH = click.option("--no-push", is_flag=True, help="Commit the branch locally; `push BRANCH` sends it later.")


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--model", required=True, help="The model that gets the artifact in staging.")
@_REASON
@_DRY_RUN
@_NO_PUSH
@verb
def stage(invocation: Invocation, directory: str, model: str, reason: str, dry_run: bool, no_push: bool) -> Answer:
    """Verify an artifact directory and put it into a model's staging."""
    planned = invocation.session.changes.plan_stage(directory, model, reason)
    return _submit(invocation, planned, dry_run=dry_run, push=not no_push)


@click.command()
@click.argument("model")
@click.option(
    "--to",
    "to_stage",
    required=True,
    type=click.Choice(["shadow", "active"]),
    help="The target stage: shadow from staging, active from shadow.",
)
@_REASON
@click.option("--ack", default="", metavar="PHRASE", help="The typed acknowledgement that a step to active needs.")
@click.option("--finding", default="", metavar="TEXT", help="Finding of the dashboard review; required for active.")
@click.option("--waive", multiple=True, metavar="GATE=REASON", help="Waive one gate, with a reason; repeatable.")
@click.option("--again", is_flag=True, help="Promote although a promotion of the same step is open.")
@_DRY_RUN
@_NO_PUSH
@verb
def promote(  # noqa: PLR0913 the options of the verb, each by name
    invocation: Invocation,
    *,
    model: str,
    to_stage: str,
    reason: str,
    ack: str,
    finding: str,
    waive: tuple[str, ...],
    again: bool,
    dry_run: bool,
    no_push: bool,
) -> Answer:
    """Promote a model one step, through its checklist, onto a branch."""
    session = invocation.session
    _require_only_one(invocation, model, Stage(to_stage), known=again or dry_run)
    target = session.changes.target(model, Stage(to_stage))
    judged = session.checklists.judge(target, finding=finding, waivers=_waivers(waive), on_gate=_say_gate)
    if dry_run and not judged.ready:
        return _blocked(judged)
    planned = session.changes.plan(judged, reason, ack=ack, preview=dry_run)
    return _submit(invocation, planned, dry_run=dry_run, push=not no_push)


def _require_only_one(invocation: Invocation, model: str, to_stage: Stage, *, known: bool) -> None:
    """Refuse a second open promotion of the same step; where it is ``known``, only say that there is one.

    Raises: Conflict where one is open.
    """
    session = invocation.session
    for each in session.ladders.same_step(model, to_stage)[:1]:
        since = span((session.clock.now() - each.subject.at).total_seconds())
        branch = visible(each.subject.branch)
        cause = f"{visible(each.subject.by)} opened this step of {visible(model)} {since} ago: {branch}."
        if not known:
            raise Conflict(
                cause,
                f"Land it with `mlconsole change land {branch}`, close it with `mlconsole change close {branch}`, "
                "or promote once more with --again.",
            )
        say(cause)


@click.command()
@click.argument("model")
@click.option(
    "--stage",
    "stage_name",
    required=True,
    type=click.Choice(["staging", "shadow"]),
    help="The stage to clear. An active model is rolled back instead.",
)
@_REASON
@_DRY_RUN
@_NO_PUSH
@verb
def withdraw(invocation: Invocation, model: str, stage_name: str, reason: str, dry_run: bool, no_push: bool) -> Answer:
    """Clear a model's staging or shadow."""
    planned = invocation.session.changes.plan_withdraw(model, Stage(stage_name), reason)
    return _submit(invocation, planned, dry_run=dry_run, push=not no_push)


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--to", default=None, metavar="ID", help="An artifact other than the last good one.")
@click.option("--reason", default="", help="Reason; default: EMERGENCY and the current breaches.")
@_DRY_RUN
@_NO_PUSH
@verb
def rollback(
    invocation: Invocation, models: tuple[str, ...], to: str | None, reason: str, dry_run: bool, no_push: bool
) -> Answer:
    """Bring the last good active artifact back. It needs no role and no ACK. Several models get one branch each."""
    chosen = _Rollback(to, reason, dry_run=dry_run, push=not no_push)
    if len(models) == 1:
        return _roll_back(invocation, models[0], chosen)
    if to is not None:
        raise Usage("--to names the artifact of one model.", "Roll these models back one by one, or without --to.")
    answers = {model: _attempted(invocation, model, chosen) for model in dict.fromkeys(models)}
    text = [line for model, answer in answers.items() for line in (f"{visible(model)}:", *answer.lines)]
    told = {model: answer.document for model, answer in answers.items()}
    document = documents.envelope(invocation.session.clock.now()) | {"rollbacks": told}
    return Answer(text, document, max(answer.code for answer in answers.values()))


class _Rollback(NamedTuple):
    to: str | None
    reason: str
    dry_run: bool
    push: bool


def _attempted(invocation: Invocation, model: str, chosen: _Rollback) -> Answer:
    """Roll back one of several models. Its error must not stop the others."""
    try:
        return _roll_back(invocation, model, chosen)
    except ConsoleError as error:
        return Answer(_rows(str(error)), error_document(error), error.exit_code)


def _roll_back(invocation: Invocation, model: str, chosen: _Rollback) -> Answer:
    session = invocation.session
    prepared = session.rollbacks.plan(model, chosen.to)
    if prepared.plan is None:
        # Nothing to do is a success. An emergency without a target must not look like one.
        done_already = not prepared.from_artifact or chosen.to == prepared.from_artifact
        document = documents.no_change(session.clock.now(), prepared)
        return Answer([prepared.why], document, 0 if done_already else 1)
    say(f"{prepared.from_artifact} → {prepared.to_artifact}: {prepared.why}")
    planned = session.rollbacks.reworded(prepared, chosen.reason or prepared.reason)
    return _submit(invocation, planned, dry_run=chosen.dry_run, push=chosen.push)


@click.command()
@click.argument("branch")
@verb
def push(invocation: Invocation, branch: str) -> Answer:
    """Push a branch that exists only locally, and read the remote back."""
    done = invocation.session.changes.push(branch)
    document = documents.envelope(invocation.session.clock.now()) | documents.plain(done)
    return Answer(_told(done), document, 0 if done.pushed else 3)


@click.command()
@click.argument("branch")
@verb
def land(invocation: Invocation, branch: str) -> Answer:
    """Bring a change branch into the base after the gate passed; for repositories without a forge."""
    return landing(invocation, invocation.session.changes.land(branch), branch)


def landing(invocation: Invocation, landed: Landing, branch: str) -> Answer:
    """The answer to a landing; `mlconsole change land` gives the same."""
    text = [*(lines.gate(item) for item in landed.gates), f"{landed.base} is now {landed.commit[:12]} ({branch})."]
    text += _rows(landed.problem) if landed.problem else []
    return Answer(text, documents.landing(invocation.session.clock.now(), landed))


@click.command()
@click.option("--base", metavar="REV", help="The commit that the change lands on. Its rules apply.")
@click.option("--head", metavar="REV", help="The commit of the change.")
@click.option("--offered", is_flag=True, help="Judge a branch that is not approved yet.")
@click.option(
    "--landed", is_flag=True, help="The head is now the base branch: its first-parent line must contain the base."
)
@click.option("--pre-receive", "received", metavar="BRANCH", help="Judge the refs of a push, as git's hook lists them.")
@click.option("--unit-tests", is_flag=True, help="Only run the base policy's unit tests on a clean export of the head.")
@verb
@measuring
def gate(
    invocation: Invocation,
    base: str | None,
    head: str | None,
    offered: bool,
    landed: bool,
    received: str | None,
    unit_tests: bool,
) -> Answer:
    """Judge a proposed change as CI does. With --pre-receive, judge a whole push as the server's hook does."""
    if received:
        return _receive(invocation, received)
    if not (base and head):
        raise Usage("There is nothing to judge.", "Give --base REV and --head REV.")
    if unit_tests:
        return _tests(invocation, base, head)
    gates = invocation.session.gate.judge(base, head, offered=offered, landed=landed)
    verdict = worst(item.verdict for item in gates)
    note = _OWN_CODE if invocation.session.gate.holds_own_code(base) else ""
    document = documents.envelope(invocation.session.clock.now(), verdict)
    document |= {"gates": judged_document(gates), "judge": f"mlconsole {__version__}", "note": note}
    text = [
        *(judged_line(item) for item in gates),
        f"Judged by mlconsole {__version__}, from {Path(__file__).parents[2]}.",
    ]
    return Answer([*text, note] if note else text, document, code_of(verdict))


def _tests(invocation: Invocation, base: str, head: str) -> Answer:
    found = invocation.session.gate.tests_of(base, head)
    document = documents.envelope(invocation.session.clock.now(), found.verdict) | {"gates": judged_document([found])}
    return Answer([judged_line(found)], document, code_of(found.verdict))


def _receive(invocation: Invocation, branch: str) -> Answer:
    found = invocation.session.gate.receive(sys.stdin.buffer.read(), branch)
    verdict = worst(Verdict.FAIL if item.why_not else Verdict.PASS for item in found)
    document = documents.envelope(invocation.session.clock.now(), verdict) | {"refs": documents.plain(found)}
    return Answer(received_lines(found), document, code_of(verdict))


@click.command()
@click.argument("branch")
@verb
def approve(invocation: Invocation, branch: str) -> Answer:
    """Approve another operator's branch with a signed approval bound to its commit."""
    given = invocation.session.changes.approve(branch)
    document = documents.envelope(invocation.session.clock.now()) | documents.plain(given)
    text = [f"{given.by} approves {given.commit[:12]} of {given.branch}.", given.why]
    if given.ref != usual_name(given.commit, given.approval):
        text.append(f"It is at {given.ref}, because somebody's ref on the remote leaves no room at the usual name.")
    return Answer(text, document, 0 if given.pushed else 3)


@click.command()
@_DRY_RUN
@_NO_PUSH
@verb
def init(invocation: Invocation, dry_run: bool, no_push: bool) -> Answer:
    """Propose, on a branch, a first policy that names you as operator, and a registry if there is none."""
    proposed = invocation.session.changes.first_policy(push=not no_push, dry_run=dry_run)
    document = documents.envelope(invocation.session.clock.now()) | documents.plain(proposed)
    text = [*_rows(proposed.policy), f"branch {proposed.branch}", *_rows(proposed.why)]
    text.append(_INIT_SIGNED if proposed.signed else _INIT_SELF_DECLARED)
    text += [f"{each.what} {each.remedy}" for each in untrusted(invocation.settings)]
    return Answer(text, document)


@click.group()
def evidence() -> None:
    """Evidence capsules, which promotions commit."""


@evidence.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@verb
def evidence_verify(invocation: Invocation, file: Path) -> Answer:
    """Recompute every verdict of a capsule from its raw responses, offline."""
    # Imported here: only this verb needs the judge without a repository.
    from ml.promotion.evidence import verify as verify_evidence  # noqa: PLC0415

    checks = verify_evidence(file.read_bytes())
    verdict = worst(item.verdict for item in checks)
    document = documents.envelope(SystemClock().now(), verdict) | {"checks": documents.plain(checks)}
    return Answer([lines.check(item) for item in checks], document, code_of(verdict))


def _waivers(waive: tuple[str, ...]) -> dict[str, str]:
    waivers: dict[str, str] = {}
    for item in waive:
        name, equals, reason = item.partition("=")
        if not (equals and name and reason.strip()):
            raise Usage(f"--waive {item!r} has no reason.", "Write it as --waive GATE=REASON.")
        waivers[name] = reason
    return waivers


def _say_gate(item: Gate) -> None:
    if item.verdict is not Verdict.WAIT:
        say(lines.gate(item))


def _submit(invocation: Invocation, planned: Plan, *, dry_run: bool, push: bool) -> Answer:
    if dry_run:
        return _answer(invocation, planned, None)
    return _answer(invocation, planned, invocation.session.changes.submit(planned, push=push))


def _answer(invocation: Invocation, planned: Plan, done: Submission | None) -> Answer:
    found = [f"{visible(each.field)} {visible(each.value)}: {visible(each.why)}" for each in planned.origins]
    text = [*planned.warnings, *found, *(lines.gate(item) for item in planned.gates)]
    if done is None:
        text += [f"branch {planned.branch}", "", *_rows(planned.diff), "", *_rows(planned.body)]
    else:
        text += _told(done)
    return Answer(text, documents.change(invocation.session.clock.now(), planned, done))


def _blocked(judged: Checklist) -> Answer:
    verdict = worst(item.verdict for item in judged.blockers)
    document = documents.envelope(judged.as_of, verdict) | {
        "branch": None,
        "commit": None,
        "pushed": False,
        "pr_url": "",
        "plan": {"target": documents.plain(judged.target)},
        "gates": documents.plain(judged.gates),
    }
    names = ", ".join(f"{item.name} {item.verdict.value}" for item in judged.blockers)
    return Answer([*(lines.gate(item) for item in judged.gates), f"blocked: {names}"], document, code_of(verdict))


def _told(done: Submission) -> list[str]:
    parts = [f"branch {done.branch} is {done.commit[:12]}.", *_rows(done.why)]
    if done.pr_url:
        parts.append(done.pr_url)
    if done.body_path:
        parts.append(f"The pull request's body is in {done.body_path}.")
    parts += [f"{next_words(done)}:", f"  {next_command(done)}"]
    return [part for part in parts if part]


def _rows(text: str) -> list[str]:
    """Return a text's lines, with tabs expanded as a terminal does."""
    return text.expandtabs(8).removesuffix("\n").split("\n")
