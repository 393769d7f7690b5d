"""The landings of pointers: for each, the commit of the base's first-parent line that brought it into its stage.

A pointer's own ``promoted_at_utc`` is the time at which somebody planned the change. Until it landed, engines went on
with the artifact before, so nothing that they did before the landing is the artifact's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ml.errors import ConsoleError
from ml.promotion.clone import Lack
from ml.promotion.repository import CommitInfo
from ml.session.context import Context
from ml.session.registries import Base, clone_gaps
from ml.stage import Stage
from ml.text import visible

_MOST_COMMITS = 500
_STANDS_IN = (Lack.VANISHED, Lack.NEVER_FETCHED)
_SERVED = (Stage.SHADOW, Stage.ACTIVE)

Place = tuple[str, Stage]
"""A model and a stage."""
_Pointers = Mapping[Place, tuple[str, str]]
"""The artifact and its digest in each place."""


@dataclass(frozen=True, slots=True)
class Landing:
    """The time at which a pointer landed. ``unknown`` says why this clone cannot tell; then it landed before ``at``."""

    at: datetime
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class _Search:
    """A finished search: the base's commit, the newest change of the registry in it, and what was found.

    ``final`` is false where the clone lacks something: it may be mended while this session runs.
    """

    commit: str = ""
    newest: str = ""
    pointers: _Pointers = field(default_factory=dict)
    landings: Mapping[Place, Landing] = field(default_factory=dict)
    final: bool = True


class Landings:
    """Finds landings and remembers them while the base stays. Safe to use from several threads; raises nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._locks = {exact: threading.Lock() for exact in (True, False)}
        self._last = {exact: _Search() for exact in (True, False)}

    def soaking(self, base: Base) -> Mapping[Place, Landing]:
        """The landing of everything in shadow."""
        return self._searched(base, (Stage.SHADOW,), None)

    def serving(self, base: Base, now: datetime) -> Mapping[Place, Landing]:
        """The landing of everything in shadow and active.

        One that is longer ago than the longest window of a reading, and a day, is told as some later commit that
        already had the pointer.
        """
        window = timedelta(seconds=base.policy.soak.required_s, days=1)
        return self._searched(base, _SERVED, now - window)

    def _searched(self, base: Base, stages: Iterable[Stage], enough: datetime | None) -> Mapping[Place, Landing]:
        exact = enough is None
        with self._locks[exact]:
            last = self._last[exact]
            if last.commit != base.commit or not last.final:
                self._last[exact] = self._search(base, _wanted(base, stages), enough, last if last.final else _Search())
            return self._last[exact].landings

    def _search(self, base: Base, wanted: _Pointers, enough: datetime | None, last: _Search) -> _Search:
        history, path = self._context.repository.history, self._context.place.places.registry
        if not wanted:
            return _Search(base.commit)
        try:
            commits = history.touching(base.commit, path, _MOST_COMMITS)
            found, oldest = self._walked(history.commit(base.commit), commits, wanted, enough, last)
            why, mendable = self._undated(oldest, len(commits))
            doubt = self._stands_in()
        except ConsoleError as error:
            now = self._context.clock.now()
            lost = {place: Landing(now, f"{_untold(place)}: {error.cause} {error.remedy}".rstrip()) for place in wanted}
            return _Search(base.commit, "", wanted, lost, final=False)
        lacking = [place for place in wanted if place not in found]
        found |= {place: Landing(oldest.at, f"{_untold(place)}: {why}" if why else "") for place in lacking}
        if doubt:
            found = {place: Landing(each.at, f"{_untold(place)}: {doubt}") for place, each in found.items()}
        final = not doubt and not (lacking and mendable)
        return _Search(base.commit, commits[0].sha if commits else "", wanted, found, final)

    def _walked(
        self,
        tip: CommitInfo,
        commits: Sequence[CommitInfo],
        wanted: _Pointers,
        enough: datetime | None,
        last: _Search,
    ) -> tuple[dict[Place, Landing], CommitInfo]:
        """Walk back until every pointer's unbroken row of commits ended, or nothing older matters.

        Returns what was found, and the oldest commit that has all the rest.
        """
        found: dict[Place, Landing] = {}
        objects, path = self._context.repository.objects, self._context.place.places.registry
        oldest, ends = tip, _ends(commits, enough)
        for number, commit in enumerate(commits):
            there = _pointers(objects.read(commit.sha, path))
            known = last.landings if commit.sha == last.newest else {}
            for place, pointer in wanted.items():
                if place in found:
                    continue
                if there.get(place) != pointer:
                    found[place] = Landing(oldest.at)
                elif place in known and last.pointers[place] == pointer:
                    found[place] = known[place]
                elif number == ends:
                    found[place] = Landing(commit.at)
            oldest = commit
            if len(found) == len(wanted):
                break
        return found, oldest

    def _undated(self, oldest: CommitInfo, looked: int) -> tuple[str, bool]:
        """Say why the oldest commit of this clone is not the landing (empty: it is), and if a fetch can mend that."""
        if not oldest.parents and self._context.repository.clone.shallow():
            return "this clone is shallow. Run `git fetch --unshallow`.", True
        if looked >= _MOST_COMMITS:
            return f"it is in all of the newest {_MOST_COMMITS} changes of the registry.", False
        return "", False

    def _stands_in(self) -> str:
        """Say if commits of a local branch are looked at, which may never have landed."""
        if any(gap.lack in _STANDS_IN for gap in clone_gaps(self._context)):
            return f"a local branch stands in for {visible(self._context.place.ref)}. Run `git fetch`."
        return ""


def _ends(commits: Sequence[CommitInfo], enough: datetime | None) -> int | None:
    """The index of the first commit from which on all are older than matters. Dates may be out of order."""
    young = [number for number, commit in enumerate(commits) if enough is None or commit.at >= enough]
    end = young[-1] + 1 if young else 0
    return end if end < len(commits) else None


def _untold(place: Place) -> str:
    return f"It cannot be told when the artifact landed in {place[1]}"


def _wanted(base: Base, stages: Iterable[Stage]) -> _Pointers:
    chosen = tuple(stages)
    return {
        (name, stage): (pointer.artifact_id, pointer.model_sha256 or "")
        for name, model in base.document.registry.models.items()
        for stage in chosen
        if (pointer := model.pointer(stage)) is not None
    }


def _pointers(raw: bytes | None) -> _Pointers:
    """The pointers of an older registry; none of a model that cannot be read."""
    try:
        models = json.loads(raw or b"{}")["models"]
        return {place: found for name in models for place, found in _pointers_of(name, models[name])}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _pointers_of(name: str, model: Any) -> Iterator[tuple[Place, tuple[str, str]]]:
    for stage in _SERVED:
        with suppress(AttributeError, KeyError, TypeError):
            if (pointer := model.get(stage)) is not None:
                yield (name, stage), (pointer["artifact_id"], pointer.get("model_sha256") or "")
