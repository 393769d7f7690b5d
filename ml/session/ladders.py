"""The receipt ladders of changes: facts from git, the audit log, the forge and the engines; waits, landings, closings.

Every look fetches once, asks the forge seldom, and has a deadline. What does not answer leaves its rungs unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ml.clock import parse_utc
from ml.errors import ConsoleError, Usage
from ml.promotion.close import Closing, close
from ml.promotion.ladder import ladder, outcome
from ml.promotion.landed import Tracked, landed, moved, tracked
from ml.promotion.publish import Desk
from ml.promotion.repository import BranchInfo, CommitInfo
from ml.promotion.rungs import (
    BaseFacts,
    Ending,
    EngineFacts,
    Facts,
    ForgeAnswer,
    Ladder,
    Landed,
    Outcome,
    Record,
    RemoteFacts,
    Rung,
    State,
    Subject,
)
from ml.promotion.values import Landing
from ml.records.audit import AuditLine
from ml.registry.schema import Model
from ml.session.changes import Changes
from ml.session.context import Context
from ml.session.following import EngineLook, ForgeLook, approvals_of
from ml.session.gate import ChangeGate
from ml.session.registries import Registries
from ml.stage import Action, Stage
from ml.text import visible

_FIRST_REST_S, _LONGEST_REST_S = 1.0, 15.0
_LEAST_COMMIT = 7
"""The digits of a commit by which a change can be named."""
_SEVERAL = 6
_FOLLOWED = timedelta(days=1)
"""A change that landed is listed for this long after it was planned, unless it serves before."""


@dataclass(frozen=True, slots=True)
class Waited:
    """The end of a wait: the ladder as seen last, and the answer. ``waiting`` means that the time was over."""

    ladder: Ladder
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the remote and the base, shared by the ladders of one question."""

    desk: Desk
    base: str
    why: str
    unreadable: str
    lines: Sequence[AuditLine]
    at: datetime


