"""Recognition of a landed change by git alone: as an ancestor of the base, or by its content after a squash or rebase.

A change is an event in a model's history and the files that come with it. A squash, a rebase, a merge queue and our own
merge all keep the event as it was written, so that the base holds the change where it holds that event.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ml.promotion.gate.evidence import same_slice
from ml.promotion.paths import Places
from ml.promotion.repository import CommitInfo, Reader
from ml.promotion.rungs import How, Landed
from ml.registry.codec import Document, RegistryInvalid, parse
from ml.registry.history import newest_first
from ml.registry.schema import Model

_MOST_COMMITS = 500
_Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tracked:
    """A change's content: the commit, where it left the base, its model, and its event (``None``: it has none)."""

    commit: str
    fork: str
    model: str
    event: _Event | None


def tracked(repository: Reader, places: Places, base: str, commit: CommitInfo, model: str) -> Tracked | None:
    """Read the content of a change of a model (empty: of none); ``None`` where it shares no history with the base.

    Raises: Unavailable when a commit is not in this clone.
    """
    fork = repository.history.merge_base(base, commit.sha)
    if fork is None:
        return None
    if fork == commit.sha and commit.parents:
        fork = commit.parents[0]  # it has landed, and its own parent is where it was made
    document = _registry(repository, places, commit.sha)
    event = _newest_event(document, model) if document is not None and model else None
    return Tracked(commit.sha, fork, model, event)


def landed(repository: Reader, places: Places, base: str, change: Tracked) -> Landed | None:
    """The landing of a change in the base at a commit; ``None`` while it has not landed.

    Raises: Unavailable when a commit is not in this clone.
    """
    if repository.history.is_ancestor(change.commit, base):
        return _by_ancestry(repository, base, change.commit)
    if change.event is None:
        return _by_files(repository, places, base, change)
    return _by_event(repository, places, base, change)


def holds(repository: Reader, places: Places, commit: str, change: Tracked, landing: str) -> bool | None:
    """True if a commit, such as one that engines report, holds a change that landed; ``None`` where it is not here."""
    if repository.refs.resolve(commit) != commit:
        return None
    if repository.history.is_ancestor(landing, commit):
        return True
    return change.event is not None and _has_event(repository, places, commit, change)


def moved(repository: Reader, places: Places, base: str, change: Tracked) -> bool:
    """True if the base holds another text of the change's model than the one that the change was planned on."""
    if not change.model:
        return False
    planned_on, now = (_registry(repository, places, each) for each in (change.fork, base))
    return not same_slice(planned_on, now, change.model)


def _by_ancestry(repository: Reader, base: str, head: str) -> Landed:
    """The first commit of the base's first-parent line that contains a head."""
    newer = {commit.sha: commit for commit in repository.history.between(head, base)}
    line: list[CommitInfo] = []
    at = base
    while at in newer:
        line.append(newer[at])
        at = newer[at].parents[0] if newer[at].parents else ""
    if at == head:
        return Landed(head, How.FAST_FORWARD, None, "")
    # All commits above the one that brought it contain it too.
    low, high = 0, len(line) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if repository.history.is_ancestor(head, line[middle].sha):
            low = middle
        else:
            high = middle - 1
    return Landed(line[low].sha, How.MERGE, line[low].at, line[low].author.email)


def _by_event(repository: Reader, places: Places, base: str, change: Tracked) -> Landed | None:
    if not _has_event(repository, places, base, change):
        return None
    found: CommitInfo | None = None
    for commit in repository.history.touching(base, places.registry, _MOST_COMMITS):
        if not _has_event(repository, places, commit.sha, change):
            break
        found = commit
    if found is None or not _same_files(repository, places, found.sha, change):
        return None
    return Landed(found.sha, How.CONTENT, found.at, found.committer.email)


def _by_files(repository: Reader, places: Places, base: str, change: Tracked) -> Landed | None:
    """The landing of a change without an event, such as a first policy."""
    paths = [each.path for each in repository.objects.changes(change.fork, change.commit)]
    if not paths or not _same_files(repository, places, base, change):
        return None
    found = repository.history.touching(base, paths[0], 1)
    return Landed(found[0].sha, How.CONTENT, found[0].at, found[0].committer.email) if found else None


def _same_files(repository: Reader, places: Places, commit: str, change: Tracked) -> bool:
    """True if a commit holds every file that a change brings, byte for byte; registry and archive are merged."""
    merged = {places.registry, places.archive(change.model)} if change.event is not None else set()
    brought = [each for each in repository.objects.changes(change.fork, change.commit) if each.path not in merged]
    there = (repository.objects.blob_id(commit, each.path) or "" for each in brought)
    return all(blob == ("" if each.deleted else each.new_blob) for each, blob in zip(brought, there, strict=True))


def _has_event(repository: Reader, places: Places, commit: str, change: Tracked) -> bool:
    raw = repository.objects.read(commit, places.registry)
    if raw is None:
        return False
    try:
        model = json.loads(raw)["models"][change.model]
        if change.event in model["history"]:
            return True
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    archive = repository.objects.read(commit, places.archive(change.model)) or b""
    return any(_line(line) == change.event for line in archive.splitlines())


def _line(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _newest_event(document: Document, name: str) -> _Event | None:
    if name not in document.spans:
        return None
    model = document.registry.models.get(name, Model())
    history = json.loads(document.model_text(name)).get("history") or []
    found = history[0 if newest_first(model) else -1] if history else None
    return found if isinstance(found, dict) else None


def _registry(repository: Reader, places: Places, commit: str) -> Document | None:
    raw = repository.objects.read(commit, places.registry)
    try:
        return parse(raw) if raw is not None else None
    except RegistryInvalid:
        return None
