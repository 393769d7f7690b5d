"""The attacking machine: strangers, developers and operators push what they like, and the oracle watches main.

A hypothesis state machine over one bare repository with the real hook. Each rule makes a commit (or keeps one back for
the next rule) and offers it through a real ``git push``. After each push that was taken the oracle must find nothing
illegal, and a push that the rules allow must be taken.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, ClassVar

from support.clones import OPERATOR
from support.gatehouse import FRESH, LIVE, OLD, SECOND, SOAKED, STRANGER

from attack.crowd import DEVELOPER, EXTRA, FORGERIES, LIVES, PEOPLE, REGISTRY, RULES, SIGNERS_FILE, Crowd, Start
from attack.driver import Tally, Wrong, rule
from attack.ledger import Ledger
from attack.objects import SLASH
from attack.oracle import Oracle
from attack.tampering import ON_WAY, TAMPERINGS

HOUR = 3600
ALL = (OLD, LIVE, SOAKED, FRESH, EXTRA)
FOLDERS = ("", "artifacts/other/")
TIMES = {
    "now": 0,
    "40 min ago": -2400,
    "2 h ago": -2 * HOUR,
    "26 h ago": -31 * HOUR,
    "40 d ago": -960 * HOUR,
    "in 3 d": 72 * HOUR,
}
KEYS = ("own", "none", "expired", "another's")
STEPS = ("stage", "to shadow", "to active", "roll back", "withdraw staging", "withdraw shadow")
TWINS = (
    *(REGISTRY, REGISTRY.replace("/", SLASH), f"ml/registry{SLASH}models.json", f"artifacts/onnx/{LIVE}/model.onnx"),
    *("ml/registry/policy.toml", "artifacts/onnx/.git", "ml/registry/..", "ml"),
)
"""Entries that a tree holds besides its own; `SLASH` is a slash inside one name."""
MERGES = ("main's", "the first's", "the last's")


class Attack:
    """One life of one repository under attack."""

    world: ClassVar[Crowd]
    tally: ClassVar[Tally]
    guarded: ClassVar[bool] = True
    made: ClassVar[int] = 0

    def __init__(self, *, replayed: bool = False) -> None:
        self.replayed = replayed
        self.taken = False
        self.story: list[str] = []

    @rule(
        rules=(sorted(RULES)),
        lived=(LIVES),
        moved=([False] * 5 + [True]),
        denies=(False, True),
    )
    def begin(self, rules: str, lived: str, moved: bool, denies: bool) -> None:
        """A repository of one kind."""
        Attack.made += 1
        self.start: Start = self.world.start(rules, lived, moved=moved)
        self.remote = self.world.server(self.start, f"server-{Attack.made % 4}", denies=denies, guarded=self.guarded)
        self.oracle = Oracle(Ledger(self.remote), self.world.measured)
        self.main = self.start.main
        self.pool = [*self.start.older, self._orphan()]
        self.kept = ""
        self.ticks = 0
        self.story.append(f"a repository with {rules} rules, {lived} life{', registry.path moved' if moved else ''}")

    # --- rules ---------------------------------------------------------------------------------------------
    @rule(1, who=(PEOPLE), keep=(False, True))
    def code(self, who: str, keep: bool) -> None:
        """An ordinary commit."""
        at = self._now()
        stamp = self._stamp(who, at, "none")
        commit = self.world.commit(self._base(), {f"src/{at}.py": b"x = 1\n"}, stamp, "Code\n")
        self._offer(commit, f"{who} commits code", keep=keep, honest="code")

    @rule(4, step=(STEPS), artifact=(ALL), onto=(False, True))
    def honest(self, step: str, artifact: str, onto: bool) -> None:
        """A legal step by somebody who may make it; it is landed by a fast-forward, or by a forge's merge commit."""
        if self.start.moved:
            return
        who = OPERATOR if step == "to active" else DEVELOPER
        self.kept = ""
        commit = self._step(step, artifact, who, self._now(), "own")
        if not commit:
            return
        refs = self._approved(commit, SECOND) if self.start.rules == "four" and step == "to active" else []
        usable = self.start.rules != "alone" or not step.startswith(("to", "stage"))
        head = self._merged([self.main, commit], self.world.store.trees[commit]) if onto else commit
        self._offer(head, f"{who}: {step} {artifact}", refs=refs, honest=step if usable else "")

    @rule(0.8, path=(("policy", "signers")), who=((OPERATOR, SECOND)))
    def rules_by_operator(self, path: str, who: str) -> None:
        """A legal change of the rules."""
        if self.start.moved or self.start.rules == "alone":
            return
        name = SIGNERS_FILE if path == "signers" else REGISTRY.replace("models.json", "policy.toml")
        at = self._now()
        raw = self.world.store.read(self.main, name) or b""
        noted = raw.rpartition(b"# note ")[0] or raw
        files = {name: noted + f"# note {raw.count(b'# note')}{len(raw) % 2}\n".encode()}
        commit = self.world.commit(self.main, files, self._stamp(who, at, "own"), "Rules\n")
        refs = self._approved(commit, OPERATOR if who == SECOND else SECOND) if self.start.rules == "four" else []
        self._offer(commit, f"{who} changes {name}", refs=refs, honest=f"rules: {path}")

    @rule(0.8, path=TWINS, who=PEOPLE)
    def twin(self, path: str, who: str) -> None:
        """A tree that holds one name twice, or a slash in a name: tools disagree on what it means."""
        store, base = self.world.store, self._base()
        raw = (store.read(base, REGISTRY) or b"{}").replace(SOAKED.encode(), FRESH.encode())
        stamp = self._stamp(who, self._now(), "none")
        twins = {path: ("100644", store.blob(raw))}
        commit = store.commit(store.trees[base], [base], stamp, "Twin\n", twins)
        self._offer(commit, f"{who} writes {path} a second time into one tree")

    @rule(
        2,
        step=(STEPS),
        artifact=(ALL),
        who=(PEOPLE),
        when=(sorted(TIMES)),
        key=(KEYS),
        keep=(False, True),
    )
    def wrong_hands(self, step: str, artifact: str, who: str, when: str, key: str, keep: bool) -> None:
        """A step that our planner made, by anybody, dated anyhow, signed with any key."""
        commit = self._step(step, artifact, who, self._now() + TIMES[when], key)
        self._offer(commit, f"{who}: {step} {artifact}, dated {when}, key {key}", keep=keep)

    @rule(1.2, forged=(FORGERIES), stage=(("active", "active", "shadow")))
    def forged(self, forged: str, stage: str) -> None:
        """A promotion by an operator with one thing forged."""
        artifact = self.world.standing(self.main, "shadow" if stage == "active" else "staging")
        who, at = OPERATOR, self._now()
        commit = self._planned(
            lambda: self.world.promotion(self.main, artifact, stage, who, at, forged=forged), who, at, "own"
        )
        refs = self._approved(commit, SECOND) if commit and self.start.rules == "four" else []
        self._offer(commit, f"{who} promotes {artifact} to {stage}, forged: {forged}", refs=refs)

    @rule(
        1.5,
        artifact=(ALL),
        folder=(FOLDERS),
        source=((OLD, LIVE, FRESH)),
        keep=(False, True),
    )
    def own_bytes(self, artifact: str, folder: str, source: str, keep: bool) -> None:
        """A developer stages an id with other bytes, or from another folder."""
        who, at = DEVELOPER, self._now()
        where = f"{folder}{artifact}" if folder else ""
        base = self._base()
        commit = self._planned(
            lambda: self.world.staging(base, artifact, who, at, folder=where, source=source), who, at, "own"
        )
        self._offer(commit, f"{who} stages {artifact} with the bytes of {source} in {where or 'its folder'}", keep=keep)

    @rule(2, artifact=(ALL), origin=(("newest", "invented")), who=(PEOPLE))
    def false_rollback(self, artifact: str, origin: str, who: str) -> None:
        """A rollback written by hand: to whatever, with whatever pointer."""
        at, base = self._now(), self._base()
        commit = self._planned(lambda: self.world.rolling(base, artifact, who, at, origin=origin), who, at, "own")
        self._offer(commit, f"{who} rolls back to {artifact} by hand, pointer {origin}")

    @rule(3, what=(sorted(TAMPERINGS)), who=(PEOPLE), key=(KEYS[:3]), keep=(False, True))
    def tamper(self, what: str, who: str, key: str, keep: bool) -> None:
        """Somebody edits files by hand in an ordinary commit."""
        commit = self._tampered(self._base(), what, who, key)
        self._offer(commit, f"{who}: {what}, key {key}", keep=keep)

    @rule(
        2,
        step=(STEPS),
        what=(ON_WAY),
        before=(False, True),
        who=(PEOPLE[:3]),
    )
    def ride_along(self, step: str, what: str, before: bool, who: str) -> None:
        """A legal step, and an ordinary commit in the same push that touches what it should not."""
        if self.start.moved:
            return
        self.kept = ""
        if before:
            self.kept = self._tampered(self.main, what, who, "none")
        commit = self._step(step, EXTRA, OPERATOR, self._now(), "own")
        if commit and not before:
            commit = self._tampered(commit, what, who, "none")
        order = "after" if not before else "before"
        self._offer(commit, f"{OPERATOR}: {step}, and {order} it {who}: {what}")

    @rule(2.5, first=range(8), second=range(8), third=(-1, *range(6)), tree=(MERGES), who=(PEOPLE))
    def merge(self, first: int, second: int, third: int, tree: str, who: str) -> None:
        """A merge of any commits in any order, with the tree of one of them; one parent alone is a revert."""
        picks = [pick for pick in (first, second, third) if pick >= 0]
        known = [self.main, self.kept or self.main, *reversed(self.pool)]
        parents = list(dict.fromkeys(known[pick % len(known)] for pick in picks))
        if self.main not in parents and len(parents) < 3 and picks[0] % 2:
            parents.append(self.main)
        of = {"main's": self.main, "the first's": parents[0], "the last's": parents[-1]}[tree]
        head = self._merged(parents, self.world.store.trees[of], who)
        self._offer(head, f"{who} merges {', '.join(map(self._called, parents))} with {tree} tree")

    @rule(0.7, pick=range(8), who=(PEOPLE))
    def revert(self, pick: int, who: str) -> None:
        """An ordinary commit on main that brings an older tree back."""
        of = self.pool[pick % len(self.pool)]
        commit = self.world.store.commit(
            self.world.store.trees[of], [self.main], self._stamp(who, self._now(), "none"), "Revert\n"
        )
        self._offer(commit, f"{who} reverts to the tree of {self._called(of)}")

    @rule(0.4, pick=range(8), delete=(False, True))
    def force(self, pick: int, delete: bool) -> None:
        """Main is pushed to an older commit by force, or deleted."""
        of = "" if delete else self.pool[pick % len(self.pool)]
        self._offer(of, "main is deleted" if delete else f"main is forced to {self._called(of)}", forced=True)

    @rule(
        0.8,
        name=(
            (
                "tags/main",
                "tags/origin/main",
                "heads/origin/main",
                "heads/refs/heads/main",
                "tags/heads/main",
                "heads/try",
                "replace/{}",
                "remotes/origin/main",
                "approvals/{}/x",
                "heads/promote/x/y-to-active-1",
                "notes/commits",
            )
        ),
        pick=range(8),
        delete=(False, True),
    )
    def other_ref(self, name: str, pick: int, delete: bool) -> None:
        """Another ref is pushed or deleted, where it may be taken for main or for what is judged."""
        of = self.kept or self.pool[pick % len(self.pool)]
        ref = f"refs/{name.format(self.main)}"
        before = self.oracle.ledger.refs("refs/approvals")
        taken, _ = self._push(
            [f"+{'' if delete else of}:{ref}"], f"{ref} is {'deleted' if delete else f'set to {self._called(of)}'}"
        )
        if taken:
            self._check(self.main, f"{ref} moved")
            after = self.oracle.ledger.refs("refs/approvals")
            sins = ["an approval is gone"] if any(after.get(key) != sha for key, sha in before.items()) else []
            sins += ["objects are replaced"] if self.oracle.ledger.refs("refs/replace") else []
            self._confess(sins)

    @rule(0.5, what=((*ON_WAY, "code")), who=(PEOPLE))
    def with_tag(self, what: str, who: str) -> None:
        """Main and a tag of main's name are pushed together."""
        commit = self._tampered(self._base(), what, who, "none")
        refs = [f"+{commit}:refs/tags/main", f"+{commit}:refs/tags/origin/main", f"+{commit}:refs/heads/origin/main"]
        self._offer(commit, f"{who}: {what}, pushed with tags of main's name", refs=refs if commit else [])

    @rule(0.6, who=((OPERATOR, SECOND, DEVELOPER)), name=((OPERATOR, SECOND)))
    def alone(self, who: str, name: str) -> None:
        """One person promotes to active under an operator's name, and approves that with their own key."""
        if self.start.moved:
            return
        at = self._now()
        artifact = self.world.standing(self.main, "shadow")
        key = "none" if name != who else "own"
        commit = self._planned(lambda: self.world.promotion(self.main, artifact, "active", name, at), name, at, key)
        refs = self._approved(commit, who) if commit else []
        honest = "to active" if self.start.rules == "plain" or (self.start.rules == "signed" and name == who) else ""
        self._offer(commit, f"{who} promotes {artifact} as {name} and approves it", refs=refs, honest=honest)

    # --- making --------------------------------------------------------------------------------------------
    def _step(self, step: str, artifact: str, who: str, at: int, key: str) -> str:
        world, base = self.world, self._base()
        way: dict[str, Callable[[], Any]] = {
            "stage": lambda: world.staging(base, artifact, who, at),
            "to shadow": lambda: world.promotion(base, world.standing(base, "staging"), "shadow", who, at),
            "to active": lambda: world.promotion(base, world.standing(base, "shadow"), "active", who, at),
            "roll back": lambda: world.rolling(base, artifact, who, at),
            "withdraw staging": lambda: world.withdrawal(base, "staging", who, at),
            "withdraw shadow": lambda: world.withdrawal(base, "shadow", who, at),
        }
        return self._planned(way[step], who, at, key)

    def _planned(self, make: Callable[[], Any], who: str, at: int, key: str) -> str:
        """A plan's commit; empty where our own planner refuses and nothing is to be pushed."""
        try:
            plan = make()
        except Exception as error:  # noqa: BLE001 whatever the planner raises, nothing is pushed
            self.tally.unplanned[f"{type(error).__name__}: {error}"[:100]] += 1
            return ""
        return self.world.carried_out(plan, self._stamp(who, at, key))

    def _tampered(self, base: str, what: str, who: str, key: str) -> str:
        files = {"src/more.py": b"y = 2\n"} if what == "code" else TAMPERINGS[what](self.world, base, who)
        if not files:
            return ""
        at = self._now()
        return self.world.commit(base, files, self._stamp(who, at, key), f"{what}\n")

    def _merged(self, parents: list[str], tree: Any, who: str = SECOND) -> str:
        return self.world.store.commit(dict(tree), parents, self._stamp(who, self._now(), "none"), "Merge\n")

    def _orphan(self) -> str:
        files = {"elsewhere.txt": ("100644", self.world.store.blob(b"another beginning\n"))}
        return self.world.store.commit(files, [], self.world.stamp(STRANGER, self.world.epoch - HOUR), "Orphan\n")

    def _approved(self, commit: str, by: str) -> list[str]:
        """A signed approval of a commit, as the refspec that pushes it."""
        stamp = self.world.stamp(by, self._now(), by if by in self.world.keys else None)
        tree = self.world.store.trees[commit]
        note = self.world.store.commit(tree, [commit], stamp, f"Approve\n\nApproves: {commit}\nApproved-By: {by}\n")
        return [f"{note}:refs/approvals/{commit}/{note[:16]}"]

    def _stamp(self, who: str, at: int, key: str) -> Any:
        signs = {"own": who, "none": None, "expired": "expired", "another's": STRANGER}[key]
        if self.start.rules in ("plain", "alone") and key == "own":
            signs = None
        return self.world.stamp(who, at, signs)

    def _now(self) -> int:
        self.ticks += 1
        return self.world.epoch + self.ticks

    def _base(self) -> str:
        return self.kept or self.main

    def _called(self, commit: str) -> str:
        if commit == self.main:
            return "main"
        names = ("the beginning", "an earlier main", "an orphan root")
        at = self.pool.index(commit) if commit in self.pool else len(self.pool)
        return names[at] if at < len(names) else f"commit {commit[:8]}"

    # --- pushing -------------------------------------------------------------------------------------------
    def _offer(
        self,
        commit: str,
        tale: str,
        *,
        refs: list[str] | None = None,
        keep: bool = False,
        honest: str = "",
        forced: bool = False,
    ) -> None:
        if (not commit and not forced) or self._tried(tale, keep=keep):
            return
        if keep and not refs:
            self.kept = commit
            self.story.append(f"{tale} [{commit[:8]}] and keeps it back")
            return
        honest = "" if self.kept else honest
        self.kept = ""
        for each in refs or []:
            if ":refs/approvals/" in each:
                self._push([each], "the approval is pushed")
        others = [each for each in refs or [] if ":refs/approvals/" not in each]
        before = self.main
        if honest:
            self.tally.tried[honest] += 1
        taken, said = self._push([*others, f"{'+' if forced else ''}{commit}:refs/heads/main"], tale)
        if commit and commit not in self.pool:
            self.pool.append(commit)
        self.taken = taken
        self._check(before, tale)
        if taken and commit:
            self.main = commit
        if honest and taken:
            self.tally.honest[honest] += 1
        if honest and not taken and before != commit:
            reason = "\n".join(line for line in said.splitlines() if "mlconsole" in line or "rror" in line)
            self._tell(f"a legal push was refused: {reason or said}")

    def _tried(self, tale: str, *, keep: bool) -> bool:
        """Whether the same was tried on the same state before, so that no push is wasted; a failure is told whole."""
        if keep or self.replayed:
            return False
        world, at = self.world, self.kept or self.main
        entries = world.store.trees[at]
        governed = sorted(item for item in entries.items() if not item[0].startswith("src/"))
        key = hash((self.start.rules, self.start.moved, bool(self.kept), tuple(governed), tale))
        if key in self.tally.seen:
            self.kept = ""
            return True
        self.tally.seen.add(key)
        return False

    def _push(self, refspecs: list[str], tale: str) -> tuple[bool, str]:
        self.tally.pushes += not self.replayed
        started = time.monotonic()
        taken, said = self.world.push(self.remote, *refspecs)
        self.tally.seconds += time.monotonic() - started
        self.tally.accepted += taken
        reasons = [line.partition(" is refused: ")[2] for line in said.splitlines() if " is refused: " in line]
        self.story.append(
            f"{tale}: {'taken' if taken else 'refused: ' + (reasons[0] if reasons else said.strip()[-200:])}"
        )
        if log := os.environ.get("ATTACK_LOG"):
            with open(log, "a") as file:
                file.write(f"{self.tally.pushes} {self.tally.seconds:.1f} s {self.story[-1][:300]}\n")
        if not taken:
            self.tally.refused[(reasons[0].split(":")[0] if reasons else "git")] += 1
        if "hook declined" in said and not reasons:
            self._tell(f"the hook crashed; {said}")
        return taken, said

    def _check(self, before: str, tale: str) -> None:
        tip = self.oracle.ledger.tip()
        if tip != before:
            self._confess(self.oracle.sins(before, tip))

    def _confess(self, sins: list[str]) -> None:
        if sins:
            self.tally.illegal += 1
            self._tell("an illegal push was accepted: " + "; ".join(sins))

    def _tell(self, what: str) -> None:
        raise Wrong(what, self.story)
