"""Verification of artifact directories: every check of contract §3, each with its verdict.

The parent looks at names, documents and digests. Only a sandboxed child ever loads a model, and only from a
private copy of exactly the bytes that were hashed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from ml.artifacts.cache import Terms, VerificationCache
from ml.artifacts.digests import Survey, default_scratch, opened, snapshot, survey
from ml.artifacts.inspection import Inspection, inspect
from ml.artifacts.probe import DEFAULT_LIMITS, Limits
from ml.artifacts.protocol import Examined, Golden, Raced, Request, Subject, Task
from ml.artifacts.sandbox import Killed, Sandbox
from ml.artifacts.verification import Verification, complete
from ml.contract import Contract
from ml.errors import Invalid
from ml.ports import Progress, Report, Runner
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding

# The examination of one model in two sandboxed processes, which must give the same answers.


@dataclass(frozen=True, slots=True)
class Examination:
    """The checks made inside the sandbox, and the model's description if the probe finished."""

    checks: tuple[Check, ...]
    examined: Examined | None = None


def examine(sandbox: Sandbox, subject: Subject, golden: Golden | None, report: Report | None = None) -> Examination:
    """Examine a model in one process and, when its output is sound, once more in another.

    One after the other, so that a hostile model costs its limits once and not twice at a time.

    Raises:
        Unavailable: onnxruntime or Python is not there.
    """
    request = Request(Task.EXAMINE, (subject,), golden=golden)
    model = visible(subject.model_file)
    try:
        first = sandbox.ask(request, Examined, report)
    except Killed as killed:
        died = Check(killed.stage, Verdict.FAIL, f"{model}: {killed.cause}", Code.PROBE_DIED)
        return Examination((*killed.checks, died))
    except Invalid as error:
        return Examination((Check("load", Verdict.FAIL, error.cause, Code.MODEL_UNFIT),))
    if not _sound(first):
        return Examination(first.checks, first)
    if report is not None:
        report(Progress("determinism", 0, 1, "in another sandbox"))
    again = _determinism(sandbox, request, first, model)
    if report is not None:
        report(Progress(again.name, 1, 1, again.verdict))
    return Examination((*first.checks, again), first)


def _sound(examined: Examined) -> bool:
    return any(check.name == "finite" and check.verdict is Verdict.PASS for check in examined.checks)


def _determinism(sandbox: Sandbox, request: Request, first: Examined, model: str) -> Check:
    if not first.steady:
        why = f"{model} gives other bits when the same {first.rows} market states come in another order."
        return Check("determinism", Verdict.FAIL, why, Code.ORDER_MATTERS)
    try:
        second = sandbox.ask(replace(request, rows=first.rows), Examined)
    except Invalid as error:
        why = f"{model}, asked a second time: {error.cause}"
        return Check("determinism", Verdict.FAIL, why, Code.PROBE_DIED)
    if (second.bits, second.steady) != (first.bits, True):
        why = f"{model} gives other bits in a second process."
        return Check("determinism", Verdict.FAIL, why, Code.BITS_DIFFER)
    why = f"Two processes gave the same bits for {first.rows} market states."
    return finding(Verdict.PASS, Code.SOUND, why, rows=first.rows).check("determinism")


# The candidate's latency against the active artifact's (contract §3, policy ``checks.max_latency_ratio``).

NAME = "latency"


@dataclass(frozen=True, slots=True)
class LatencyProbe:
    """The judgement, and the measurement behind it: first the candidate, second the active artifact."""

    check: Check
    raced: Raced | None = None


def probe_latency(
    verifier: Verifier,
    candidate: Path,
    active: Path | None,
    max_ratio: float,
    report: Report | None = None,
    contract: Contract | None = None,
) -> LatencyProbe:
    """Time both in turns in one sandbox; ``NO_DATA`` where nothing is active or one of them cannot run.

    ``contract`` is the contract of their model.
    """
    if active is None:
        why = "Nothing is active, so there is nothing to compare with."
        return LatencyProbe(Check(NAME, Verdict.NO_DATA, why, Code.NOTHING_TO_COMPARE))
    try:
        with ExitStack() as stack:
            subjects = tuple(
                stack.enter_context(verifier.lend(directory, report=report, contract=contract)).subject
                for directory in (candidate, active)
            )
            if report is not None:
                report(Progress(NAME, note="in the sandbox"))
            raced = verifier.sandbox.ask(Request(Task.RACE, subjects), Raced)
    except Invalid as error:
        names = f"{visible(candidate.name)} against {visible(active.name)}"
        why = f"{names} could not be timed: {error.cause}"
        return LatencyProbe(Check(NAME, Verdict.NO_DATA, why, Code.PROBE_DIED))
    return LatencyProbe(judge(raced, max_ratio), raced)


def judge(raced: Raced, max_ratio: float) -> Check:
    """Judge a measurement: the median must be below the limit, the tail not clearly above it.

    The tail of a few hundred microseconds is mostly the machine's own noise, so that a ratio counts against the
    candidate only if the lower end of its spread reaches the limit.
    """
    slow_median = not raced.p50_ratio < max_ratio
    slow_tail = raced.p99_ratio >= max_ratio and raced.p99_spread[0] >= max_ratio
    slower = slow_median or slow_tail
    why = (
        f"p50 {_against(raced.first.p50_ms, raced.second.p50_ms, raced.p50_ratio, raced.p50_spread)}; "
        f"p99 {_against(raced.first.p99_ms, raced.second.p99_ms, raced.p99_ratio, raced.p99_spread)}; "
        f"limit {max_ratio:g}×, {raced.turns:,} turns."
    )
    ratios = {"p50_ratio": raced.p50_ratio, "p99_ratio": raced.p99_ratio, "limit": max_ratio, "turns": raced.turns}
    if slower:
        return finding(Verdict.FAIL, Code.SLOWER, why, **ratios).check(NAME)
    return finding(Verdict.PASS, Code.NOT_SLOWER, why, **ratios).check(NAME)


