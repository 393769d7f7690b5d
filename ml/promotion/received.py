"""The gate of a server's ``pre-receive`` hook: every ref of a push is judged before any of them moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ml.errors import ConsoleError, Usage
from ml.promotion.approvals import slot_of
from ml.promotion.repository import APPROVALS, CHANGE_PREFIXES, Reader
from ml.text import visible
from ml.verdict import Gate, Verdict

_HEADS = "refs/heads/"
_REPLACEMENTS = "refs/replace/"
_DEEP = {"init/": 1}
"""The number of parts after the prefix of a change branch: model and change; after ``init/`` only the change."""


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref that a push would move. An empty ``old`` creates it, an empty ``new`` deletes it."""

    ref: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Received:
    """One ref of a push, and every reason to refuse it; without any it may move.

    ``notes`` are lines of the gate that refuse nothing and that the policy wants reported all the same.
    """

    ref: str
    why_not: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Judges(Protocol):
    """The gate over two commits; ``offered``: not landing yet, so nobody can have approved it."""

    def __call__(self, base: str, head: str, *, offered: bool = False) -> Sequence[Gate]:
        """Every line of the gate."""
        ...


class Approves(Protocol):
    """The judge of approvals."""

    def __call__(self, base: str, slot: tuple[str, str], note: str) -> str:
        """The reason why a commit is no operator's approval for that slot, by the rules of ``base``; else empty."""
        ...


def parse_updates(told: bytes) -> tuple[RefUpdate, ...]:
    """Parse the input of a ``pre-receive`` hook: a line ``<old> <new> <ref>`` for each ref, zeros for none.

    Raises:
        Usage: it is something else.
    """
    lines = told.decode("utf-8", "surrogateescape").split("\n")  # a ref's name may hold what else ends lines
    return tuple(_update(line) for line in lines if line)


def _update(line: str) -> RefUpdate:
    words = line.split(" ", 2)
    if len(words) != 3:
        raise Usage(f"{visible(line)!r} is no line of git's pre-receive hook.", "Call it from that hook.")
    old, new = ("" if not word.strip("0") else word for word in words[:2])
    return RefUpdate(words[2], old, new)


@dataclass(frozen=True, slots=True)
class _Server:
    repository: Reader
    branch: str
    judge: Judges
    approves: Approves


def receive(
    updates: Sequence[RefUpdate], repository: Reader, branch: str, judge: Judges, approves: Approves
) -> tuple[Received, ...]:
    """Judge every ref of a push. ``branch`` is the base, the one that engines follow.

    A change branch is judged from where it left the base. Whatever cannot be judged is refused.
    """
    server = _Server(repository, branch, judge, approves)
    return tuple(_received(update, server) for update in updates)


def _received(update: RefUpdate, server: _Server) -> Received:
    notes: list[str] = []

    def noting(base: str, head: str, *, offered: bool = False) -> Sequence[Gate]:
        gates = server.judge(base, head, offered=offered)
        notes.extend(f"{gate.name}: {gate.why}" for gate in gates if gate.verdict is Verdict.WAIVED)
        return gates

    return Received(update.ref, _why_not(update, replace(server, judge=noting)), tuple(notes))


def _why_not(update: RefUpdate, server: _Server) -> tuple[str, ...]:
    if update.new and "/refs/" in update.ref:
        return ("a ref with refs/ inside its name makes a shorter name ambiguous, and git then pushes nothing to that",)
    try:
        return tuple(_reasons(update, server))
    except ConsoleError as error:
        return (f"it cannot be judged: {error.cause}",)


def _reasons(update: RefUpdate, server: _Server) -> Iterator[str]:
    base, ref, judge = f"{_HEADS}{server.branch}", update.ref, server.judge
    misnamed = _misnamed(ref, base) if update.new else ""
    if misnamed:
        yield misnamed
    elif ref == base:
        if not update.new:
            yield "the base branch is never deleted"
        elif update.old:
            yield from _closed(judge(update.old, update.new))
    elif ref.removeprefix(_HEADS).startswith(CHANGE_PREFIXES) and update.new:
        fork = server.repository.history.merge_base(base, update.new)
        if fork is None:
            yield f"it shares no history with {visible(server.branch)}"
        else:
            yield from _closed(judge(fork, update.new, offered=True))
    elif ref.startswith(APPROVALS) and (update.old or not update.new):
        yield "an approval is never changed or taken back"
    elif ref.startswith(APPROVALS):
        yield from _approval(update, base, server)
    elif ref.casefold().startswith(_REPLACEMENTS):
        yield "replaced objects would show another history than the one that was judged"


def _approval(update: RefUpdate, base: str, server: _Server) -> Iterator[str]:
    """The reason to refuse an approval: it has an approval's name, and an operator signed it."""
    slot = slot_of(update.ref)
    rules = server.repository.refs.resolve(base)
    if slot is None:
        yield f"an approval is named {APPROVALS}APPROVED-COMMIT/ITS-OWN-COMMIT; another name would stand in the way"
    elif rules is None:
        yield f"there is no {visible(server.branch)} yet, and so no policy that names operators"
    else:
        why = server.approves(rules, slot, update.new)
        if why:
            yield f"only an operator's signed approval is taken here: {why}"


def _misnamed(ref: str, base: str) -> str:
    """Say why a ref of that name would block changes, or replace another ref where case is ignored."""
    namespaces = [*(f"{_HEADS}{prefix}" for prefix in CHANGE_PREFIXES), APPROVALS]
    folded = ref.casefold()
    if folded == base.casefold() and ref != base:
        return f"it would stand for {visible(base)} on a server that ignores case"
    home = next((each for each in namespaces if f"{folded}/".startswith(each)), "")
    if not home:
        return ""
    if not ref.startswith(home):
        return f"no ref of that name is taken, because every change needs names below {home}"
    deep = _DEEP.get(home.removeprefix(_HEADS), 2)
    if ref.startswith(_HEADS) and len(ref.removeprefix(home).split("/")) != deep:
        return f"a branch below {home} has {deep} more parts to its name; another would stand in the way of a change"
    return ""


def _closed(gates: Sequence[Gate]) -> Iterator[str]:
    yield from (f"{gate.name}: {gate.why}" for gate in gates if not gate.verdict.opens)
