"""Attacks by the hands that sign and approve: one person as two, keys that do not count, keys of two people."""

from __future__ import annotations

from support.clones import OPERATOR
from support.gatehouse import SECOND

from attack.crowd import DEVELOPER, THIRD
from attack.driver import rule
from attack.pushing import Pushing

APPROVALS = {
    "by an expired key": (SECOND, OPERATOR, "expired"),
    "as another": (OPERATOR, THIRD, SECOND),
    "without a key": (OPERATOR, SECOND, None),
}
"""An approval that does not count, by name: who made the change, in whose name it is approved, and with whose key."""


class Hands(Pushing):
    """Promotions whose signatures or approvals do not count."""

    @rule(0.6, who=(OPERATOR, SECOND, DEVELOPER), name=(OPERATOR, SECOND))
    def alone(self, who: str, name: str) -> None:
        """One person promotes to active under an operator's name, and approves that with their own key."""
        if self.start.moved:
            return
        key = "none" if name != who else "own"
        commit, artifact = self._to_active(name, key)
        refs = self._approved(commit, who) if commit else []
        own = self.start.rules == "plain" or (self.start.rules == "signed" and name == who)
        honest = "to active" if own and self.world.soaked(self.main) else ""
        self._offer(commit, f"{who} promotes {artifact} as {name} and approves it", refs=refs, honest=honest)

    @rule(0.6, how=sorted(APPROVALS))
    def approves(self, how: str) -> None:
        """An operator promotes to active, and an approval comes with it that does not count."""
        if self.start.rules not in ("four", "shared") or self.start.moved:
            return
        author, name, key = APPROVALS[how]
        commit, artifact = self._to_active(author, "own")
        if not commit:
            return
        at = self._now() - (2400 if key == "expired" else 0)
        words = f"Approve\n\nApproves: {commit}\nApproved-By: {name}\n"
        store = self.world.store
        note = store.commit(store.trees[commit], [commit], self.world.stamp(name, at, key), words)
        refs = [f"{note}:refs/approvals/{commit}/{note}"]
        if how == "as another":
            refs = [*self._approved(commit, SECOND), *refs]
        self._offer(commit, f"{author} promotes {artifact}, approved {how}", refs=refs)

    def _to_active(self, name: str, key: str) -> tuple[str, str]:
        """A promotion of what stands in shadow, in somebody's name: its commit, if it can be made, and the artifact."""
        self.kept, at = "", self._now()
        artifact = self.world.standing(self.main, "shadow")
        make = lambda: self.world.promotion(self.main, artifact, "active", name, at)  # noqa: E731
        return self._planned(make, name, at, key), artifact
