"""The gate as one machine runs it: with its own clock, its own verifier, and its own Prometheus where it has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml.clock import Clock
from ml.errors import Unavailable
from ml.promotion.gate.evidence import Verifies
from ml.promotion.gate.judge import Bench, judge, why_no_approval
from ml.promotion.paths import Places
from ml.promotion.received import Received, parse_updates, receive
from ml.promotion.repository import Repository
from ml.slo.source import Metrics
from ml.verdict import Gate

if TYPE_CHECKING:
    from ml.artifacts.verification import Verification
    from ml.contract import Contract


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRunner:
    """Runs the gate on one repository.

    ``places`` and ``artifact_base`` apply where the base says nothing. ``verifier`` makes the verifier, once there is
    an artifact to verify. ``source`` answers recorded questions again; ``None`` without one. ``server`` is the remote
    that must have artifacts in Git LFS; empty in the server's own repository.
    """

    repository: Repository
    places: Places
    artifact_base: str
    verifier: Callable[[], Verifies]
    clock: Clock
    source: Metrics | None = None
    server: str = ""

    def judge(self, base: str, head: str, *, offered: bool = False, merging: bool = False) -> tuple[Gate, ...]:
        """The gate of contract §8 over two commits, by this machine's clock.

        An ``offered`` branch needs no approvals yet; one for ``merging`` may have been made on an older base.
        """
        if self.repository.clone.shallow():
            raise Unavailable(
                "This clone is shallow: it holds only the newest commits, so that no change can be judged in it.",
                "Run `git fetch --unshallow`; in CI, check out with fetch-depth: 0.",
            )
        return judge(self.repository, base, head, self._bench(offered=offered, merging=merging))

    def receive(self, told: bytes, branch: str) -> tuple[Received, ...]:
        """Judge the input of a server's ``pre-receive`` hook. Raises Usage when it is something else."""
        return receive(parse_updates(told), self.repository, branch, self.judge, self._why_no_approval)

    def _why_no_approval(self, base: str, slot: tuple[str, str], note: str) -> str:
        return why_no_approval(self.repository, base, slot, note, self._bench())

    def _bench(self, *, offered: bool = False, merging: bool = False) -> Bench:
        return Bench(
            verifier=_OnFirstUse(self.verifier),
            places=self.places,
            artifact_base=self.artifact_base,
            approvals=not offered,
            merging=merging,
            now=self.clock.now(),
            source=self.source,
            server=self.server,
        )


@dataclass(frozen=True, slots=True)
class _OnFirstUse:
    """A verifier that is made, and imported, with the first artifact: a refused change never gets so far."""

    make: Callable[[], Verifies]

    def verify(
        self, directory: Path, *, expect_sha256: str | None = None, contract: Contract | None = None
    ) -> Verification:
        """All checks of one directory; the model must have the expected digest and keep the contract."""
        return self.make().verify(directory, expect_sha256=expect_sha256, contract=contract)
