"""Is a candidate slower than the artifact that it would replace? (SPEC §3, policy ``checks.max_latency_ratio``)"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml.artifacts.protocol import Raced, Request, Task
from ml.errors import Invalid
from ml.ports import Progress, Report
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding

if TYPE_CHECKING:
    from ml.artifacts.verify import Verifier

NAME = "latency"


@dataclass(frozen=True, slots=True)
class LatencyProbe:
    """The judgement, and the measurement behind it: first the candidate, second the active artifact."""

    check: Check
    raced: Raced | None = None


def probe_latency(
    verifier: Verifier, candidate: Path, active: Path | None, max_ratio: float, report: Report | None = None
) -> LatencyProbe:
    """Time both in turns in one cage; ``NO_DATA`` where nothing is active or one of them cannot run."""
    if active is None:
        why = "Nothing is active, so there is nothing to compare with."
        return LatencyProbe(Check(NAME, Verdict.NO_DATA, why, Code.NOTHING_TO_COMPARE))
    try:
        with ExitStack() as stack:
            subjects = tuple(
                stack.enter_context(verifier.lend(directory, report=report)).subject
                for directory in (candidate, active)
            )
            if report is not None:
                report(Progress(NAME, note="in the cage"))
            raced = verifier.cage.ask(Request(Task.RACE, subjects), Raced)
    except Invalid as error:
        names = f"{visible(candidate.name)} against {visible(active.name)}"
        why = f"{names} could not be timed: {error.cause}"
        return LatencyProbe(Check(NAME, Verdict.NO_DATA, why, Code.PROBE_DIED))
    return LatencyProbe(judge(raced, max_ratio), raced)


def judge(raced: Raced, max_ratio: float) -> Check:
    """Judge a measurement: the median must be below the limit, the tail not clearly above it.

    The tail of a few hundred microseconds is mostly the machine's own noise, so that only a ratio whose
    lower spread still reaches the limit counts against the candidate.
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
