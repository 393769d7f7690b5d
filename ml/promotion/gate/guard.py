"""The protected paths, which decide what trades. Only a judged change may touch them (contract §14). Pure.

Governed are the registry where the base names it, its archives and evidence, and the rules: policy, allowed signers,
the tracked console.toml, git attributes and LFS settings that change checked-out bytes, and the workflow that runs the
gate. Protected are besides the artifacts that a registry names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from ml.promotion.paths import LFS_SETTINGS, Places
from ml.promotion.repository import PathChange
from ml.registry.codec import Document
from ml.registry.events import all_pointers, with_archive
from ml.registry.schema import ARTIFACTS_PATH, Model, located

ATTRIBUTES = ".gitattributes"
WORKFLOWS = (".github/workflows/", ".forgejo/workflows/", ".gitea/workflows/")
AUTOMATION = (".github/", ".forgejo/", ".gitea/", ".gitlab-ci.yml", ".gitlab/")
_RUNS_THE_GATE = re.compile(rb"(?:mlconsole|-m\s+console)\b[^\n]*\bgate\b")
_LOCAL_STEP = re.compile(rb"uses:\s*[\"']?\./([^\s\"'#]*)")
_INDENTED = re.compile(rb"^( +)[^ #\n]", re.MULTILINE)
_JOB = rb"^%s[\"']?([\w-]+)[\"']?:\s*(?:#.*)?$"
_JOB_NAME = rb"^(?:%s){2}name:\s*[\"']?([^\"'\n#]+)"
_ANSWERS = rb"(?:^[ \t]+|[{,?][ \t]*)[\"']?%s[\"']?[ \t]*(?::|$)|\bname[\"']?\s*:[\s>|+-]*[\"']?%s[\"']?\s*(?:$|[,}#])"


@dataclass(frozen=True)
class Guard:
    """Decides if a path is governed or protected, in every spelling.

    ``folders`` are the artifact directories that registries name, ``automation`` the files that run the gate, and
    ``rules`` is false as long as there is neither a registry nor a policy, and so nothing that could be weakened.
    """

    places: Places
    folders: frozenset[str] = frozenset()
    automation: frozenset[str] = frozenset()
    artifact_base: str = "."
    rules: bool = True

    @cached_property
    def _exact(self) -> dict[str, str]:
        places = self.places
        rules = (places.config, LFS_SETTINGS) if self.rules else ()
        return {_folded(name): name for name in (places.registry, places.policy, places.signers, *rules)}

    @cached_property
    def _homes(self) -> dict[str, str]:
        return {_folded(home): home for home in (self.places.archives, self.places.evidence(""))}

    @cached_property
    def _automation(self) -> frozenset[str]:
        return frozenset(map(_folded, self.automation))

    @cached_property
    def _artifacts(self) -> frozenset[str]:
        return frozenset(map(_folded, self.folders))

    @cached_property
    def _above(self) -> dict[str, str]:
        """Every folder above something protected, with that: a file there would take its place."""
        below = (*self._exact, *self._homes, *self._artifacts)
        return {parent: path for path in below for parent in _parents(path)}

    @cached_property
    def _above_attributes(self) -> frozenset[str]:
        usual = _folded(located(ARTIFACTS_PATH, self.artifact_base))
        return frozenset({*self._above, *self._homes, "", usual, *_parents(usual)})

    def governs(self, path: str) -> bool:
        """True if the path is the registry, its archive or evidence, a rule, or something in the way of those."""
        folded = _folded(path)
        if folded in self._exact or folded in self._above or folded in self._homes:
            return True
        if any(parent in self._homes or parent in self._exact for parent in _parents(folded)):
            return True
        return self._runs(folded) or self._attributes(folded)

    def _attributes(self, folded: str) -> bool:
        folder, _, name = folded.rpartition("/")
        return self.rules and name == ATTRIBUTES and folder in self._above_attributes

    def _runs(self, folded: str) -> bool:
        return folded in self._automation or any(parent in self._automation for parent in _parents(folded))

    def rule(self, path: str) -> bool:
        """True if the path is one of the rules."""
        folded = _folded(path)
        if path == self.places.registry or self.misplaced(path):
            return False
        return folded in self._exact or self._runs(folded) or self._attributes(folded)

    def artifact(self, path: str) -> bool:
        """True if the path lies in an artifact that a registry names."""
        folded = _folded(path)
        return folded in self._artifacts or any(parent in self._artifacts for parent in _parents(folded))

    def protects(self, path: str) -> bool:
        """True if only a judged change may touch the path."""
        return self.governs(path) or self.artifact(path)

    def misplaced(self, path: str) -> str:
        """Name the governed path that this path would replace on some disk; empty where there is none."""
        folded = _folded(path)
        if folded in self._exact:
            return "" if path == self._exact[folded] else self._exact[folded]
        if folded in self._above or folded in self._homes:
            return self._above.get(folded) or self._homes[folded]
        for parent in _parents(folded):
            if parent in self._exact:
                return self._exact[parent]
            if parent in self._homes:
                home = self._homes[parent]
                return "" if path.startswith(f"{home}/") else home
        return ATTRIBUTES if self._attributes(folded) and PurePosixPath(path).name != ATTRIBUTES else ""

    def protected(self, changes: Iterable[PathChange]) -> dict[str, tuple[str, str]]:
        """The protected ones of some changes: each path with what is there after it, as mode and blob."""
        return {each.path: (each.new_mode, each.new_blob) for each in changes if self.protects(each.path)}


def _folded(path: str) -> str:
    """A path as the most forgiving file system in use compares it: case, invisible characters, ends of names."""
    if path.isascii():
        plain = path.lower()
    else:
        visible_chars = (char for char in unicodedata.normalize("NFKC", path) if unicodedata.category(char) != "Cf")
        plain = unicodedata.normalize("NFC", "".join(visible_chars).casefold())
    if "./" not in plain and " /" not in plain and plain[-1:] not in (".", " "):
        return plain
    return "/".join(part.rstrip(". ") or part for part in plain.split("/"))


def twin(paths: Iterable[str]) -> str:
    """Return the first path that takes the place of an earlier one on some disk; empty where each has its own."""
    known: dict[str, str] = {}
    for path in paths:
        at = path
        while at:
            if known.setdefault(_folded(at), at) != at:
                return path
            at = at.rpartition("/")[0]
    return ""


def _parents(path: str) -> Iterator[str]:
    at = path.rfind("/")
    while at > 0:
        path = path[:at]
        yield path
        at = path.rfind("/")


def artifact_folders(
    document: Document | None, artifact_base: str, archives: Iterable[tuple[str, bytes]] = ()
) -> frozenset[str]:
    """Every artifact directory that the registry names: in a stage, in its history, in an archive.

    An event that names an artifact without a pointer means the directory where the convention puts it.
    """
    if document is None:
        return frozenset()
    kept = dict(archives)
    models = (with_archive(model, kept.get(name, b"")) for name, model in document.registry.models.items())
    return frozenset(located(folder, artifact_base) for model in models for folder in named_folders(model))


def named_folders(model: Model) -> Iterator[str]:
    """The artifact directories that a model names, as its pointers do."""
    yield from (pointer.artifact_dir for pointer in all_pointers(model))
    for event in model.history:
        if event.pointer is None and event.artifact_id:
            yield f"{ARTIFACTS_PATH}/{event.artifact_id}"


def automates(path: str) -> bool:
    """True if the path may be a program of the forge, so that its text must be checked."""
    return _folded(path).startswith(AUTOMATION)


def runs_the_gate(content: bytes | None) -> bool:
    """True if a workflow calls the gate."""
    return content is not None and bool(_RUNS_THE_GATE.search(content))


def checks_of(content: bytes) -> frozenset[bytes]:
    """The names under which a forge reports a workflow's jobs; another workflow of that name could answer for it."""
    jobs = content.partition(b"\njobs:")[2]
    first = _INDENTED.search(jobs)
    if first is None:
        return frozenset()
    names = re.findall(_JOB % first[1], jobs, re.MULTILINE) + re.findall(_JOB_NAME % first[1], jobs, re.MULTILINE)
    return frozenset(name.strip() for name in names)


def answers_as(content: bytes, names: Iterable[bytes]) -> bool:
    """True if a workflow may report one of these checks, however its author indents it or writes it in one line."""
    return any(re.search(_ANSWERS % (re.escape(name), re.escape(name)), content, re.MULTILINE) for name in names)


def local_steps(content: bytes) -> frozenset[str]:
    """Return the repository's own actions that a workflow runs with ``uses: ./…``; its root means the action there."""
    found = {step.decode("utf-8", "replace").strip("/") for step in _LOCAL_STEP.findall(content)}
    return frozenset(found - {""} | ({"action.yml", "action.yaml"} if "" in found else set()))