def _against(first: float, second: float, ratio: float, spread: tuple[float, float]) -> str:
    return f"{first:.3g} ms against {second:.3g} ms, {ratio:.2f}× ({spread[0]:.2f}–{spread[1]:.2f})"


@dataclass(frozen=True, slots=True)
class Lent:
    """A model in a private copy, and the documents that came with it."""

    subject: Subject
    inspection: Inspection


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The subject of a verification."""

    directory: Path
    contract: Contract | None
    afresh: bool


class Verifier:
    """Verifies artifacts, and lends private copies of models for other questions to the sandbox.

    Args:
        run: starts the probes.
        python: the Python that they run in.
        cache: keeps passed verifications; without it, each one runs again.
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
        self.sandbox = Sandbox(run, python, limits)
        self._cache = cache
        self._scratch = scratch or default_scratch()

    def verify(
        self,
        directory: Path,
        *,
        report: Report | None = None,
        expect_sha256: str | None = None,
        afresh: bool = False,
        contract: Contract | None = None,
    ) -> Verification:
        """Verify one artifact directory. Any content of it ends in a verdict, not in an exception.

        Args:
            directory: the artifact.
            report: takes the bytes hashed and copied, each check as it begins in the sandbox, and each verdict.
            expect_sha256: the model's digest as the registry names it, if that is known.
            afresh: run the model even if the cache has its verification.
            contract: the contract of the model that it is for; ``None`` takes the one of the artifact's family, else
                the one in its manifest, else the runbook's.

        Raises:
            Unavailable: the sandbox cannot be built: no onnxruntime, no room for the copy.
        """
        try:
            with opened(directory) as descriptor:
                asked = _Asked(directory=directory, contract=contract, afresh=afresh)
                return self._verify(asked, descriptor, report).expecting(expect_sha256)
        except Invalid as error:
            checks = complete((Check("layout", Verdict.FAIL, str(error), Code.UNREADABLE),))
            return Verification(artifact_id=visible(directory.name), checks=checks)

    def _verify(self, asked: _Asked, descriptor: int, report: Report | None) -> Verification:
        directory, surveyed = asked.directory, survey(descriptor)
        inspection = inspect(descriptor, surveyed, report, artifact_id=directory.name, asked=asked.contract)
        _tell(inspection.checks, report)
        terms = Terms(self.sandbox.limits, inspection.governed)
        if self._cache and not asked.afresh:
            known = self._cache.recall(directory, surveyed, inspection.files, terms)
            if known:
                return known
        examination = self._examine(descriptor, surveyed, inspection, report)
        examined = examination.examined
        verification = Verification(
            artifact_id=visible(directory.name),
            checks=complete((*inspection.checks, *_further(inspection, examination))),
            model_sha256=inspection.model_sha256,
            files=inspection.files,
            graph=examined.graph if examined else None,
            takes=examined.takes if examined else (),
            gives=examined.gives if examined else (),
            contract=inspection.governed.contract,
        )
        if self._cache:
            self._cache.remember(surveyed, terms, verification)
        return verification

    def _examine(self, descriptor: int, surveyed: Survey, inspection: Inspection, report: Report | None) -> Examination:
        if not inspection.sound:
            return Examination(())
        try:
            with self._copied(descriptor, surveyed, inspection, report) as subject:
                return examine(self.sandbox, subject, inspection.golden, report)
        except Invalid as error:
            return Examination((Check("digests", Verdict.FAIL, str(error), Code.UNREADABLE),))

    def latency(
        self,
        candidate: Path,
        active: Path | None,
        *,
        max_ratio: float,
        report: Report | None = None,
        contract: Contract | None = None,
    ) -> LatencyProbe:
        """Time a candidate against the artifact now active, in turns.

        Raises:
            Unavailable: the sandbox cannot be built.
        """
        return probe_latency(self, candidate, active, max_ratio, report, contract)

    @contextlib.contextmanager
    def lend(
        self, directory: Path, *, report: Report | None = None, contract: Contract | None = None
    ) -> Iterator[Lent]:
        """Lend a private copy of an artifact with sound names and digests, for a question to the sandbox.

        Raises:
            Invalid: they are not; the sentence names the artifact.
            Unavailable: there is no room for the copy.
        """
        with opened(directory) as descriptor:
            surveyed = survey(descriptor)
            inspection = inspect(descriptor, surveyed, report, artifact_id=directory.name, asked=contract)
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
            names = tuple(file.name for file in listed)
            yield Subject(str(private), inspection.manifest.model_file, names, inspection.governed.contract)


def _further(inspection: Inspection, examination: Examination) -> Iterator[Check]:
    """The checks of the sandbox, but for golden vectors that were unusable before it began."""
    unusable = any(check.name == "golden" for check in inspection.checks)
    return (check for check in examination.checks if not (unusable and check.name == "golden"))


def _tell(checks: tuple[Check, ...], report: Report | None) -> None:
    if report is not None:
        for check in checks:
            report(Progress(check.name, 1, 1, check.verdict))