class Ladders:
    """Finds changes by name and follows them. Safe to use from several threads."""

    def __init__(self, context: Context, registries: Registries, gate: ChangeGate, changes: Changes) -> None:
        self._context = context
        self._registries = registries
        self._gate = gate
        self._changes = changes
        self._forge = ForgeLook(context)
        self._engines = EngineLook(context, registries)
        self._seen: set[tuple[str, str]] = set()
        self._over: tuple[str, frozenset[str]] = ("", frozenset())

    def listed(self, *, ended: bool = False) -> tuple[Ladder, ...]:
        """The ladders of all open changes, the newest first; with ``ended`` also of those that ended.

        A change that landed is open for a day, as long as engines are asked and do not all serve it. Landed changes
        are known for as long as this clone or the remote has their branch.
        """
        look = self._look()
        if ended:
            found = [self._climbed(look, branch, brief=True) for branch in self._branches(look.desk)]
            return _newest_first(found)
        return _newest_first([each for each in self._current(look) if _is_open(each)])

    def followed(self) -> tuple[Ladder, ...]:
        """The ladders of all open changes, and of those of the last day that reached their end, the newest first."""
        found = (each for each in self._current(self._look()) if each.ending is Ending.OPEN)
        return _newest_first([each for each in found if _is_open(each) or each.as_of - each.subject.at < _FOLLOWED])

    def _current(self, look: _Look) -> list[Ladder]:
        """The ladders of all changes but those that an earlier look at this base found to be over for good."""
        base, known = self._over
        over = known if base == look.base else frozenset()
        branches = [each for each in self._branches(look.desk) if _key(each) not in over]
        found = [(branch, self._climbed(look, branch, brief=True)) for branch in branches]
        self._over = (look.base, over | {_key(branch) for branch, each in found if _is_over(each)})
        return [each for _, each in found]

    def same_step(self, model: str, to_stage: Stage, *, fetch: bool = True) -> tuple[Ladder, ...]:
        """The open promotions of a model to a stage that have not landed, the newest first.

        Args:
            fetch: ask the remote and the forge first. Without it, only what was fetched last counts; nothing waits.
        """
        look = self._look(fetch=fetch)
        mine = f"{Action.PROMOTE}/"
        branches = [each for each in self._branches(look.desk) if each.name.startswith(mine)]
        found = (self._climbed(look, each, brief=True, ask=fetch) for each in branches if _names(each, model))
        return _newest_first([each for each in found if _may_land(each, model, to_stage)])

    def show(self, name: str) -> Ladder:
        """The ladder of one change, by its branch or the beginning of its name.

        Raises: Usage when there is no such change, or several.
        """
        look = self._look()
        return self._climbed(look, self._named(look.desk, name))

    def wait(
        self,
        name: str,
        until: Rung,
        timeout_s: float,
        *,
        changed: Callable[[Ladder], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Waited:
        """Follow a change until a rung is reached, the change ends, or the time is over; looks at least once.

        Args:
            changed: gets each ladder that differs from the one before in a rung's state.
            sleep: waits between two looks, from one second to fifteen.

        Raises: Usage when there is no such change, or several.
        """
        clock = self._context.clock
        ends, rest = clock.monotonic() + timeout_s, _FIRST_REST_S
        look = self._look()
        branch = self._named(look.desk, name)
        last: Ladder | None = None
        while True:
            found = self._climbed(look, branch)
            if changed is not None and (last is None or _states(found) != _states(last)):
                changed(found)
            last, answer = found, outcome(found, until)
            left = ends - clock.monotonic()
            if answer is not Outcome.WAITING or left <= 0:
                unknown = answer is Outcome.WAITING and found.step(until).state is State.UNKNOWN
                return Waited(found, Outcome.UNKNOWN if unknown else answer)
            sleep(min(rest, left))
            rest = min(rest * 1.5, _LONGEST_REST_S)
            look = self._look()

    def branch(self, name: str) -> str:
        """The whole name of a change's branch. Raises as `show`."""
        look = self._look()
        return self._named(look.desk, name).name

    def land(self, name: str) -> Landing:
        """Land a change as `ml.session.changes.Changes.land` does. Raises as that, and as `show`."""
        return self._changes.land(self.branch(name))

    def close(self, name: str, reason: str = "") -> Closing:
        """Close a change without landing it, and note it in the audit log.

        Raises: as `show`, and as `ml.promotion.close.close`.
        """
        self._context.require_write()
        by = self._context.repository.writer.identity().email
        look = self._look()
        found = self._climbed(look, self._named(look.desk, name), brief=True)
        branch = found.subject.branch
        done = close(branch, look.desk, found.step(Rung.MERGED).state is State.REACHED)
        try:
            self._context.audit.append("close", by=by, branch=branch, commit=done.commit, reason=reason.strip())
        except ConsoleError as error:
            done = replace(done, problem=str(error))
        self._context.notifier.tell("close", f"{by} closed {branch}. {reason.strip()}".rstrip(), branch=branch)
        return done

    # Names.

    def _branches(self, desk: Desk) -> tuple[BranchInfo, ...]:
        return self._context.repository.refs.branches(desk.remote or "origin", fork=desk.fork)

    def _named(self, desk: Desk, name: str) -> BranchInfo:
        branches = self._branches(desk)
        exact = [each for each in branches if each.name == name]
        found = exact or [each for each in branches if name and _begins(each, name)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise Usage(f"There is no change {visible(name)!r}.", "See them with `mlconsole change list --all`.")
        names = ", ".join(visible(each.name) for each in found[:_SEVERAL])
        more = f" and {len(found) - _SEVERAL} more" if len(found) > _SEVERAL else ""
        raise Usage(f"{visible(name)!r} is the beginning of several changes.", f"Give more of it: {names}{more}.")

    # Facts.

    def _look(self, *, fetch: bool = True) -> _Look:
        """Fetch, and read what all ladders share. A remote that does not answer is a fact."""
        desk, why, unreadable = self._gate.desk(), "", ""
        if desk.remote and fetch:
            try:
                self._context.repository.remotes.fetch(desk.remote, desk.base, fork=desk.fork)
            except ConsoleError as sick:
                why = str(sick)
        base = self._registries.ref().commit
        lines: Sequence[AuditLine] = ()
        try:
            lines = self._context.audit.read()
        except ConsoleError as sick:
            unreadable = str(sick)
        return _Look(desk, base, why, unreadable, lines, self._context.clock.now())

    def _climbed(self, look: _Look, branch: BranchInfo, *, brief: bool = False, ask: bool = True) -> Ladder:
        """One ladder. A ``brief`` one asks the forge in one question for all branches; ``ask``: as `ForgeLook`."""
        remote = self._remote(look, branch)
        commit = branch.commit
        if remote.tip is not None and remote.tip != commit.sha and look.desk.repository.refs.resolve(remote.tip):
            commit = look.desk.repository.history.commit(remote.tip)  # what the remote has is what lands
            remote = replace(remote, pushed=_record(look.lines, branch.name, commit.sha, pushed=True))
        subject, content, why = self._subject(look, branch.name, commit)
        base = self._base(look, subject, content, why)
        facts = Facts(
            remote=remote,
            forge=self._forge.about("" if brief else branch.name, look.desk, ask=ask)
            if look.desk.remote
            else ForgeAnswer(),
            approvals=approvals_of(look.desk, look.base, subject, look.at),
            base=base,
            engines=self._engines.facts(subject, base, content) if base.landed and content else self._unlanded(),
        )
        return ladder(subject, facts, look.at)

    def _unlanded(self) -> EngineFacts:
        return EngineFacts(configured=self._context.metrics is not None)

    def _subject(self, look: _Look, branch: str, commit: CommitInfo) -> tuple[Subject, Tracked | None, str]:
        """The change of a branch, its content, and why that cannot be read."""
        carrier, why = commit, ""
        content: Tracked | None = None
        try:
            carrier = self._carrier(look.base, commit)
            content = tracked(look.desk.repository, look.desk.places, look.base, commit, carrier.trailer("Model"))
        except ConsoleError as sick:
            why = sick.cause
        subject = Subject(
            branch=branch,
            commit=commit.sha,
            action=branch.partition("/")[0],
            model=visible(carrier.trailer("Model"), limit=120),
            artifact_id=visible(carrier.trailer("Artifact"), limit=120),
            to_stage=visible(carrier.trailer("To-Stage"), limit=20),
            by=visible(carrier.author.email, limit=200),
            at=carrier.at,
        )
        return subject, content, why

    def _carrier(self, base: str, commit: CommitInfo) -> CommitInfo:
        """The commit with the change's trailers: the tip, or one below it where the branch was brought up to date."""
        if commit.trailer("To-Stage"):
            return commit
        history = self._context.repository.history
        fork = history.merge_base(base, commit.sha)
        above = history.between(fork, commit.sha) if fork else ()
        return next((each for each in reversed(above) if each.trailer("To-Stage")), commit)

    def _remote(self, look: _Look, branch: BranchInfo) -> RemoteFacts:
        desk, refs = look.desk, look.desk.repository.refs
        if not desk.remote:
            return RemoteFacts(closed=_closed(look.lines, branch))
        tips = {each: refs.resolve(f"refs/remotes/{each}/{branch.name}") for each in (desk.remote, desk.fork) if each}
        name = next((each for each, tip in tips.items() if tip), desk.home(f"refs/heads/{branch.name}"))
        tip = tips.get(name)
        pushed = _record(look.lines, branch.name, branch.commit.sha, pushed=True)
        if tip == branch.commit.sha:
            self._seen.add((branch.name, tip))
        elif pushed is None and (branch.name, branch.commit.sha) in self._seen:
            pushed = Record(None, "", 0)  # it was there at an earlier look of this session
        return RemoteFacts(name=name, tip=tip, why=look.why, pushed=pushed, closed=_closed(look.lines, branch))

    def _base(self, look: _Look, subject: Subject, content: Tracked | None, why: str) -> BaseFacts:
        desk = look.desk
        facts = BaseFacts(name=desk.base, commit=look.base)
        if content is None:
            return replace(facts, why=why or "its branch shares no history with the base.")
        try:
            found = landed(desk.repository, desk.places, look.base, content)
            changed = found is None and moved(desk.repository, desk.places, look.base, content)
        except ConsoleError as sick:
            return replace(facts, why=sick.cause)
        left = found is not None and self._left(subject)
        return replace(facts, landed=found, moved=changed, left=left, recorded=self._recorded(look, subject, found))

    def _recorded(self, look: _Look, subject: Subject, found: Landed | None) -> Record | None:
        """The audit line of the landing; only where it names the branch, and the base holds what it landed."""
        if found is None:
            return None
        history = self._context.repository.history
        for line in reversed(look.lines):
            commit = line.fields.get("commit")
            if line.kind == "land" and line.fields.get("branch") == subject.branch and isinstance(commit, str):
                return _as_record(line) if history.is_ancestor(commit, look.base) else None
        return None

    def _left(self, subject: Subject) -> bool:
        """True if the base points to something else than this landed change made it point to, as far as it is read."""
        if subject.to_stage not in (Stage.SHADOW, Stage.ACTIVE):
            return False
        try:
            models = self._registries.now(despite_policy=True).document.registry.models
        except ConsoleError:
            return False  # the landing stands, and every other view reports why the registry cannot be read
        pointer = models.get(subject.model, Model()).pointer(Stage(subject.to_stage))
        there = pointer.artifact_id if pointer is not None else ""
        return (there == subject.artifact_id) == (subject.action == Action.WITHDRAW)


def _is_open(found: Ladder) -> bool:
    if found.ending is not Ending.OPEN or found.next is None:
        return False
    landed = found.step(Rung.MERGED).state is State.REACHED
    return not landed or (not found.next.lasting and found.as_of - found.subject.at < _FOLLOWED)


def _is_over(found: Ladder) -> bool:
    """True if nothing but another base or another commit can make the change open again."""
    if found.step(Rung.MERGED).state is State.REACHED:
        return found.as_of - found.subject.at >= _FOLLOWED
    return found.ending is Ending.SUPERSEDED


def _may_land(found: Ladder, model: str, to_stage: Stage) -> bool:
    subject = found.subject
    same = (subject.action, subject.model, subject.to_stage) == (Action.PROMOTE, model, to_stage)
    return same and found.ending is Ending.OPEN and found.step(Rung.MERGED).state is not State.REACHED


def _names(branch: BranchInfo, model: str) -> bool:
    """True if a branch may be about a model, by its name or its commit; its ladder then knows."""
    return f"/{model}/" in branch.name or branch.commit.trailer("Model") == model


def _key(branch: BranchInfo) -> str:
    return f"{branch.name} {branch.commit.sha} {branch.pushed}"


def _newest_first(found: Sequence[Ladder]) -> tuple[Ladder, ...]:
    return tuple(sorted(found, key=lambda each: each.subject.at, reverse=True))


def _states(found: Ladder) -> tuple[object, ...]:
    return (found.ending, *((step.state, step.code) for step in found.steps))


def _begins(branch: BranchInfo, name: str) -> bool:
    return branch.name.startswith(name) or (len(name) >= _LEAST_COMMIT and branch.commit.sha.startswith(name))


def _closed(lines: Sequence[AuditLine], branch: BranchInfo) -> Record | None:
    return _record(lines, branch.name, branch.commit.sha, kind="close")


def _record(
    lines: Sequence[AuditLine], branch: str, commit: str, kind: str = "", *, pushed: bool = False
) -> Record | None:
    """The newest audit line about a branch at a commit: of one kind, or of any that says that it was pushed."""
    for line in reversed(lines):
        fields = line.fields
        about = fields.get("branch") == branch and fields.get("commit") == commit
        if about and ((kind and line.kind == kind) or (pushed and fields.get("pushed") is True)):
            return _as_record(line)
    return None


def _as_record(line: AuditLine) -> Record:
    try:
        at = parse_utc(line.at)
    except ValueError:
        at = None
    return Record(at, visible(str(line.fields.get("by", "")), limit=200), line.seq)
