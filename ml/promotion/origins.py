"""The search for the pointer of an artifact that was active before, in all places of the repository (contract §14).

A rollback never stops for paperwork. Histories in the runbook's words keep no pointers in their events, and the engine
wants digest, commit and data set. They are looked for, in this order, in the event of the activation, the archive, the
registry of an earlier commit in which the artifact was active, its manifest, its train report, and the commit that
added it. Pointers of stagings are never asked: anybody may stage. A field without a source is written as unknown, and
reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from ml.artifacts.manifest import (
    MANIFEST_FILE,
    TRAIN_REPORT_FILE,
    feature_order_hash,
    parse_manifest,
    parse_train_report,
)
from ml.clock import format_utc
from ml.errors import Invalid
from ml.promotion.repository import CommitInfo, Reader
from ml.registry.codec import RegistryInvalid, parse
from ml.registry.events import without_faults
from ml.registry.history import activates, chronological, known_pointer
from ml.registry.schema import Event, Model, Pointer, is_git_sha, located

_MOST_COMMITS = 500
_WANTED = ("git_sha", "dataset_id", "model_sha256", "created_at_utc", "notes", "feature_order_hash")
_NEEDED = frozenset({"git_sha", "dataset_id", "model_sha256"})
NOWHERE: Mapping[str, object] = {"git_sha": "0" * 40, "dataset_id": "unknown"}
"""The values that mean unknown, for fields that the engine requires of an active pointer."""


class Source(StrEnum):
    """The source of a pointer's field, in the order of the search."""

    EVENT = "event"
    ARCHIVE = "archive"
    REGISTRY = "registry"
    MANIFEST = "manifest"
    REPORT = "train_report"
    COMMIT = "commit"
    NOWHERE = "nowhere"


