"""Artifacts that lie outside a repository: a trainer's machine or a build image looks at directories and files only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml.artifacts.build import Origin, build_artifact
from ml.artifacts.compare import Comparison, compare
from ml.artifacts.verification import Verification
from ml.artifacts.verify import Verifier
from ml.clock import Clock
from ml.errors import Refused
from ml.policy import parse_policy
from ml.ports import Report


@dataclass(frozen=True, slots=True)
class LooseArtifacts:
    """`verify`, `compare` and `build` as `ml.operations.Operations` has them, for paths relative to ``folder``.

    There is no policy to ask, so the runbook's latency ratio judges a comparison, and no commit to name in a manifest.
    """

    folder: Path
    verifier: Verifier
    clock: Clock
    read_only: bool = False

    def verify(self, artifact_dir: str, report: Report | None = None) -> Verification:
        """Verify one artifact directory in a cage."""
        return self.verifier.verify(self.folder / artifact_dir, report=report)

    def compare(self, a: str, b: str, report: Report | None = None) -> Comparison:
        """Two artifact directories side by side."""
        ratio = parse_policy(None).checks.max_latency_ratio
        return compare(self.verifier, self.folder / a, self.folder / b, max_ratio=ratio, report=report)

    def build(
        self, model_file: Path, out_dir: Path, *, dataset_id: str, notes: str, report: Report | None = None
    ) -> Verification:
        """Make an artifact directory from a model that someone else trained, and verify it.

        Raises Refused in a read-only session.
        """
        if self.read_only:
            raise Refused("This session is read-only.", "Start mlconsole without --read-only to change anything.")
        origin, now = Origin(dataset_id=dataset_id, notes=notes), self.clock.now()
        return build_artifact(
            self.verifier, self.folder / model_file, self.folder / out_dir, origin, now=now, report=report
        )
