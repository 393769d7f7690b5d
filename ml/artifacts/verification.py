"""The result of a verification, as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ml.artifacts.digests import FileDigest
from ml.artifacts.graph import GraphFacts
from ml.contract import REGIME, Contract
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding, worst

CHECKS = (
    "layout",
    "manifest",
    "contract",
    "digests",
    "train_report",
    "cage",
    "load",
    "shape",
    "finite",
    "batch",
    "variety",
    "determinism",
    "golden",
)
"""The names of all checks, in the order in which they are reported."""
_SHOWN = 5
_MAY_BE_ABSENT = frozenset({"train_report", "golden", "cage"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All checks of one artifact directory.

    ``files`` are name, SHA-256 and size in bytes of every file found, manifest and train report included, so
    that evidence pins them too. ``model_sha256`` is empty when there was no model to hash. ``graph``, ``takes``
    and ``gives`` describe a model that could be loaded. ``contract`` is the one that it was judged by.
    """

    artifact_id: str
    checks: tuple[Check, ...]
    model_sha256: str = ""
    files: tuple[FileDigest, ...] = ()
    graph: GraphFacts | None = None
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    contract: Contract = REGIME

    @property
    def verdict(self) -> Verdict:
        """The worst check; an artifact without train report or golden vectors is valid all the same."""
        return worst(check.verdict for check in self.judged)

    @property
    def judged(self) -> tuple[Check, ...]:
        """The checks that decide the verdict: all but optional ones that are absent, and waived ones.

        Optional are the train report, the golden vectors, and a barrier of the sandbox that this system lacks. The
        policy waives a line of a contract that it leaves open with a reason.
        """
        absent = (
            (check.name in _MAY_BE_ABSENT and check.verdict is Verdict.NO_DATA) or check.verdict is Verdict.WAIVED
            for check in self.checks
        )
        return tuple(check for check, gone in zip(self.checks, absent, strict=True) if not gone)

    @property
    def amiss(self) -> Check | None:
        """The first check that keeps the artifact from being valid, one that failed before one that proves nothing."""
        found = [check for check in self.judged if not check.verdict.opens]
        failed = (check for check in found if check.verdict in (Verdict.FAIL, Verdict.ERROR))
        empty = (check for check in found if check.verdict is Verdict.VACUOUS)
        return next(failed, None) or next(empty, None) or next(iter(found), None)

    @property
    def valid(self) -> bool:
        """True if the artifact may be used at all. Staging also requires its train report."""
        return self.verdict is Verdict.PASS

    def check(self, name: str) -> Check:
        """One check by its name, from `CHECKS`."""
        return next(check for check in self.checks if check.name == name)

    def expecting(self, model_sha256: str | None) -> Verification:
        """The same, with the digests judged against the one that a registry names, if it names one."""
        if model_sha256 is None or model_sha256 == self.model_sha256:
            return self
        return self._other(
            f"The model is {self.model_sha256 or 'absent'}; the registry names {visible(model_sha256, limit=80)}."
        )

    def pinned(self, pins: Mapping[str, str]) -> Verification:
        """The same, with every file judged against the SHA-256 that evidence pinned it by; no pins judge nothing."""
        found = {file.name: file.sha256 for file in self.files}
        if not pins or not found:
            return self
        other = sorted(name for name in pins.keys() | found.keys() if pins.get(name) != found.get(name))
        if not other:
            return self
        names = ", ".join(visible(name, limit=120) for name in other[:_SHOWN])
        return self._other(f"{names}: not what the evidence pinned when the artifact was let in.")

    def _other(self, why: str) -> Verification:
        """The same, with digests that are not the expected ones."""
        other = Check("digests", Verdict.FAIL, why, Code.DIGEST_DIFFERS)
        return replace(self, checks=tuple(other if check.name == "digests" else check for check in self.checks))

    def document(self) -> dict[str, object]:
        """For ``--json`` (contract §11)."""
        return {
            "artifact_id": self.artifact_id,
            "verdict": str(self.verdict),
            "checks": [
                {"name": one.name, "verdict": str(one.verdict), "code": str(one.code), "why": one.why}
                for one in self.checks
            ],
            "model_sha256": self.model_sha256,
            "files": [{"path": file.name, "sha256": file.sha256, "size": file.size} for file in self.files],
        }


def complete(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """All checks in order, those that were never reached as ``NO_DATA``."""
    made = {check.name: check for check in checks}
    missed = finding(Verdict.NO_DATA, Code.NOT_REACHED, "Not reached.")
    return tuple(made.get(name) or missed.check(name) for name in CHECKS)
