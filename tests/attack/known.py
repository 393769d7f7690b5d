"""Attacks that once got through, as the shortest lives that show them: each is tried again with every test run.

Against the gate of the first edition the machine found, by itself and from one seed (7): a malformed tree at push 2, an
old main under a merge at 4, the crash by an orphan root at 34, attributes at 54, another change in the same push at 76,
the condemned artifact at 84, an old id with other bytes at 124, a change hidden by a merge at 129, what a moved
``registry.path`` left unguarded at 138, and replaced staged bytes at 204.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from support.clones import OPERATOR
from support.gatehouse import FRESH, LIVE, OLD, SECOND, SOAKED, STRANGER

from attack.crowd import DEVELOPER, EXTRA
from attack.driver import Move
from attack.machine import JUNK, SLOTS, TWINS
from attack.objects import SLASH


@dataclass(frozen=True)
class Known:
    """An attack by name: the rules and the past of the repository, and the moves. ``sin`` are words of the oracle.

    ``lands``: the last push is legal, and is taken although something stands in its way.
    """

    name: str
    moves: tuple[Move, ...]
    sin: str
    rules: str = "plain"
    lived: str = "usual"
    moved: bool = False
    lands: bool = False

    @property
    def life(self) -> tuple[Move, ...]:
        """The moves with the beginning before them."""
        return (_move("begin", rules=self.rules, lived=self.lived, moved=self.moved, denies=False), *self.moves)


def _move(name: str, /, **arguments: Any) -> Move:
    return Move(name, tuple(arguments.items()))


def _tamper(what: str, who: str = STRANGER, *, keep: bool = False) -> Move:
    return _move("tamper", what=what, who=who, key="none", keep=keep)


def _merge(first: int, second: int, tree: str) -> Move:
    """0 is main, 1 what was kept back, 2 an orphan root, 3 an earlier main, 4 the beginning."""
    return _move("merge", first=first, second=second, third=-1, tree=tree, who=STRANGER)


def _own(artifact: str, folder: str, source: str, *, keep: bool = False) -> Move:
    return _move("own_bytes", artifact=artifact, folder=folder, source=source, keep=keep)


def _hands(step: str, artifact: str, who: str, when: str = "now", key: str = "own", *, keep: bool = False) -> Move:
    return _move("wrong_hands", step=step, artifact=artifact, who=who, when=when, key=key, keep=keep)


def _ride(step: str, what: str, *, before: bool = False) -> Move:
    return _move("ride_along", step=step, what=what, before=before, who=DEVELOPER)


def _roll(artifact: str, origin: str, who: str) -> Move:
    return _move("false_rollback", artifact=artifact, origin=origin, who=who)


def _squat(slot: str, junk: str) -> Known:
    move = _move("junk_approval", junk=junk, slot=slot, who=STRANGER)
    return Known(f"{junk} takes the slot {slot}", (move,), "no operator's approval", rules="four", lands=True)


def _twin(path: str) -> Known:
    shown = path.replace(SLASH, " in one name ")
    return Known(f"a tree that holds {shown} besides", (_move("twin", path=path, who=STRANGER),), "malformed")


def _edited_merge(what: str) -> tuple[Move, ...]:
    return (_move("tampered_merge", what=what, who=STRANGER, main_first=True),)


MERGED, GOVERNED = "first-parent line", "without a change of its own"
NO_OPERATOR = "is no operator of the old rules"
MIXED = "of an artifact that the registry names|one push|changes together|what landed is not|no operator|rides along"
KNOWN = (
    Known("a merge onto an old main brings its tree back", (_merge(4, 0, "the first's"),), MERGED),
    Known("a merge puts main second", (_merge(4, 0, "main's"),), MERGED),
    Known("a merge on main brings an old tree back", (_merge(0, 4, "the last's"),), GOVERNED),
    Known("an old tree comes back in an ordinary commit", (_move("revert", pick=0, who=STRANGER),), "changes together"),
    Known("a merge makes the workflow say yes", _edited_merge("makes the workflow say yes"), "that no parent has"),
    Known("a merge deletes the workflow", _edited_merge("deletes the workflow"), "that no parent has"),
    Known("a merge names an operator", _edited_merge("names an operator"), "that no parent has"),
    Known("an orphan root is merged", (_merge(2, 0, "main's"),), MERGED),
    Known("own bytes are staged under an old id", (_own(OLD, "artifacts/other/", FRESH),), "several digests"),
    Known(
        "own bytes are staged under an old id, then rolled back to",
        (_own(OLD, "artifacts/other/", FRESH, keep=True), _roll(OLD, "newest", DEVELOPER)),
        "several digests",
    ),
    Known("the same bytes are staged from another folder", (_own(OLD, "artifacts/other/", OLD),), "several digests"),
    Known("staged bytes are replaced in the same push", (_ride("stage", "replaces the bytes of staging"),), MIXED),
    Known("a staged report is altered in the same push", (_ride("stage", "appends to the report of staging"),), MIXED),
    Known("a file is added to what is staged, in one push", (_ride("stage", "adds a file of staging"),), MIXED),
    Known("rules ride along with a step", (_ride("withdraw shadow", "brings a console.toml"),), MIXED),
    Known("attributes ride along with a step", (_ride("stage", "writes .gitattributes", before=True),), MIXED),
    Known(
        "two steps in one push",
        (_hands("withdraw shadow", EXTRA, DEVELOPER, keep=True), _hands("stage", EXTRA, DEVELOPER)),
        "at once|one push",
    ),
    Known(
        "a stranger rolls back to a condemned artifact",
        (_roll(SOAKED, "newest", STRANGER),),
        "condemned",
        lived="condemned",
    ),
    Known("a rollback invents its pointer", (_roll(OLD, "invented", STRANGER),), "no activation had"),
    Known(
        "the registry where the base says it is",
        (_tamper("edits the registry: active becomes shadow's"),),
        "without an event",
        moved=True,
    ),
    Known("the rules beside a moved registry", (_tamper("names an operator"),), NO_OPERATOR, moved=True),
    Known(
        "registry.path is moved by a stranger",
        (_tamper("moves registry.path to their own"),),
        NO_OPERATOR,
    ),
    Known("a stranger's console.toml", (_tamper("brings a console.toml"),), NO_OPERATOR),
    Known("a stranger's workflow", (_tamper("makes the workflow say yes"),), NO_OPERATOR),
    Known("the workflow is deleted", (_tamper("deletes the workflow"),), NO_OPERATOR),
    Known("attributes at the root", (_tamper("writes .gitattributes"),), NO_OPERATOR),
    Known("attributes above artifacts", (_tamper("writes artifacts/onnx/.gitattributes"),), NO_OPERATOR),
    Known("attributes beside the registry", (_tamper("writes ml/registry/.gitattributes"),), "checked out"),
    Known("attributes in an artifact", (_tamper(f"writes artifacts/onnx/{LIVE}/.gitattributes"),), "registry names"),
    Known("the registry's folder becomes a link", (_tamper("makes the policy's folder a link"),), "cannot be read"),
    Known("artifacts/ becomes a link", (_tamper("makes artifacts/ a link"),), "registry names"),
    Known("ml/ becomes a link", (_tamper("makes ml/ a link"),), "cannot be read"),
    Known("attributes become a link", (_tamper("makes .gitattributes a link"),), NO_OPERATOR),
    Known("an artifact becomes a submodule", (_tamper("makes an artifact a submodule"),), "registry names"),
    Known("an artifact becomes a link", (_tamper("makes the folder a link of active"),), "registry names"),
    Known(
        "an expired key signs a commit that is dated back",
        (_hands("stage", EXTRA, OPERATOR, "40 min ago", "expired"),),
        "not signed by a key",
        rules="signed",
    ),
    Known("a step lands 26 hours after its date", (_hands("stage", EXTRA, DEVELOPER, "26 h ago", "none"),), "dated"),
    Known(
        "a withdrawal lands 26 hours after its date",
        (_hands("withdraw shadow", EXTRA, DEVELOPER, "26 h ago", "none"),),
        "dated",
    ),
    Known("one operator approves alone", (_move("alone", who=OPERATOR, name=SECOND),), "cannot be used", rules="alone"),
    *(_twin(path) for path in TWINS),
    *(_squat(slot, junk) for slot in SLOTS for junk in (JUNK if slot == "of the first edition" else JUNK[2:3])),
    *(
        Known(f"{name} makes main ambiguous", (_move("other_ref", name=name, pick=0, delete=False),), "ambiguous")
        for name in ("heads/refs/heads/main", "tags/refs/heads/main")
    ),
    Known(
        "an object is replaced", (_move("other_ref", name="replace/{}", pick=0, delete=False),), "replaces an object"
    ),
    Known(
        "unsigned approvals are asked for", (_tamper("asks for unsigned approvals", OPERATOR),), "policy cannot be used"
    ),
    Known(
        "a stranger promotes under an operator's name, where signatures are asked for",
        (_move("alone", who=DEVELOPER, name=OPERATOR),),
        "not signed",
        rules="signed",
    ),
    Known("evidence is sealed anew", (_move("forged", forged="sealed anew", stage="active"),), "was measured"),
    Known("evidence is two hours old", (_move("forged", forged="stale", stage="active"),), "h older"),
    Known("a stranger stages", (_hands("stage", EXTRA, STRANGER, "now", "none"),), "has no role"),
    Known(
        "an operator approves their own step",
        (_move("alone", who=OPERATOR, name=OPERATOR),),
        "approvals are there",
        rules="four",
    ),
    Known(
        "an expired key approves", (_move("approves", how="by an expired key"),), "approvals are there", rules="four"
    ),
    Known(
        "one key approves as two people", (_move("approves", how="as another"),), "approvals are there", rules="shared"
    ),
    Known(
        "a staged report is altered",
        (_move("bent", bend="report of the artifact", step="stage", artifact=EXTRA),),
        "is of another model|manifest pins",
    ),
    Known("nobody acknowledged", (_move("forged", forged="no ACK", stage="active"),), "without an ACK"),
)
