"""The oracle: after a push that was accepted, is main in a state that the rules of its old state allow?

Written from the contract (contract §2, §5, §6, §8, §14) and the runbook alone. It shares no code with the gate: it
imports nothing of ``ml``, ``console`` or ``widgets`` (`tests/attack/test_attack.py` proves that), and reads the
repository with git and ssh-keygen. Where the contract leaves a choice, the oracle takes the milder reading: it may
miss a sin, and it never invents one.

Out of reach: responses that somebody fabricated so that they agree with each other and with the verdicts. Only a gate
that measures again can know them (``[evidence] remeasure``), so the attackers here do not make them either: the oracle
knows the day's true numbers (``measured``) and holds every number in accepted evidence against them.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from attack.ledger import Commit, Entries, Ledger, State
from attack.steps import Step, Witness, below

WORKFLOW = ".github/workflows/registry-gate.yml"

Governed = Callable[[str], bool]


@dataclass
class Oracle:
    """Judges pushes to ``main`` of one bare repository; ``measured`` are the true values of the gates by name."""

    ledger: Ledger
    measured: Mapping[str, float]
    clock: Callable[[], float] = time.time

    @cached_property
    def witness(self) -> Witness:
        """What is known besides the repository."""
        return Witness(self.ledger, self.measured, self.clock)

    def sins(self, old: str, new: str) -> list[str]:
        """Everything that is illegal about main's way from one commit to another; empty where all is well."""
        if not new:
            return ["main was deleted"]
        return list(self._judge(State(self.ledger, old), State(self.ledger, new)))

    def sins_of_refs(self, before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
        """What is illegal about all refs of the repository, by name and commit, before and after a push."""
        gone = [ref for ref, sha in before.items() if ref.startswith("refs/approvals/") and after.get(ref) != sha]
        sins = [f"the approval {ref} is gone" for ref in gone]
        sins += [f"{ref} replaces an object" for ref in after if ref.startswith("refs/replace/")]
        twins = {f"refs/{home}/refs/heads/main" for home in ("heads", "tags")}
        return sins + [f"{ref} makes main ambiguous, so that git pushes nothing to it" for ref in after if ref in twins]

    def sins_of_approvals(self, main: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
        """What somebody put where only an operator's approval of that commit may stand, in a place that is its own."""
        state = State(self.ledger, main)
        operators = (state.policy or {}).get("roles", {}).get("operators", [])
        sins = []
        for ref, sha in after.items():
            told = ref.removeprefix("refs/approvals/")
            aside = "-" in told  # the name for when somebody's ref is in the way
            approved, _, name = told.partition("-" if aside else "/")
            if not ref.startswith("refs/approvals") or before.get(ref) == sha:
                continue
            own = {sha, *(hashlib.sha256(each.encode()).hexdigest()[:16] for each in operators if not aside)}
            signed = any(self.ledger.signed_by(sha, state.signers, each, (self.clock(),)) for each in operators)
            if name not in own or not signed or self.ledger.commit(sha).parents != (approved,):
                sins.append(f"{ref} is no operator's approval, and stands where one may have to stand")
        return sins

    def _judge(self, old: State, new: State) -> Iterator[str]:
        if not self.ledger.on_first_parent_line(old.commit, new.commit):
            yield "the old main is not on the new main's first-parent line"
        if twice := set(self.ledger.malformed(new.commit)) - set(self.ledger.malformed(old.commit)):
            yield f"the tree is malformed, so that tools disagree on what it holds: {sorted(twice)}"
        try:
            _ = new.registry, new.folders
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            yield f"the registry that landed cannot be read: {error}"
            return
        folders = old.folders | new.folders
        governed = _governed(old, new, folders)
        yield from self._landed(old, new, folders)
        change, why = self._change(old, new, governed)
        if why:
            yield why
        if change:
            yield from self._changed(old, new, change, governed)
        self._remember(old, new)

    # --- the range ---------------------------------------------------------------------------------------
    def _change(self, old: State, new: State, governed: Governed) -> tuple[Commit | None, str]:
        """The one commit of the range that changes what is governed, and what is wrong with the range."""
        part: dict[str, Entries] = {}

        def held(sha: str) -> Entries:
            if sha not in part:
                part[sha] = {path: entry for path, entry in self.ledger.tree(sha).items() if governed(path)}
            return part[sha]

        changers: list[Commit] = []
        for sha in self.ledger.between(old.commit, new.commit):
            commit = self.ledger.commit(sha)
            above = [held(each) for each in commit.parents]
            if not above and held(sha):
                return None, f"the root {sha[:8]} brings governed paths of its own"
            if len(above) > 1 and not _clean_merge(above, held(sha)):
                return None, f"the merge {sha[:8]} makes governed content that no parent has"
            if len(above) == 1 and above[0] != held(sha):
                changers.append(commit)
        landed = _delta(held(old.commit), held(new.commit))
        if len(changers) > 1:
            return None, f"{len(changers)} commits of one push change what is governed"
        if not changers:
            return None, f"without a change of its own the push alters {sorted(landed)[0]}" if landed else ""
        change = changers[0]
        if _delta(held(change.parents[0]), held(change.sha)) != landed:
            return change, f"what landed is not what the change {change.sha[:8]} brings: {sorted(landed)[:3]}"
        return change, ""

    # --- the landed state --------------------------------------------------------------------------------
    def _landed(self, old: State, new: State, folders: frozenset[str]) -> Iterator[str]:
        before, after = self.ledger.tree(old.commit), self.ledger.tree(new.commit)
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path) and below(path, old.folders):
                yield f"{path} of an artifact that the registry names was changed"
        for path, entry in before.items():
            if path.startswith(old.beside("evidence/")) and after.get(path) != entry:
                yield f"the evidence {path} was changed"
        yield from self._checked_out(old, new)
        yield from self._one_meaning(old, new)
        for model in old.models:
            yield from self._history_grows(old, new, model)

    def _checked_out(self, old: State, new: State) -> Iterator[str]:
        """Named bytes that a checkout alters since; an operator may change attributes."""
        before, after = self.ledger.tree(old.commit), self.ledger.tree(new.commit)
        attributes = {path for path in before.keys() | after.keys() if posixpath.basename(path) == ".gitattributes"}
        changed = {path for path in attributes if before.get(path) != after.get(path)}
        brought = (self.ledger.commit(sha) for sha in self.ledger.between(old.commit, new.commit))
        authors = {
            each.author for each in brought if _delta(self._above(each), self.ledger.tree(each.sha)).keys() & changed
        }
        operators = set((old.policy or {}).get("roles", {}).get("operators", []))
        if not changed or authors <= operators:
            return
        for folder in sorted({*old.folders, posixpath.dirname(old.path)}):
            worn = {path for path, _, _ in self.ledger.checked_out(old.commit, folder)}
            for path, _, _ in self.ledger.checked_out(new.commit, folder):
                if path not in worn:
                    yield f"{path} is checked out with other bytes than were judged"

    def _above(self, commit: Commit) -> Entries:
        return self.ledger.tree(commit.parents[0]) if commit.parents else {}

    def _one_meaning(self, old: State, new: State) -> Iterator[str]:
        def meanings(state: State) -> dict[str, set[tuple[str, str]]]:
            found: dict[str, set[tuple[str, str]]] = {}
            for pointer in state.pointers():
                if pointer.get("model_sha256"):
                    meaning = (pointer["model_sha256"], posixpath.normpath(pointer["artifact_dir"]))
                    found.setdefault(pointer["artifact_id"], set()).add(meaning)
            return found

        before = meanings(old)
        for artifact, meant in meanings(new).items():
            if len(meant) > max(1, len(before.get(artifact, ()))):
                yield f"the id {artifact} has several digests or folders"

    def _history_grows(self, old: State, new: State, model: str) -> Iterator[str]:
        if model not in new.models:
            yield f"the model {model} is gone"
            return
        texts = [json.dumps(event, sort_keys=True) for event in new.events(model)]
        for event in old.events(model):
            text = json.dumps(event, sort_keys=True)
            if text not in texts:
                yield f"an event of {model} is gone or altered: {event.get('action')} {event.get('artifact_id')}"
                return
            texts.remove(text)
        if len(texts) > 1:
            yield f"{len(texts)} events of {model} came at once"
        earlier, later = (
            self.ledger.read(state.commit, old.beside(f"archive/{model}.jsonl")) or b"" for state in (old, new)
        )
        if old.path == new.path and not later.startswith(earlier):
            yield f"the archive of {model} was rewritten"

    # --- the one change ----------------------------------------------------------------------------------
    def _changed(self, old: State, new: State, change: Commit, governed: Governed) -> Iterator[str]:
        before, after = (self.ledger.tree(sha) for sha in (change.parents[0], change.sha))
        everything = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        touched = {path for path in everything if governed(path)}
        rules = {path for path in touched if _is_rule(path, old, new)}
        if rules:
            yield from (f"{path} changes together with the rules" for path in sorted(touched - rules))
            yield from self._rules(old, new, change, sorted(rules)[0])
        else:
            yield from self._step(old, new, change, everything)

    def _rules(self, old: State, new: State, change: Commit, path: str) -> Iterator[str]:
        operators = (old.policy or {}).get("roles", {}).get("operators", [])
        if operators and change.author not in operators:
            yield f"{change.author} changed {path} and is no operator of the old rules"
        yield from self.witness.proven(old, change)
        yield from self.witness.dated(old, change.committed)
        if new.policy is None and (old.policy is not None or path.endswith("policy.toml")):
            yield "the new policy cannot be used"
        if old.models != new.models:
            yield "the registry says something else after a change of the rules"

    def _step(self, old: State, new: State, change: Commit, everything: set[str]) -> Iterator[str]:
        frame = [{key: value for key, value in state.registry.items() if key != "models"} for state in (old, new)]
        if frame[0] != frame[1]:
            yield "something beside the models was changed"
        moved = [name for name in new.models if new.models[name] != old.models.get(name)]
        if len(moved) != 1:
            yield f"{len(moved)} models changed in one step: {sorted(everything)[:3]}"
            return
        name = moved[0]
        texts = [json.dumps(event, sort_keys=True) for event in old.events(name)]
        fresh = [event for event in new.events(name) if json.dumps(event, sort_keys=True) not in texts]
        if len(fresh) != 1:
            yield f"{name} changed without an event of its own"
            return
        step = Step(self.witness, old, new, change, name, fresh[0])
        yield from step.sins()
        yield from step.stray(everything)

    def _remember(self, old: State, new: State) -> None:
        for name, model in new.models.items():
            shadow, was = model.get("shadow"), old.models.get(name, {}).get("shadow")
            if shadow and (was or {}).get("artifact_id") != shadow["artifact_id"]:
                self.witness.landed[name, shadow["artifact_id"]] = self.clock()


def _governed(old: State, new: State, folders: frozenset[str]) -> Governed:
    homes = {posixpath.dirname(state.path) for state in (old, new)}
    exact = {path for state in (old, new) for path in (state.path, state.beside("policy.toml"))}
    exact |= {state.beside("allowed_signers") for state in (old, new)} | {"console.toml", WORKFLOW}
    kept = tuple(f"{home}/{name}/" for home in homes for name in ("archive", "evidence"))

    def governed(path: str) -> bool:
        return path in exact or path.startswith(kept) or below(path, folders) or _above(path, folders)

    return governed


def _is_rule(path: str, old: State, new: State) -> bool:
    rules = {state.beside(name) for state in (old, new) for name in ("policy.toml", "allowed_signers")}
    return path in rules | {"console.toml", WORKFLOW} or _above(path, old.folders)


def _above(path: str, folders: frozenset[str]) -> bool:
    """Attributes that decide how an artifact's files are checked out."""
    home, name = posixpath.split(path)
    return name == ".gitattributes" and any(not home or f"{folder}/".startswith(f"{home}/") for folder in folders)


def _delta(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    paths = before.keys() | after.keys()
    return {path: after.get(path) for path in paths if before.get(path) != after.get(path)}


def _clean_merge(parents: list[Entries], result: Entries) -> bool:
    """Whether every governed path of a merge is as one of its parents has it."""
    paths = result.keys() | {path for each in parents for path in each}
    return all(any(each.get(path) == result.get(path) for each in parents) for path in paths)
