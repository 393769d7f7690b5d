"""What every attack does: make commits, keep some back, push them for real, and have the oracle look at main."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, ClassVar

from support.gatehouse import SECOND, STRANGER

from attack.crowd import Crowd
from attack.driver import Tally, Wrong
from attack.tampering import TAMPERINGS

HOUR = 3600


class Pushing:
    """One life of one repository under attack."""

    world: ClassVar[Crowd]
    tally: ClassVar[Tally]
    guarded: ClassVar[bool] = True
    made: ClassVar[int] = 0

    def __init__(self, *, replayed: bool = False) -> None:
        self.replayed = replayed
        self.taken = False
        self.story: list[str] = []

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
        return [f"{note}:refs/approvals/{commit}/{note}"]

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
