"""Holes put back by hand: each takes one rule out of the gate, in the process of the hook that judges a push.

The environment variable ``ATTACK_HOLE`` names the hole; `support.warm_python` applies it in the fork of each push, so
that the code that is installed stays as it is. A hole that no attack gets through says that the machine is blind there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ml.promotion import received
from ml.promotion.gate import authority, evidence, guard, landing, transition
from ml.promotion.gate.case import passed
from ml.stage import Action
from ml.verdict import Gate

judge = importlib.import_module("ml.promotion.gate.judge")  # its package gives this name to the function


@dataclass(frozen=True)
class Hole:
    """A rule that is taken out: how, and the attack of `attack.known` that gets through then."""

    dig: Callable[[], None]
    known: str


HOLES: dict[str, Hole] = {}


def _hole(name: str, known: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def add(dig: Callable[[], None]) -> Callable[[], None]:
        HOLES[name] = Hole(dig, known)
        return dig

    return add


def dig(name: str) -> None:
    """Take a rule out of this process's gate."""
    HOLES[name].dig()


def _set(target: object, name: str, value: object) -> None:
    assert hasattr(target, name), f"{target} has no {name} any more"
    setattr(target, name, value)


def _says_yes(line: str) -> Callable[..., Gate]:
    return lambda *_, **__: passed(line, "a hole")


def _silent(target: object, name: str, line: str) -> None:
    _set(target, name, _says_yes(line))


# --- what lands ------------------------------------------------------------------------------------------------------


@_hole("a merge takes main back", "a merge onto an old main brings its tree back")
def _merges() -> None:
    shape = landing._range
    _set(landing, "_range", lambda ground, head, *, landed: shape(ground, head, landed=False))
    _set(landing, "_states", lambda *_, **__: iter(()))


@_hole("the first-parent line is not looked at", "a merge puts main second")
def _line() -> None:
    shape = landing._range
    _set(landing, "_range", lambda ground, head, *, landed: shape(ground, head, landed=False))


@_hole("merges are not compared with the base", "a merge on main brings an old tree back")
def _joined() -> None:
    _set(landing, "_states", lambda *_, **__: iter(()))


@_hole("staged bytes are replaced", "staged bytes are replaced in the same push")
def _replaced() -> None:
    _set(landing, "_spoiled", lambda *_: "")
    _silent(judge, "carried", "landing")


@_hole("two changes of the registry land in one push", "two steps in one push")
def _two() -> None:
    whole = landing.landing

    def last_alone(ground: Any, head: str, *, landed: bool) -> Any:
        found = whole(ground, head, landed=landed)
        if isinstance(found, Gate) and "at once; land them" in found.why:
            above = ground.repository.history.commit(head).parents[0]
            return whole(replace(ground, base=above), head, landed=landed)
        return found

    _set(judge, "landing", last_alone)
    _silent(judge, "carried", "landing")


@_hole("trees may hold one name twice", "a tree that holds ml besides")
def _trees() -> None:
    _set(landing, "malformed", lambda *_: "")


# --- the step --------------------------------------------------------------------------------------------------------


def _not_replanned(action: Action) -> None:
    whole = transition.replayed
    _set(
        transition, "replayed", lambda before, move, *more: "" if move.action is action else whole(before, move, *more)
    )


@_hole("a rollback restores any pointer", "a rollback invents its pointer")
def _rollbacks() -> None:
    _not_replanned(Action.ROLLBACK)


@_hole("a rollback leads to what a rollback left", "a stranger rolls back to a condemned artifact")
def _condemned() -> None:
    _not_replanned(Action.ROLLBACK)


@_hole("an id is staged with other bytes", "own bytes are staged under an old id")
def _ids() -> None:
    _not_replanned(Action.STAGE)


@_hole("anybody has a role", "a stranger stages")
def _roles() -> None:
    _silent(authority, "role", "role")


@_hole("nobody must acknowledge", "nobody acknowledged")
def _acks() -> None:
    _silent(authority, "acknowledged", "ack")


@_hole("a change may be as old as it likes", "a step lands 26 hours after its date")
def _ages() -> None:
    _silent(judge, "timely", "age")


# --- the rules -------------------------------------------------------------------------------------------------------


@_hole("console.toml by a developer", "a stranger's console.toml")
def _settings() -> None:
    def exact(self: guard.Guard) -> dict[str, str]:
        return {guard._folded(each): each for each in (self.places.registry, self.places.policy, self.places.signers)}

    _set(guard.Guard, "_exact", property(exact))


@_hole("the workflow by a developer", "a stranger's workflow")
def _workflow() -> None:
    _set(guard.Guard, "_runs", lambda self, folded: False)


@_hole("attributes by a developer", "attributes at the root")
def _attributes() -> None:
    _set(guard.Guard, "_attributes", lambda self, folded: False)


@_hole("registry.path is not read", "the registry where the base says it is")
def _path() -> None:
    _set(judge, "registry_path", lambda config: "")


@_hole("anybody changes the rules", "attributes become a link")
def _rules() -> None:
    _silent(judge, "rules_role", "role")
    _silent(judge, "rules_scope", "scope")


# --- identity --------------------------------------------------------------------------------------------------------


@_hole("an expired key signs", "an expired key signs a commit that is dated back")
def _expired() -> None:
    whole = authority.believed
    _set(authority, "believed", lambda raw, now=None, only="": whole(raw, None, only))


@_hole("an expired key approves", "an expired key approves")
def _expired_approvals() -> None:
    given, why = authority._approvals, authority.why_no_approval
    _set(authority, "_approvals", lambda repository, case, now: given(repository, case, None))
    _set(
        authority,
        "why_no_approval",
        lambda repository, slot, note, rules, now: why(repository, slot, note, rules, None),
    )


@_hole("nobody must sign", "a stranger promotes under an operator's name, where signatures are asked for")
def _unsigned() -> None:
    _silent(authority, "signed", "signature")


@_hole("authors approve their own", "an operator approves their own step")
def _own() -> None:
    _set(authority, "_misfit", lambda case, approval, author, by: "" if approval.signature.good else "it is not good")
    _set(authority, "hands_of", lambda raw, person: {})


@_hole("one key is two people", "one key approves as two people")
def _hands() -> None:
    whole = authority._misfit
    unsigned = partial(replace, key="")
    _set(authority, "hands_of", lambda raw, person: {})
    _set(authority, "_misfit", lambda case, approval, author, by: whole(case, approval, unsigned(author), by))


@_hole("anything is an approval", "an approval of their own takes the slot of the first edition")
def _junk() -> None:
    _set(authority, "_no_approval", lambda *_: iter(()))


@_hole("objects may be replaced", "an object is replaced")
def _replacements() -> None:
    _set(received, "_REPLACEMENTS", "refs/nothing/")


# --- evidence --------------------------------------------------------------------------------------------------------


@_hole("evidence is fabricated", "evidence is sealed anew")
def _fabricated() -> None:
    _set(evidence, "verify", lambda document: [])


@_hole("evidence is of another time", "evidence is two hours old")
def _stale() -> None:
    _set(evidence, "_old", lambda *_: iter(()))


@_hole("an artifact is not verified", "a staged report is altered")
def _artifact() -> None:
    _silent(judge, "artifact", "artifact")
