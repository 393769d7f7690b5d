"""The values of a change's receipt ladder: its rungs, their states and proofs, and the facts that they come from.

Frozen, and without I/O. `ml.promotion.ladder` computes a ladder from facts; `ml.session.ladders` gathers the facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ml.metrics_contract import INFO


class Rung(StrEnum):
    """The rungs of a change, from the first to the last."""

    PLANNED = "planned"
    PUSHED = "pushed"
    CHECKED = "checked"
    APPROVED = "approved"
    MERGED = "merged"
    DEPLOYED = "deployed"
    SERVING = "serving"


class State(StrEnum):
    """The state of one rung. Only ``reached`` is proven; ``unknown`` is neither reached nor missed."""

    REACHED = "reached"
    WAITING = "waiting"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_NEEDED = "not-needed"


class Why(StrEnum):
    """The code of the reason behind a rung's state. Machines compare it; the sentence beside it is for people."""

    PROVEN = "proven"
    NO_REMOTE = "no-remote"
    REMOTE_SILENT = "remote-silent"
    LOCAL_ONLY = "local-only"
    OTHER_COMMIT = "other-commit"
    GONE = "gone"
    NO_FORGE = "no-forge"
    FORGE_SILENT = "forge-silent"
    NO_REQUEST = "no-request"
    NO_CHECK = "no-check"
    CHECKS_UNREAD = "checks-unread"
    CHECKS_RUN = "checks-run"
    CHECKS_FAILED = "checks-failed"
    CHANGES_REQUESTED = "changes-requested"
    APPROVALS_MISSING = "approvals-missing"
    RULES_UNREAD = "rules-unread"
    NO_APPROVAL_ASKED = "no-approval-asked"
    NOT_MERGED = "not-merged"
    BASE_UNREAD = "base-unread"
    NOT_SERVED = "not-served"
    NO_SOURCE = "no-source"
    SOURCE_SILENT = "source-silent"
    NO_ENGINE = "no-engine"
    ENGINE_DOWN = "engine-down"
    ENGINE_BEHIND = "engine-behind"
    COMMIT_UNKNOWN = "commit-unknown"
    OTHER_ARTIFACT = "other-artifact"
    NOT_ACTIVE = "not-active"
    KILLED = "killed"


class ProofKind(StrEnum):
    """The source of a proof."""

    COMMIT = "commit"
    REMOTE_REF = "remote-ref"
    BASE = "base"
    FORGE = "forge"
    AUDIT = "audit"
    APPROVALS = "approvals"
    ENGINES = "engines"


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof of a rung: where it was read, and what stands there."""

    kind: ProofKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rung of one change.

    ``at`` and ``by`` are ``None`` and empty where nothing proves them, which says nothing about the rung itself.
    ``why`` is one sentence, ``todo`` what to do where the rung stands still. ``lasting``: the rung stays unknown for
    as long as the configuration is as it is, so that nobody needs to wait for it.
    """

    rung: Rung
    state: State
    code: Why
    why: str
    at: datetime | None = None
    by: str = ""
    proof: Proof | None = None
    todo: str = ""
    lasting: bool = False

    @property
    def passed(self) -> bool:
        """True if the change needs nothing more on this rung."""
        return self.state in (State.REACHED, State.NOT_NEEDED)


class Ending(StrEnum):
    """The end of a change that goes no further; ``open`` while it may."""

    OPEN = "open"
    CLOSED = "closed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The change that a ladder is about. ``action`` is the first part of its branch's name.

    ``model``, ``artifact_id`` and ``to_stage`` come from its commit's trailers; empty for a change of the rules.
    """

    branch: str
    commit: str
    action: str
    model: str
    artifact_id: str
    to_stage: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """A change and its rungs. ``ended_at``, ``ended_by`` and ``ending_why`` tell of a change that goes no further.

    ``address`` is the page of its pull or merge request, empty where no forge named one.
    """

    subject: Subject
    as_of: datetime
    steps: tuple[Step, ...]
    ending: Ending = Ending.OPEN
    ended_at: datetime | None = None
    ended_by: str = ""
    ending_why: str = ""
    address: str = ""

    def step(self, rung: Rung) -> Step:
        """One rung."""
        return next(step for step in self.steps if step.rung is rung)

    @property
    def highest(self) -> Step:
        """The highest rung that is proven. A plan is a commit, so that there is one."""
        return next(step for step in reversed(self.steps) if step.state is State.REACHED)

    @property
    def next(self) -> Step | None:
        """The first rung above the highest that still needs something; ``None`` where none does.

        One that stays unknown by the configuration comes last, because waiting for it helps nobody.
        """
        above = [step for step in self.steps[self.steps.index(self.highest) + 1 :] if not step.passed]
        return next((step for step in above if not step.lasting), above[0] if above else None)

    @property
    def stands_at(self) -> Step | None:
        """The rung to look at first: one that failed before the landing, else `next`.

        A change may be approved although its checks failed; then the failure matters more than the landing.
        """
        failed = next((step for step in self.steps if step.state is State.FAILED), None)
        return self.next if failed is None or self.step(Rung.MERGED).state is State.REACHED else failed

    @property
    def done(self) -> bool:
        """True if the change has landed and nothing above needs anything more."""
        return self.step(Rung.MERGED).passed and self.next is None


class Outcome(StrEnum):
    """The answer to a wait for one rung."""

    REACHED = "reached"
    WAITING = "waiting"
    ENDED = "ended"
    UNKNOWN = "unknown"


# The facts that a ladder is computed from.


@dataclass(frozen=True, slots=True)
class Record:
    """A line of this machine's audit log: when, by whom, and its number."""

    at: datetime | None
    by: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFacts:
    """The change's branch at the remote.

    ``name`` is empty in a repository without a remote. ``why`` is why the remote did not answer just now, empty where
    it did; ``tip`` is then what was fetched last. ``pushed`` and ``closed`` are lines of the audit log.
    """

    name: str = ""
    tip: str | None = None
    why: str = ""
    pushed: Record | None = None
    closed: Record | None = None