_WORDS = {
    Source.EVENT: "the event of its activation",
    Source.ARCHIVE: "the archived event of its activation",
    Source.REGISTRY: "the registry of commit {commit}, in which it was active",
    Source.MANIFEST: "its manifest.json",
    Source.REPORT: "its train_report.json",
    Source.COMMIT: "commit {commit}, which added its files",
    Source.NOWHERE: "no place of this repository, and therefore written as unknown",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """One field of a pointer, and where its value was found; ``commit`` where that was an earlier commit."""

    field: str
    value: str
    source: Source
    commit: str = ""

    @property
    def why(self) -> str:
        """For people."""
        return f"found in {_WORDS[self.source].format(commit=self.commit[:12])}"


@dataclass(frozen=True, slots=True)
class FoundPointer:
    """A pointer as complete as the repository can make it, and where each of its fields comes from."""

    pointer: Pointer
    origins: tuple[Origin, ...]

    @property
    def gathered(self) -> tuple[Origin, ...]:
        """The fields that no event holds: what a reader of the change should know."""
        return tuple(one for one in self.origins if one.source not in (Source.EVENT, Source.ARCHIVE))


@dataclass(frozen=True, slots=True)
class Search:
    """The place of a search: a commit, the path of its registry, and the base folder of its pointers."""

    repository: Reader
    commit: str
    registry: str
    artifact_base: str

    def find(self, name: str, model: Model, whole: Model, artifact_id: str) -> FoundPointer:
        """The pointer of an artifact that was active before.

        Args:
            name: the model's name in the registry.
            model: the model as the registry has it, ``whole`` the same with its archived events.
            artifact_id: the artifact.

        Raises:
            Unavailable: the commit is not here.
        """
        known = known_pointer(whole, artifact_id)
        recorded = any(event.pointer and event.artifact_id == artifact_id for event in _activations(model))
        kept = any(event.pointer and event.artifact_id == artifact_id for event in _activations(whole))
        found = _Gathered(artifact_id, known.artifact_dir if kept else "")
        if kept:
            found.take(without_faults(known), Source.EVENT if recorded else Source.ARCHIVE)
        for facts, source, commit in self.facts(name, artifact_id, found.folder):
            if found.whole:
                break
            found.take(facts, source, commit)
        if found.missing:
            found.take(NOWHERE, Source.NOWHERE)
        return found.result(known.artifact_dir)

    def proven(self, name: str, artifact_id: str, folder: str, wanted: Mapping[str, object]) -> Mapping[str, object]:
        """Return those fields of a pointer that this search finds too, to check another search.

        A clone that held less may have found a field in a later source, so that any source proves it; but the digest
        is proven by the first source that has one alone. What may be written as unknown is proven by that.

        Args:
            name: the model's name in the registry.
            artifact_id: the artifact.
            folder: the directory that the pointer names.
            wanted: the fields, as a pointer spells them.
        """
        found: dict[str, object] = {key: value for key, value in wanted.items() if NOWHERE.get(key) == value}
        digest: object = None
        for facts, _, _ in self.facts(name, artifact_id, folder):
            digest = digest or facts.get("model_sha256")
            said = {**facts, "model_sha256": digest}
            if _same_folder(facts.get("artifact_dir"), folder):
                said["artifact_dir"] = folder
            found |= {key: value for key, value in wanted.items() if said.get(key) == value}
            if wanted.keys() <= found.keys():
                break
        return found

    def facts(
        self, name: str, artifact_id: str, folder: str = ""
    ) -> Iterator[tuple[Mapping[str, object], Source, str]]:
        """Return the facts about an artifact besides its events, with source and commit, the best source first.

        ``folder`` is the artifact's directory where an event names it; else the first registry that does, or the
        convention.
        """
        for commit, pointer in self._registries(name, artifact_id):
            folder = folder or pointer.artifact_dir
            yield without_faults(pointer), Source.REGISTRY, commit
        path = located(folder or known_pointer(Model(), artifact_id).artifact_dir, self.artifact_base)
        yield _of_manifest(self.repository.objects.read(self.commit, f"{path}/{MANIFEST_FILE}")), Source.MANIFEST, ""
        yield _of_report(self.repository.objects.read(self.commit, f"{path}/{TRAIN_REPORT_FILE}")), Source.REPORT, ""
        touching = self.repository.history.touching(self.commit, path, _MOST_COMMITS)
        if touching:
            yield _of_commit(touching[-1]), Source.COMMIT, touching[-1].sha

    def _registries(self, name: str, artifact_id: str) -> Iterator[tuple[str, Pointer]]:
        """Each earlier registry's pointer to an artifact that was active in it, the newest first."""
        last: bytes | None = None
        for commit in self.repository.history.touching(self.commit, self.registry, _MOST_COMMITS):
            raw = self.repository.objects.read(commit.sha, self.registry)
            if raw is None or raw == last or artifact_id.encode() not in raw:
                continue
            last = raw
            try:
                model = parse(raw).registry.models.get(name)
            except RegistryInvalid:
                continue
            if model and model.active and model.active.artifact_id == artifact_id:
                yield commit.sha, model.active


class _Gathered:
    """Fields as they are found; the first source of each counts."""

    def __init__(self, artifact_id: str, folder: str) -> None:
        self.folder = folder
        self._values: dict[str, object] = {"artifact_id": artifact_id}
        self._more: dict[str, object] = {}
        self._origins: list[Origin] = []

    def take(self, facts: Mapping[str, object], source: Source, commit: str = "") -> None:
        """Take the fields that are not known yet."""
        if source is Source.REGISTRY and not self.folder and isinstance(facts.get("artifact_dir"), str):
            self.folder = str(facts["artifact_dir"])
            self._origins.append(Origin("artifact_dir", self.folder, source, commit))
        for key in _WANTED:
            if facts.get(key) and key not in self._values:
                self._values[key] = facts[key]
                self._origins.append(Origin(key, str(facts[key]), source, commit))
        if source in (Source.EVENT, Source.ARCHIVE):
            self._more = {key: value for key, value in facts.items() if key not in self._values}

    @property
    def missing(self) -> frozenset[str]:
        """List the fields that the engine needs and no source has."""
        return _NEEDED - self._values.keys()

    @property
    def whole(self) -> bool:
        """True if all fields that the engine needs are known."""
        return not self.missing

    def result(self, convention: str) -> FoundPointer:
        """Return the result. ``convention`` is the directory where no source names one."""
        values = {**self._more, **self._values, "artifact_dir": self.folder or convention}
        return FoundPointer(Pointer.model_validate(values), tuple(self._origins))


def _same_folder(one: object, other: str) -> bool:
    return isinstance(one, str) and PurePosixPath(one) == PurePosixPath(other)


def _activations(model: Model) -> Iterator[Event]:
    return (event for event in chronological(model) if activates(event))


def _of_manifest(raw: bytes | None) -> Mapping[str, object]:
    try:
        manifest = parse_manifest(raw) if raw is not None else None
    except Invalid:
        return {}
    if manifest is None:
        return {}
    return _plain(
        {
            "git_sha": manifest.git_sha,
            "dataset_id": manifest.dataset_id,
            "model_sha256": manifest.model_sha256,
            "created_at_utc": manifest.created_at_utc,
            "notes": manifest.notes,
            "feature_order_hash": feature_order_hash(manifest.features) if manifest.features else None,
        }
    )


def _of_report(raw: bytes | None) -> Mapping[str, object]:
    try:
        report = parse_train_report(raw) if raw is not None else None
    except Invalid:
        return {}
    if report is None:
        return {}
    more = report.model_extra or {}
    return _plain({"model_sha256": report.model_sha256} | {key: more.get(key) for key in _WANTED[:2]})


def _of_commit(commit: CommitInfo) -> Mapping[str, object]:
    return _plain({"git_sha": commit.sha, "created_at_utc": format_utc(commit.at)})


def _plain(facts: Mapping[str, object]) -> Mapping[str, object]:
    """Texts that a pointer may hold; a commit's id only in the engine's spelling."""
    kept = {key: value for key, value in facts.items() if isinstance(value, str) and value.strip()}
    if not is_git_sha(kept.get("git_sha")):
        kept.pop("git_sha", None)
    return kept
