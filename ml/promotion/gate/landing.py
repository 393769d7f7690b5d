"""The landed state: the trees of base and head differ by the one judged change, however it arrived (contract §14).

A change may arrive alone, squashed, rebased, or by any number of merges. Each commit between base and head is compared
with its *anchor*, the newest commit of the base's own history that it contains. Protected paths must be as they are at
the anchor, or as the one judged change makes them. So no merge restores an old state, whatever its parents.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ml.errors import ConsoleError
from ml.promotion.gate.case import passed, refused
from ml.promotion.gate.guard import (
    AUTOMATION,
    WORKFLOWS,
    Guard,
    answers_as,
    artifact_folders,
    automates,
    checks_of,
    local_steps,
    runs_the_gate,
)
from ml.promotion.repository import CommitInfo, Objects, PathChange, Reader, TreeEntry
from ml.registry.codec import Document
from ml.text import visible
from ml.verdict import Gate

# Malformed trees: git objects that read differently in different tools, refused before anything else. Pure.
#
# A server with ``receive.fsckObjects`` refuses them too; CI, `land` and a server without that setting rest on this.

_MODES = frozenset({b"100644", b"100664", b"100755", b"120000", b"160000", b"40000"})
"""Modes that git writes, or wrote once; with a leading zero they would be another tree of the same content."""
_FOLDER = b"40000"
_SPECIAL = re.compile(r"\.git|git~1")
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
"""Characters that HFS+ leaves out when it compares names."""


def malformed(trees: Iterable[tuple[str, bytes]], width: int) -> str:
    """The first fault of some raw trees: one clause, empty where there is none.

    Args:
        trees: each tree's object id and its bytes as git stores them.
        width: the bytes of an object id in them, 20 or 32.
    """
    for sha, raw in trees:
        why = _fault(raw, width)
        if why:
            return f"the folder {sha[:12]} {why}; git's own tools write no such tree"
    return ""


def _fault(raw: bytes, width: int) -> str:
    """One clause about a malformed tree; empty for a well-formed one."""
    at, last, names = 0, b"", set[bytes]()
    while at < len(raw):
        space = raw.find(b" ", at)
        end = raw.find(b"\0", space)
        if space < 0 or end < 0 or end + 1 + width > len(raw):
            return "cannot be read to its end"
        mode, name = raw[at:space], raw[space + 1 : end]
        at = end + 1 + width
        shown = visible(name.decode("utf-8", "replace"), limit=80)
        if mode not in _MODES:
            return f"holds {shown} with the mode {visible(mode.decode('ascii', 'replace'), limit=12)}"
        if name in names:
            return f"holds the name {shown} twice"
        if not name or b"/" in name or name in (b".", b"..") or _is_git(name):
            return f"holds the name {shown or 'of no character'}, which leads elsewhere"
        order = name + b"/" if mode == _FOLDER else name
        if order <= last:
            return f"holds {shown} out of order"
        names.add(name)
        last = order
    return ""


def _is_git(name: bytes) -> bool:
    """Return True when a file system takes a name, or a part between backslashes, for git's own folder."""
    lowered = name.lower()
    if b"git" not in lowered and name.isascii():
        return False
    text = _IGNORED.sub("", unicodedata.normalize("NFC", name.decode("utf-8", "replace"))).casefold()
    parts = (part.partition(":")[0].rstrip(". ") for part in text.split("\\"))
    return any(_SPECIAL.fullmatch(part) for part in parts)


Entries = Mapping[str, tuple[str, str]]
"""Protected paths with what is there, as mode and blob."""


@dataclass(frozen=True, slots=True)
class State:
    """A commit that is compared with its anchor: what differs there of all that is protected."""

    commit: CommitInfo
    anchor: CommitInfo
    entries: Entries
    has_change: bool


@dataclass(frozen=True)
class Landing:
    """The commits between base and head: the one change, and every state that must follow from it.

    ``paths`` are the paths of the change's own commit, and all protected paths that differ from its ``anchor``.
    ``made`` is the change's result at those paths; ``moved`` is, by anchor, the base's own later changes to them.
    """

    change: CommitInfo
    parent: CommitInfo
    anchor: CommitInfo
    guard: Guard
    paths: tuple[PathChange, ...]
    made: Entries
    states: tuple[State, ...]
    moved: Mapping[str, Entries]


