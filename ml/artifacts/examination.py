"""Two caged processes about one model: what it does, and whether it does the same again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ml.artifacts.cage import Cage, Killed
from ml.artifacts.manifest import GoldenVectors
from ml.artifacts.protocol import Examined, Request, Subject, Task
from ml.errors import Invalid
from ml.ports import Progress, Report
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding


@dataclass(frozen=True, slots=True)
class Examination:
    """The checks made inside the cage, and what the probe told about the model, if it lived to tell."""

    checks: tuple[Check, ...]
    examined: Examined | None = None


def examine(cage: Cage, subject: Subject, golden: GoldenVectors | None, report: Report | None = None) -> Examination:
    """Examine a model in one process and, when its output is sound, once more in another.

    One after the other, so that a hostile model costs its limits once and not twice at a time.

    Raises:
        Unavailable: onnxruntime or Python is not there.
    """
    request = Request(
        Task.EXAMINE,
        (subject,),
        golden_inputs=tuple(map(tuple, golden.inputs)) if golden else (),
        golden_outputs=tuple(map(tuple, golden.outputs)) if golden else (),
    )
    model = visible(subject.model_file)
    try:
        first = cage.ask(request, Examined, report)
    except Killed as killed:
        died = Check(killed.stage, Verdict.FAIL, f"{model}: {killed.cause}", Code.PROBE_DIED)
        return Examination((*killed.checks, died))
    except Invalid as error:
        return Examination((Check("load", Verdict.FAIL, error.cause, Code.MODEL_UNFIT),))
    if not _sound(first):
        return Examination(first.checks, first)
    if report is not None:
        report(Progress("determinism", 0, 1, "in another cage"))
    again = _determinism(cage, request, first, model)
    if report is not None:
        report(Progress(again.name, 1, 1, again.verdict))
    return Examination((*first.checks, again), first)


def _sound(examined: Examined) -> bool:
    return any(check.name == "finite" and check.verdict is Verdict.PASS for check in examined.checks)


def _determinism(cage: Cage, request: Request, first: Examined, model: str) -> Check:
    if not first.steady:
        why = f"{model} gives other bits when the same {first.rows} market states come in another order."
        return Check("determinism", Verdict.FAIL, why, Code.ORDER_MATTERS)
    try:
        second = cage.ask(replace(request, rows=first.rows), Examined)
    except Invalid as error:
        why = f"{model}, asked a second time: {error.cause}"
        return Check("determinism", Verdict.FAIL, why, Code.PROBE_DIED)
    if (second.bits, second.steady) != (first.bits, True):
        why = f"{model} gives other bits in a second process."
        return Check("determinism", Verdict.FAIL, why, Code.BITS_DIFFER)
    why = f"Two processes gave the same bits for {first.rows} market states."
    return finding(Verdict.PASS, Code.SOUND, why, rows=first.rows).check("determinism")