class Checks(StrEnum):
    """The result of a forge's checks of one commit, all taken together."""

    PASSED = "passed"
    FAILED = "failed"
    RUNNING = "running"
    NONE = "none"
    UNREAD = "unread"


class Review(StrEnum):
    """A forge's decision about a request."""

    APPROVED = "approved"
    REQUIRED = "required"
    CHANGES = "changes"
    NONE = "none"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A pull or merge request, as the forge's own tool shows it; every text is safe to print.

    ``state`` is ``open``, ``merged`` or ``closed``. ``checks_at`` is when the last check ended. ``failed`` names
    checks that failed or still run. ``head`` is the commit that checks and review are about.
    """

    tool: str
    address: str
    branch: str
    head: str
    base: str
    state: str
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""
    checks: Checks = Checks.UNREAD
    checks_at: datetime | None = None
    failed: tuple[str, ...] = ()
    review: Review = Review.UNREAD
    reviewers: tuple[str, ...] = ()
    reviewed_at: datetime | None = None


class ForgeState(StrEnum):
    """The state of a forge at one question. ``none``: no forge that we know, or no tool that is logged in."""

    NONE = "none"
    ANSWERED = "answered"
    SILENT = "silent"
    LIMITED = "limited"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeAnswer:
    """The requests of a forge, or one sentence of why there is no answer, and of what helps."""

    state: ForgeState = ForgeState.NONE
    requests: tuple[Request, ...] = ()
    why: str = ""
    remedy: str = ""

    def about(self, branch: str, commit: str) -> Request | None:
        """The request of a branch, the one of exactly this commit first."""
        found = [each for each in self.requests if each.branch == branch]
        return next((each for each in found if each.head == commit), found[0] if found else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """Signed approvals of the change's commit by git.

    ``needed`` is how many beside the author's the base's policy asks for, ``None`` where it cannot be read (``why``).
    ``by`` are the operators that count, ``at`` is when the last of them approved.
    """

    needed: int | None = None
    by: tuple[str, ...] = ()
    at: datetime | None = None
    why: str = ""


class How(StrEnum):
    """The way in which a change came to the base."""

    FAST_FORWARD = "fast-forward"
    MERGE = "merge"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Landed:
    """The commit of the base's first-parent line that brought a change, by git alone.

    ``by`` is empty after a fast-forward, because the commit then tells who planned it and not who landed it. ``at``
    is ``None`` for the same reason.
    """

    commit: str
    how: How
    at: datetime | None
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """The base branch. ``landed`` is ``None`` while the change is not in it.

    ``moved``: the base holds another text of the change's model than the one that it was planned on. ``left``: the
    change landed, and the base points to something else by now. ``why``: why nothing is known about the base.
    ``recorded`` is the audit line of a landing by this machine.
    """

    name: str
    commit: str = ""
    landed: Landed | None = None
    moved: bool = False
    left: bool = False
    why: str = ""
    recorded: Record | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine instance and the change: does the registry that it loaded ``holds`` it? ``None``: not known here."""

    instance: str
    stage: str
    artifact_id: str
    registry_commit: str
    holds: bool | None
    up: bool | None
    active_on: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """The engines of the change's model, by ``metric``: the runbook's ``grinder_ml_model_info``, or the policy's own.

    ``configured``: there is a metrics source. ``why``: why it gave no answer. ``killed``: the kill switch is on
    (``None``: unknown). ``since``: when the last of them began to serve the change, where the source knows.
    """

    configured: bool = False
    why: str = ""
    engines: tuple[Engine, ...] = ()
    killed: bool | None = None
    since: datetime | None = None
    metric: str = INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that one ladder is computed from."""

    remote: RemoteFacts
    forge: ForgeAnswer
    approvals: Approvals
    base: BaseFacts
    engines: EngineFacts