@dataclass(frozen=True)
class Ground:
    """The base that a range is judged on: its commit, its guard, and the registry of any other commit."""

    repository: Reader
    base: str
    guard: Guard
    registry: Callable[[str], Document | None]


@dataclass(frozen=True)
class Range:
    """The commits between base and head with their parents in and outside of it."""

    commits: Mapping[str, CommitInfo]
    outside: Mapping[str, CommitInfo]
    head: CommitInfo

    def any(self, sha: str) -> CommitInfo:
        """A commit of the range, or a parent outside of it."""
        return self.commits.get(sha) or self.outside[sha]

    def descendants(self, sha: str) -> frozenset[str]:
        """The commits of the range that contain one of them, itself included."""
        found = {sha}
        for each, commit in self.commits.items():
            if not found.isdisjoint(commit.parents):
                found.add(each)
        return frozenset(found)

    def ancestors(self, sha: str) -> frozenset[str]:
        """The commits of the range that one of them contains, itself included."""
        found: set[str] = set()
        waiting = [sha]
        while waiting:
            each = waiting.pop()
            if each in self.commits and each not in found:
                found.add(each)
                waiting += self.commits[each].parents
        return frozenset(found)


def carried(found: Landing, base: str, registry: str, remade: Callable[[str], str], *, artifact: str = "") -> Gate:
    """Compare every state with the change's result on its anchor, and the change with its landing.

    Args:
        registry: the registry's path.
        remade: the blob id of the registry that our own planner makes of an anchor. Raises Refused where the model's
            slice, or the rules that the change was judged by, moved on since the change was made.
        artifact: the folder of the artifact that the change brings into a stage; empty where it brings none. It is
            verified in the change's own commit, so that it must be the same where that lands.
    """
    anchors = {state.anchor.sha for state in found.states if state.has_change} | {base}
    expected: dict[str, Entries] = {}
    for anchor in anchors:
        moved = found.moved[anchor]
        both = sorted((moved.keys() & found.made.keys()) - {registry})
        both += sorted(path for path in moved if artifact and path.startswith(f"{artifact}/"))
        if both:
            why = "was changed on the base after the change was made; make the change anew on what is there now"
            return refused("landing", f"{visible(both[0])} {why}")
        made = dict(found.made)
        if registry in made and registry in moved:
            try:
                made[registry] = (made[registry][0], remade(anchor))
            except ConsoleError as error:
                return refused("landing", error.cause)
        expected[anchor] = made
    for state in found.states:
        wanted = expected[state.anchor.sha] if state.has_change else {}
        if state.entries != wanted:
            odd = [path for path in {**wanted, **state.entries} if state.entries.get(path) != wanted.get(path)]
            return _smuggled(state, odd[0])
    if found.anchor.sha != base:
        return passed("landing", f"made on {found.anchor.sha[:12]}; what it is about is the same on {base[:12]}")
    return passed("landing", f"{len(found.made)} protected files differ from the base, each as the change makes it")


def landing(ground: Ground, head: str, *, landed: bool) -> Landing | Gate:
    """The one change between base and head; or the gate that decides without one.

    ``landed``: head is what the base becomes, so that the base must be on head's first-parent line.
    """
    span = _range(ground, head, landed=landed)
    if isinstance(span, Gate):
        return span
    singles = tuple(commit for commit in span.commits.values() if len(commit.parents) == 1)
    pairs = [(span.any(commit.parents[0]).tree, commit.tree) for commit in singles]
    steps = dict(zip((commit.sha for commit in singles), ground.repository.objects.differences(pairs), strict=True))
    guard = _with_automation(ground, span, steps.values())
    governed = [sha for sha, paths in steps.items() if any(guard.governs(change.path) for change in paths)]
    if len(governed) > 1:
        return refused("scope", f"{len(governed)} changes of the registry at once; land them one by one")
    spoiled = _spoiled(steps, governed, guard.artifact)
    if spoiled:
        return refused("artifact", f"{visible(spoiled)} belongs to an artifact that the registry names")
    if not governed:
        return _without_change(ground, span, guard)
    return _with_change(ground, span, guard, span.commits[governed[0]], steps)


