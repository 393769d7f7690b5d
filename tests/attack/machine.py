"""The attacking machine: strangers, developers and operators push what they like, and the oracle watches main.

A hypothesis state machine over one bare repository with the real hook. Each rule makes a commit (or keeps one back for
the next rule) and offers it through a real ``git push``. After each push that was taken the oracle must find nothing
illegal, and a push that the rules allow must be taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from attack.crowd import DEVELOPER, EXTRA, FORGERIES, LIVES, MODEL, PEOPLE, REGISTRY, RULES, SIGNERS_FILE, Crowd, Start
from attack.ledger import Ledger
from attack.oracle import Oracle
from attack.tampering import ON_WAY, TAMPERINGS, is_rule
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from support.clones import OPERATOR
from support.gatehouse import FRESH, LIVE, OLD, SECOND, SOAKED, STRANGER

HOUR = 3600
ALL = (OLD, LIVE, SOAKED, FRESH, EXTRA)
FOLDERS = ("", "artifacts/other/")
TIMES = {"now": 0, "2 h ago": -2 * HOUR, "31 h ago": -31 * HOUR, "40 d ago": -960 * HOUR, "in 3 d": 72 * HOUR}
KEYS = ("own", "none", "expired", "another's")
STEPS = ("stage", "to shadow", "to active", "roll back", "withdraw staging", "withdraw shadow")
MERGES = ("main's", "the first's", "the last's")


@dataclass
class Tally:
    """What a whole run counted."""

    most: int = 1 << 30
    pushes: int = 0
    accepted: int = 0
    illegal: int = 0
    honest: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unplanned: Counter[str] = field(default_factory=Counter)

    @property
    def full(self) -> bool:
        """Whether enough was pushed, so that the run may end."""
        return self.pushes >= self.most and not self.illegal


class Attack(RuleBasedStateMachine):
    """One life of one repository under attack."""

    world: ClassVar[Crowd]
    tally: ClassVar[Tally]
    made: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.story: list[str] = []

    @initialize(
        rules=st.sampled_from(sorted(RULES)), lived=st.sampled_from(LIVES), moved=st.sampled_from([False] * 5 + [True]),
        denies=st.booleans(),
    )
    def begin(self, rules: str, lived: str, moved: bool, denies: bool) -> None:
        """A repository of one kind."""
        if self.tally.full:
            return
        Attack.made += 1
        self.start: Start = self.world.start(rules, lived, moved=moved)
        self.remote = self.world.server(self.start, f"server-{Attack.made % 4}", denies=denies)
        self.oracle = Oracle(Ledger(self.remote), self.world.measured)
        self.main = self.start.main
        self.pool = [*self.start.older, self._orphan()]
        self.kept = ""
        self.ticks = 0
        self.story.append(f"a repository with {rules} rules, {lived} life{', registry.path moved' if moved else ''}")

    # --- rules ---------------------------------------------------------------------------------------------
    @rule(who=st.sampled_from(PEOPLE), keep=st.booleans())
    def code(self, who: str, keep: bool) -> None:
        """An ordinary commit."""
        if self.tally.full:
            return
        at = self._now()
        stamp = self._stamp(who, at, "none")
        commit = self.world.commit(self._base(), {f"src/{at}.py": b"x = 1\n"}, stamp, "Code\n")
        self._offer(commit, f"{who} commits code", keep=keep, honest="code")

    @rule(step=st.sampled_from(STEPS), artifact=st.sampled_from(ALL), onto=st.booleans())
    def honest(self, step: str, artifact: str, onto: bool) -> None:
        """A legal step by somebody who may make it; it is landed by a fast-forward, or by a forge's merge commit."""
        if self.tally.full or self.start.moved:
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

    @rule(path=st.sampled_from(("policy", "signers")), who=st.sampled_from((OPERATOR, SECOND)))
    def rules_by_operator(self, path: str, who: str) -> None:
        """A legal change of the rules."""
        if self.tally.full or self.start.moved or self.start.rules == "alone":
            return
        name = SIGNERS_FILE if path == "signers" else REGISTRY.replace("models.json", "policy.toml")
        at = self._now()
        raw = self.world.store.read(self.main, name) or b""
        noted = raw.rpartition(b"# note ")[0] or raw
        files = {name: noted + f"# note {raw.count(b'# note')}{len(raw) % 2}\n".encode()}
        commit = self.world.commit(self.main, files, self._stamp(who, at, "own"), "Rules\n")
        refs = self._approved(commit, OPERATOR if who == SECOND else SECOND) if self.start.rules == "four" else []
        self._offer(commit, f"{who} changes {name}", refs=refs, honest=f"rules: {path}")

    @rule(
        step=st.sampled_from(STEPS), artifact=st.sampled_from(ALL), who=st.sampled_from(PEOPLE),
        when=st.sampled_from(sorted(TIMES)), key=st.sampled_from(KEYS), keep=st.booleans(),
    )
    def wrong_hands(self, step: str, artifact: str, who: str, when: str, key: str, keep: bool) -> None:
        """A step that our planner made, by anybody, dated anyhow, signed with any key."""
        if self.tally.full:
            return
        commit = self._step(step, artifact, who, self._now() + TIMES[when], key)
        self._offer(commit, f"{who}: {step} {artifact}, dated {when}, key {key}", keep=keep)

    @rule(forged=st.sampled_from(FORGERIES), stage=st.sampled_from(("active", "active", "shadow")))
    def forged(self, forged: str, stage: str) -> None:
        """A promotion by an operator with one thing forged."""
        if self.tally.full:
            return
        artifact = self.world.standing(self.main, "shadow" if stage == "active" else "staging")
        who, at = OPERATOR, self._now()
        commit = self._planned(lambda: self.world.promotion(self.main, artifact, stage, who, at, forged=forged), who, at, "own")
        refs = self._approved(commit, SECOND) if commit and self.start.rules == "four" else []
        self._offer(commit, f"{who} promotes {artifact} to {stage}, forged: {forged}", refs=refs)

    @rule(
        artifact=st.sampled_from(ALL), folder=st.sampled_from(FOLDERS), source=st.sampled_from((OLD, LIVE, FRESH)),
        keep=st.booleans(),
    )
    def own_bytes(self, artifact: str, folder: str, source: str, keep: bool) -> None:
        """A developer stages an id with other bytes, or from another folder."""
        if self.tally.full:
            return
        who, at = DEVELOPER, self._now()
        where = f"{folder}{artifact}" if folder else ""
        base = self._base()
        commit = self._planned(
            lambda: self.world.staging(base, artifact, who, at, folder=where, source=source), who, at, "own"
        )
        self._offer(commit, f"{who} stages {artifact} with the bytes of {source} in {where or 'its folder'}", keep=keep)

    @rule(artifact=st.sampled_from(ALL), origin=st.sampled_from(("newest", "invented")), who=st.sampled_from(PEOPLE))
    def false_rollback(self, artifact: str, origin: str, who: str) -> None:
        """A rollback written by hand: to whatever, with whatever pointer."""
        if self.tally.full:
            return
        at, base = self._now(), self._base()
        commit = self._planned(lambda: self.world.rolling(base, artifact, who, at, origin=origin), who, at, "own")
        self._offer(commit, f"{who} rolls back to {artifact} by hand, pointer {origin}")

    @rule(what=st.sampled_from(sorted(TAMPERINGS)), who=st.sampled_from(PEOPLE), key=st.sampled_from(KEYS[:3]), keep=st.booleans())
    def tamper(self, what: str, who: str, key: str, keep: bool) -> None:
        """Somebody edits files by hand in an ordinary commit."""
        if self.tally.full:
            return
        commit = self._tampered(self._base(), what, who, key)
        self._offer(commit, f"{who}: {what}, key {key}", keep=keep)

    @rule(
        step=st.sampled_from(STEPS), what=st.sampled_from(ON_WAY), before=st.booleans(), who=st.sampled_from(PEOPLE[:3]),
    )
    def ride_along(self, step: str, what: str, before: bool, who: str) -> None:
        """A legal step, and an ordinary commit in the same push that touches what it should not."""
        if self.tally.full or self.start.moved:
            return
        self.kept = ""
        if before:
            self.kept = self._tampered(self.main, what, who, "none")
        commit = self._step(step, EXTRA, OPERATOR, self._now(), "own")
        if commit and not before:
            commit = self._tampered(commit, what, who, "none")
        order = "after" if not before else "before"
        self._offer(commit, f"{OPERATOR}: {step}, and {order} it {who}: {what}")

    @rule(picks=st.lists(st.integers(0, 7), min_size=1, max_size=3), tree=st.sampled_from(MERGES), who=st.sampled_from(PEOPLE))
    def merge(self, picks: list[int], tree: str, who: str) -> None:
        """A merge of any commits in any order, with the tree of one of them; one parent alone is a revert."""
        if self.tally.full:
            return
        known = [self.main, self.kept or self.main, *reversed(self.pool)]
        parents = list(dict.fromkeys(known[pick % len(known)] for pick in picks))
        if self.main not in parents and len(parents) < 3 and picks[0] % 2:
            parents.append(self.main)
        of = {"main's": self.main, "the first's": parents[0], "the last's": parents[-1]}[tree]
        head = self._merged(parents, self.world.store.trees[of], who)
        self._offer(head, f"{who} merges {', '.join(map(self._called, parents))} with {tree} tree")

    @rule(pick=st.integers(0, 7), who=st.sampled_from(PEOPLE))
    def revert(self, pick: int, who: str) -> None:
        """An ordinary commit on main that brings an older tree back."""
        if self.tally.full:
            return
        of = self.pool[pick % len(self.pool)]
        commit = self.world.store.commit(self.world.store.trees[of], [self.main], self._stamp(who, self._now(), "none"), "Revert\n")
        self._offer(commit, f"{who} reverts to the tree of {self._called(of)}")

    @rule(pick=st.integers(0, 7), delete=st.booleans())
    def force(self, pick: int, delete: bool) -> None:
        """Main is pushed to an older commit by force, or deleted."""
        if self.tally.full:
            return
        of = "" if delete else self.pool[pick % len(self.pool)]
        self._offer(of, "main is deleted" if delete else f"main is forced to {self._called(of)}", forced=True)

    @rule(
        name=st.sampled_from(
            ("tags/main", "tags/origin/main", "heads/origin/main", "heads/refs/heads/main", "tags/heads/main", "heads/try",
             "replace/{}", "remotes/origin/main", "approvals/{}/x", "heads/promote/x/y-to-active-1", "notes/commits")
        ),
        pick=st.integers(0, 7), delete=st.booleans(),
    )
    def other_ref(self, name: str, pick: int, delete: bool) -> None:
        """Another ref is pushed or deleted, where it may be taken for main or for what is judged."""
        if self.tally.full:
            return
        of = self.kept or self.pool[pick % len(self.pool)]
        ref = f"refs/{name.format(self.main)}"
        before = self.oracle.ledger.refs("refs/approvals")
        taken, _ = self._push([f"+{'' if delete else of}:{ref}"], f"{ref} is {'deleted' if delete else f'set to {self._called(of)}'}")
        if taken:
            self._check(self.main, f"{ref} moved")
            after = self.oracle.ledger.refs("refs/approvals")
            sins = ["an approval is gone"] if any(after.get(key) != sha for key, sha in before.items()) else []
            sins += ["objects are replaced"] if self.oracle.ledger.refs("refs/replace") else []
            self._confess(sins)

    @rule(what=st.sampled_from((*ON_WAY, "code")), who=st.sampled_from(PEOPLE))
    def with_tag(self, what: str, who: str) -> None:
        """Main and a tag of main's name are pushed together."""
        if self.tally.full:
            return
        commit = self._tampered(self._base(), what, who, "none")
        refs = [f"+{commit}:refs/tags/main", f"+{commit}:refs/tags/origin/main", f"+{commit}:refs/heads/origin/main"]
        self._offer(commit, f"{who}: {what}, pushed with tags of main's name", refs=refs if commit else [])

    @rule(who=st.sampled_from((OPERATOR, SECOND, DEVELOPER)), name=st.sampled_from((OPERATOR, SECOND)))
    def alone(self, who: str, name: str) -> None:
        """One person promotes to active under an operator's name, and approves that with their own key."""
        if self.tally.full or self.start.moved:
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
        self, commit: str, tale: str, *, refs: list[str] | None = None, keep: bool = False, honest: str = "", forced: bool = False
    ) -> None:
        if not commit and not forced:
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
        self._check(before, tale)
        if taken and commit:
            self.main = commit
        if honest and taken:
            self.tally.honest[honest] += 1
        if honest and not taken and before != commit:
            reason = "\n".join(line for line in said.splitlines() if "mlconsole" in line or "rror" in line)
            self._tell(f"a legal push was refused: {reason or said}")

    def _push(self, refspecs: list[str], tale: str) -> tuple[bool, str]:
        self.tally.pushes += 1
        taken, said = self.world.push(self.remote, *refspecs)
        self.tally.accepted += taken
        reasons = [line.partition(" is refused: ")[2] for line in said.splitlines() if " is refused: " in line]
        self.story.append(f"{tale}: {'taken' if taken else 'refused: ' + (reasons[0] if reasons else said.strip()[-200:])}")
        if not taken:
            self.tally.refused[(reasons[0].split(":")[0] if reasons else "git")] += 1
        if "Traceback" in said or "mlconsole crashed" in said or "bug" in said:
            self._tell(f"the hook crashed: {said}")
        return taken, said

    def _check(self, before: str, tale: str) -> None:
        tip = self.oracle.ledger.tip()
        if tip != before:
            self._confess(self.oracle.sins(before, tip))

    def _confess(self, sins: list[str]) -> None:
        if sins:
            Attack.tally.illegal += 1
            self._tell("an illegal push was accepted: " + "; ".join(sins))

    def _tell(self, what: str) -> None:
        story = "\n".join(f"  {number}. {line}" for number, line in enumerate(self.story, start=1))
        raise AssertionError(f"{what}\nafter {self.tally.pushes} pushes in all; this sequence:\n{story}")


__all__ = ["MODEL", "Attack", "Tally", "is_rule"]
