"""Submission of a plan: commit, branch, push, read back; one at a time, journaled, never half (contract §5).

A change exists for others from the moment that its branch is on the remote. Before that everything is local and a
failure leaves everything as it was. After that, the remote is asked for the truth, whatever the push reported.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ml.difference import difference
from ml.errors import Conflict, ConsoleError, Refused
from ml.policy import parse_policy
from ml.ports import Progress, Report
from ml.promotion.carry import carried
from ml.promotion.gate.authority import exemption, signature_of, signed
from ml.promotion.publish import Desk, Sent, current_base, later, send
from ml.promotion.repository import CHANGE_PREFIXES, Objects
from ml.promotion.values import Plan, Submission, of_change
from ml.records.durable import replace_file
from ml.records.journal import Entry
from ml.text import visible

_STEPS = 4
Record = Callable[[str, Sent], str]
"""Writes the commit and its result to the audit log; returns why that failed, or nothing."""


def submit(
    plan: Plan,
    desk: Desk,
    *,
    now: datetime,
    push: bool = True,
    report: Report | None = None,
    record: Record | None = None,
) -> Submission:
    """Commit a plan to its branch, push it and read the remote back.

    ``record`` is called while the journal still knows of the change; what it cannot record stays in the journal, so
    that the next start does.

    Returns a submission that is not ``pushed`` where the remote is out of reach: the branch then stays local.

    Raises:
        Conflict: the model's slice of the registry, or the rules, moved since the plan was made, with the difference;
            nothing was written.
        Refused: the server refused the push, with its words; the branch was taken back.
        Unavailable: git or the journal cannot write; nothing was written.
    """
    tell = report or _silent
    repository = desk.repository
    with repository.writer.exclusive():
        tell(Progress("base", 0, _STEPS, f"looking at {desk.base}"))
        onto, offline = current_base(desk, plan.target.base_commit)
        plan = _on(plan, onto, desk, now)
        ref = f"refs/heads/{plan.branch}"
        facts = {"branch": plan.branch, "base": onto, "remote": desk.home(ref), **of_change(plan.target)}
        with desk.journal.begin("submit", **facts) as entry:
            tell(Progress("commit", 1, _STEPS, plan.title))
            commit = _commit(plan, desk, onto, now)
            entry.step("branch", commit=commit)
            repository.refs.create(ref, commit)
            tell(Progress("push", 2, _STEPS, plan.branch))
            if offline or not push or not desk.remote:
                sent = _kept(desk, offline, plan.branch)
            else:
                size = sum(len(content) for _, content in plan.files)
                sent = _send_or_take_back(desk, ref, commit, entry, size)
            unrecorded = record(commit, sent) if record is not None else ""
            if sent.settled and not unrecorded:
                entry.done()
    tell(Progress("request", 3, _STEPS, sent.why))
    return Submission(
        branch=plan.branch,
        commit=commit,
        pushed=sent.there,
        why=f"{sent.why} {unrecorded}".rstrip(),
        pr_url=_request(desk, plan.branch, plan.title, plan.body) if sent.there else "",
        body_path=_keep_body(desk, plan),
    )


def push_branch(branch: str, desk: Desk, report: Report | None = None) -> Submission:
    """Push a change branch that stayed local.

    Raises:
        Refused: there is no such local branch, or the server refuses it, with its words.
        Unavailable: the journal cannot be written.
    """
    tell = report or _silent
    ref = f"refs/heads/{branch}"
    repository = desk.repository
    with repository.writer.exclusive():
        commit = repository.refs.resolve(ref) if branch.startswith(CHANGE_PREFIXES) else None
        if commit is None:
            raise Refused(
                f"There is no local change branch {visible(branch)}.", "See the open changes with `mlconsole status`."
            )
        if not desk.remote:
            raise Refused("This repository has no remote to push to.", "Land the branch instead.")
        tell(Progress("push", 0, 1, branch))
        with desk.journal.begin("push", branch=branch, remote=desk.home(ref), commit=commit) as entry:
            sent = send(desk, ref, commit, entry)
            if sent.settled:
                entry.done()
    title = repository.history.commit(commit).message.partition("\n")[0]
    url = _request(desk, branch, title, _committed_body(repository.objects, commit)) if sent.there else ""
    return Submission(branch=branch, commit=commit, pushed=sent.there, why=sent.why, pr_url=url)


_SIGN = "Run git config gpg.format ssh, git config user.signingKey KEY and git config commit.gpgSign true."


def _commit(plan: Plan, desk: Desk, onto: str, now: datetime) -> str:
    """The commit of a plan, signed as the rules ask; no ref leads to it yet."""
    repository = desk.repository
    for content in plan.large:
        repository.lfs.keep(content)
    commit = repository.writer.commit(onto, plan.files, plan.message, repository.writer.identity(), now)
    _require_signature(plan, desk, onto, commit)
    return commit


def _on(plan: Plan, onto: str, desk: Desk, now: datetime) -> Plan:
    """The plan on the base as it is now: it holds with the same slice of the registry and the same rules.

    Its ACK holds for its time only. A change that needs no policy (such as a rollback) is not blocked by a new one.
    """
    if plan.ack and now > plan.ack.expires_at:
        raise Refused("The acknowledgement has expired.", "Acknowledge it again; all gates are judged again first.")
    planned, repository, places = plan.target.base_commit, desk.repository, desk.places
    if onto == planned:
        return plan
    archive = places.archive(plan.target.model)
    ruled = () if exemption(plan.target.action) else (places.policy, places.signers)
    for path in (archive, *ruled):
        if repository.objects.blob_id(onto, path) != repository.objects.blob_id(planned, path):
            raise _moved(path, planned, onto, desk)
    path = places.registry
    if repository.objects.blob_id(onto, path) == repository.objects.blob_id(planned, path):
        return plan
    before, after = (repository.objects.read(commit, path) or b"" for commit in (planned, onto))
    there = carried(plan, before, after, repository.objects.read(onto, archive) or b"", places, now) if after else None
    if there is None:
        raise _moved(path, planned, onto, desk)
    return there


def _moved(path: str, planned: str, onto: str, desk: Desk) -> Conflict:
    before, after = (desk.repository.objects.read(commit, path) or b"" for commit in (planned, onto))
    return Conflict(
        f"{visible(path)} changed on {visible(desk.base)} after this change was planned.",
        "Look at the difference, then plan anew.",
        difference(before, after, path),
    )


def _require_signature(plan: Plan, desk: Desk, onto: str, commit: str) -> None:
    """Refuse an unproven author before anything is published, by the same rule as the gate."""
    exempt = exemption(plan.target.action)
    if exempt:
        return
    repository, places = desk.repository, desk.places
    policy = parse_policy(repository.objects.read(onto, places.policy))
    if policy.ack.signed:
        signers = repository.objects.read(onto, places.signers)
        signature = signature_of(
            repository.signatures, commit, signers, repository.history.commit(commit).at, plan.target.actor
        )
        gate = signed(policy, signature, plan.target.actor)
        if not gate.verdict.opens:
            raise Refused(f"This change must be signed: {gate.why}.", _SIGN)


def _send_or_take_back(desk: Desk, ref: str, commit: str, entry: Entry, size: int) -> Sent:
    try:
        return send(desk, ref, commit, entry, size)
    except ConsoleError:
        desk.repository.refs.delete(ref, commit)
        raise


def _kept(desk: Desk, offline: str, branch: str) -> Sent:
    why = offline or ("Not pushed, as asked." if desk.remote else "This repository has no remote.")
    return Sent(False, f"{why} {later(branch)}" if desk.remote else why)


def _request(desk: Desk, branch: str, title: str, body: str) -> str:
    url, fork = (desk.repository.remotes.url(each) if each else "" for each in (desk.remote, desk.fork))
    return desk.forge.open_request(url, branch, desk.base, title, body, fork_url=fork)


def _keep_body(desk: Desk, plan: Plan) -> str:
    """Keep the pull request's text where a person can copy it from; a full disk must not undo what was pushed."""
    path = desk.bodies / f"{plan.branch.replace('/', '-')}.md"
    try:
        replace_file(path, plan.body.encode())
    except OSError:
        return ""
    return str(path)


def _committed_body(objects: Objects, commit: str) -> str:
    changed = objects.changes(f"{commit}^", commit)
    path = next((change.path for change in changed if change.path.endswith("/pr_body.md")), "")
    return (objects.read(commit, path) or b"").decode("utf-8", "replace") if path else ""


def _silent(progress: Progress) -> None:
    """Ignore the progress."""