def _range(ground: Ground, head: str, *, landed: bool) -> Range | Gate:
    """Return all commits between base and head, if the gate can judge their shape."""
    base = ground.base
    if head == base:
        return passed("scope", "nothing is changed")
    inside, around = ground.repository.history.span(base, head)
    commits, outside = ({commit.sha: commit for commit in each} for each in (inside, around))
    edge = {parent for commit in commits.values() for parent in commit.parents if parent not in commits}
    why = next((_shape(commit) for commit in commits.values() if _shape(commit)), "")
    if not why and (not commits or (landed and base not in edge)):
        why = "the change does not build on the base, so it would take commits away from it"
    if not why and landed and _first_parents_end(commits, head) != base:
        why = (
            f"the base is not on the first-parent line of {head[:12]}; merge the change into the base, not it into that"
        )
    if why:
        return refused("ancestry", why)
    span = Range(commits, outside, commits[head])
    pairs = [(span.any(commit.parents[0]).tree, commit.tree) for commit in inside]
    why = malformed(ground.repository.objects.new_trees(pairs), len(head) // 2)
    return refused("trees", why) if why else span


def _shape(commit: CommitInfo) -> str:
    """Say why a commit's parents alone exclude it from a landing; empty where they do not."""
    if not commit.parents:
        why = "has no parent, so it would bring a history of its own; in a shallow clone, fetch the whole history"
        return f"the commit {commit.sha[:12]} {why}"
    if len(commit.parents) > 2:
        return f"the commit {commit.sha[:12]} merges {len(commit.parents) - 1} branches at once; merge one at a time"
    return ""


def _first_parents_end(commits: Mapping[str, CommitInfo], head: str) -> str:
    at = head
    while at in commits:
        at = commits[at].parents[0]
    return at


def _spoiled(steps: Mapping[str, Sequence[PathChange]], judged: Iterable[str], of: Callable[[str], bool]) -> str:
    """Return the first path of this kind that a commit other than the judged ones changes."""
    others = (paths for sha, paths in steps.items() if sha not in judged)
    return next((change.path for paths in others for change in paths if of(change.path)), "")


def _without_change(ground: Ground, span: Range, guard: Guard) -> Gate:
    anchors = _anchors(ground, span)
    if isinstance(anchors, Gate):
        return anchors
    for state in _states(ground, span, guard, anchors, frozenset()):
        if state.entries:
            return _smuggled(state, next(iter(state.entries)))
    return passed("scope", "nothing that the gate governs is changed")


def _smuggled(state: State, path: str) -> Gate:
    why = f"{state.commit.sha[:12]} would leave {visible(path)} in another state than the base and the change do"
    return refused("scope", f"a merge commit changes the registry; only the change itself may: {why}")


def _with_change(
    ground: Ground, span: Range, guard: Guard, change: CommitInfo, steps: Mapping[str, Sequence[PathChange]]
) -> Landing | Gate:
    anchors = _anchors(ground, span)
    if isinstance(anchors, Gate):
        return anchors
    before = span.ancestors(change.sha)
    named = artifact_folders(ground.registry(change.sha), guard.artifact_base)
    wide = Guard(guard.places, guard.folders | named, guard.automation, guard.artifact_base, guard.rules)
    # What was committed before the change is a part of what it stages, and is verified with it.
    after = {sha: paths for sha, paths in steps.items() if sha not in before}
    spoiled = _spoiled(after, (), wide.protects)
    if spoiled:
        return refused("scope", f"{visible(spoiled)} is what the change brings, and another commit touches it too")
    for state in _states(ground, span, guard, anchors, frozenset(), only=before - {change.sha}):
        if state.entries:
            return _smuggled(state, next(iter(state.entries)))
    contains = span.descendants(change.sha)
    states = tuple(_states(ground, span, wide, anchors, contains, only=frozenset(span.commits) - before))
    anchor = anchors[change.sha]
    known = {anchor.sha: anchor, **{state.anchor.sha: state.anchor for state in states}}
    known.setdefault(ground.base, span.outside[ground.base])
    pairs = [(anchor.tree, change.tree), *((anchor.tree, other.tree) for other in known.values())]
    own, *moves = ground.repository.objects.differences(pairs)
    ours = {path.path for path in steps[change.sha]}
    further = tuple(each for each in own if wide.protects(each.path) and each.path not in ours)
    return Landing(
        change=change,
        parent=span.any(change.parents[0]),
        anchor=anchor,
        guard=wide,
        paths=(*steps[change.sha], *further),
        made=wide.protected(own),
        states=states,
        moved={sha: wide.protected(move) for sha, move in zip(known, moves, strict=True)},
    )


def _states(
    ground: Ground,
    span: Range,
    guard: Guard,
    anchors: Mapping[str, CommitInfo],
    contains: frozenset[str],
    *,
    only: frozenset[str] | None = None,
) -> Iterator[State]:
    """The merges of the range and its head, each against its anchor; single steps between them were looked at."""
    wanted = [
        commit
        for sha, commit in span.commits.items()
        if (len(commit.parents) > 1 or sha == span.head.sha) and (only is None or sha in only)
    ]
    pairs = [(anchors[commit.sha].tree, commit.tree) for commit in wanted]
    for commit, found in zip(wanted, ground.repository.objects.differences(pairs), strict=True):
        yield State(commit, anchors[commit.sha], guard.protected(found), commit.sha in contains)


def _anchors(ground: Ground, span: Range) -> dict[str, CommitInfo] | Gate:
    """For each commit the newest one of the base's history that it contains."""
    reached: dict[str, frozenset[str]] = {}
    newest: dict[frozenset[str], str] = {}
    for sha, commit in span.commits.items():
        edge = frozenset(each for parent in commit.parents for each in reached.get(parent, frozenset({parent})))
        if ground.base in edge:
            edge = frozenset({ground.base})
        if len(edge) > 1 and edge not in newest:
            apart = ground.repository.history.independent(sorted(edge))
            if len(apart) > 1:
                why = "joins several old states of the base; merge the base itself into the branch first"
                return refused("ancestry", f"the commit {sha[:12]} {why}")
            newest[edge] = apart[0]
        reached[sha] = frozenset({newest[edge]}) if len(edge) > 1 else edge
    return {sha: span.outside[next(iter(edge))] for sha, edge in reached.items()}


def _with_automation(ground: Ground, span: Range, steps: Iterable[Sequence[PathChange]]) -> Guard:
    """The guard, with the touched programs of the forge that run the gate in the base or would in the change.

    The steps of the repository's own that they run may lie anywhere.
    """
    guard, objects, head = ground.guard, ground.repository.objects, span.head.sha
    if not guard.rules:
        return guard
    entries = [entry for home in WORKFLOWS for entry in objects.tree(ground.base, home.rstrip("/"))]
    own = [text for entry in entries if runs_the_gate(text := objects.content(entry))]
    names = frozenset(name for text in own for name in checks_of(text))
    touched = {change.path for paths in steps for change in paths if automates(change.path)}
    touched |= _joined(objects, span)
    decides = {
        path
        for path in touched
        for text in (objects.read(ground.base, path), objects.read(head, path))
        if runs_the_gate(text) or (text and path.startswith(WORKFLOWS) and answers_as(text, names))
    }
    automation = _used(objects, ground.base, own) | decides
    return Guard(guard.places, guard.folders, automation, guard.artifact_base, guard.rules)


def _joined(objects: Objects, span: Range) -> frozenset[str]:
    """The programs of the forge that a merge has otherwise than one of its parents."""
    known: dict[str, frozenset[TreeEntry]] = {}

    def programs(sha: str) -> frozenset[TreeEntry]:
        if sha not in known:
            known[sha] = frozenset(entry for home in AUTOMATION for entry in objects.tree(sha, home.rstrip("/")))
        return known[sha]

    merges = [commit for commit in span.commits.values() if len(commit.parents) > 1]
    sides = ((commit.sha, parent) for commit in merges for parent in commit.parents)
    return frozenset(entry.path for sha, parent in sides for entry in programs(sha) ^ programs(parent))


def _used(objects: Objects, base: str, texts: Iterable[bytes]) -> frozenset[str]:
    """The base's own actions and workflows that some workflows run, with those that these run in turn."""
    found: set[str] = set()
    waiting = list(texts)
    while waiting:
        for step in local_steps(waiting.pop()) - found:
            found.add(step)
            spelled = (step, f"{step}/action.yml", f"{step}/action.yaml")
            waiting += [text for path in spelled if (text := objects.read(base, path))]
    return frozenset(found)
