"""Verification of artifact directories: every check of SPEC §3, each with its verdict.

The parent looks at names, documents and digests. Only a caged child ever loads a model, and only from a
private copy of exactly the bytes that were hashed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml.artifacts.cache import VerificationCache
from ml.artifacts.cage import Cage
from ml.artifacts.examination import Examination, examine
from ml.artifacts.inspection import Inspection, inspect
from ml.artifacts.latency import LatencyProbe, probe_latency
from ml.artifacts.limits import DEFAULT_LIMITS, Limits
from ml.artifacts.protocol import Subject
from ml.artifacts.snapshot import default_scratch, snapshot
from ml.artifacts.survey import Survey, opened, survey
from ml.artifacts.verification import Verification, complete
from ml.errors import Invalid
from ml.ports import Progress, Report, Runner
from ml.text import visible
from ml.verdict import Check, Code, Verdict


@dataclass(frozen=True, slots=True)
class Lent:
    """A model in a private copy, and the documents that came with it."""

    subject: Subject
    inspection: Inspection


class Verifier:
    """Verifies artifacts, and lends models to the cage for other questions.

    Args:
        run: starts the probes.
        python: the Python that they run in.
        cache: where passed verifications are kept; none: each is made afresh.
        scratch: where private copies go; needs room for the largest artifact.
        limits: what one probe may cost.
    """

    def __init__(
        self,
        run: Runner,
        python: Path = Path(sys.executable),
        *,
        cache: VerificationCache | None = None,
        scratch: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.cage = Cage(run, python, limits)
        self._cache = cache
        self._scratch = scratch or default_scratch()

    def verify(
        self,
        directory: Path,
        *,
        report: Report | None = None,
        expect_sha256: str | None = None,
        afresh: bool = False,
    ) -> Verification:
        """Verify one artifact directory. Whatever lies in it ends in a verdict, not in an exception.

        Args:
            directory: the artifact.
            report: takes the bytes hashed and copied, each check as it begins in the cage, and each verdict.
            expect_sha256: the model's digest as the registry names it, if that is known.
            afresh: run the model whatever is remembered of it.

        Raises:
            Unavailable: the cage cannot be built: no onnxruntime, no room for the copy.
        """
        try:
            with opened(directory) as descriptor:
                return self._verify(directory, descriptor, report, afresh=afresh).expecting(expect_sha256)
        except Invalid as error:
            checks = complete((Check("layout", Verdict.FAIL, str(error), Code.UNREADABLE),))
            return Verification(artifact_id=visible(directory.name), checks=checks)

    def _verify(self, directory: Path, descriptor: int, report: Report | None, *, afresh: bool) -> Verification:
        surveyed = survey(descriptor)
        inspection = inspect(descriptor, surveyed, report)
        _tell(inspection.checks, report)
        if self._cache and not afresh:
            known = self._cache.recall(directory, surveyed, inspection.files, self.cage.limits)
            if known:
                return known
        examination = self._examine(descriptor, surveyed, inspection, report)
        examined = examination.examined
        verification = Verification(
            artifact_id=visible(directory.name),
            checks=complete((*inspection.checks, *examination.checks)),
            model_sha256=inspection.model_sha256,
            files=inspection.files,
            graph=examined.graph if examined else None,
            takes=examined.takes if examined else (),
            gives=examined.gives if examined else (),
        )
        if self._cache:
            self._cache.remember(surveyed, self.cage.limits, verification)
        return verification

    def _examine(self, descriptor: int, surveyed: Survey, inspection: Inspection, report: Report | None) -> Examination:
        if not inspection.sound:
            return Examination(())
        try:
            with self._copied(descriptor, surveyed, inspection, report) as subject:
                return examine(self.cage, subject, inspection.golden, report)
        except Invalid as error:
            return Examination((Check("digests", Verdict.FAIL, str(error), Code.UNREADABLE),))

    def latency(
        self,
        candidate: Path,
        active: Path | None,
        *,
        max_ratio: float,
        report: Report | None = None,
    ) -> LatencyProbe:
        """Time a candidate against the artifact now active, in turns (see `ml.artifacts.latency`).

        Raises:
            Unavailable: the cage cannot be built.
        """
        return probe_latency(self, candidate, active, max_ratio, report)

    @contextlib.contextmanager
    def lend(self, directory: Path, *, report: Report | None = None) -> Iterator[Lent]:
        """A private copy of an artifact whose names and digests are sound, for a question to the cage.

        Raises:
            Invalid: they are not; the sentence names the artifact.
            Unavailable: there is no room for the copy.
        """
        with opened(directory) as descriptor:
            surveyed = survey(descriptor)
            inspection = inspect(descriptor, surveyed, report)
            failed = next((check for check in inspection.checks if check.verdict is Verdict.FAIL), None)
            if failed:
                raise Invalid(f"{visible(directory.name)} is not valid: {failed.why}")
            with self._copied(descriptor, surveyed, inspection, report) as subject:
                yield Lent(subject, inspection)

    @contextlib.contextmanager
    def _copied(
        self, descriptor: int, surveyed: Survey, inspection: Inspection, report: Report | None
    ) -> Iterator[Subject]:
        assert inspection.manifest is not None
        listed = inspection.listed
        with snapshot(descriptor, surveyed, listed, scratch=self._scratch, report=report) as private:
            yield Subject(str(private), inspection.manifest.model_file, tuple(file.name for file in listed))


def _tell(checks: tuple[Check, ...], report: Report | None) -> None:
    if report is not None:
        for check in checks:
            report(Progress(check.name, 1, 1, check.verdict))
