"""The checks that need the model to run, and the bits for determinism (contract §3).

They are load, shape, finite, batch, variety and golden.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ml.artifacts.answers import Answers, agree, decides, decisions, distances, flat, golden_errors
from ml.artifacts.graph import GraphFacts
from ml.artifacts.protocol import Examined, Golden, Raced, Request, Subject, Timing
from ml.artifacts.questions import Questions, affordable, natural, of_rows, populations
from ml.artifacts.sandboxed.session import Session, Unfit, read_facts, require_listed
from ml.contract import FLOATS, FREE, Kind, Output
from ml.verdict import Check, Code, Verdict, finding

_SEED = 19
_ROWS = 64
_ROWS_WHEN_SLOW = 8
_SLOW_S = 0.01
"""A model this slow is asked less, so that a lawful 100 ms per inference stays within the CPU limit."""
_BATCHES = (2, 3, 7, 16, _ROWS)
_BATCHES_WHEN_SLOW = (2, 7)
"""The batch sizes in which a model gets the single questions again."""
_AS_WRITTEN = 8
_AS_WRITTEN_WHEN_SLOW = 2


class Channel(Protocol):
    """The channel on which a probe reports its progress, which remains if the probe dies before it answers."""

    def stage(self, name: str) -> None:
        """A step begins."""

    def check(self, check: Check) -> None:
        """A check is made."""


class Examination:
    """Goes through the checks in order and stops at the first that fails, since the rest would mean nothing."""

    def __init__(self, request: Request, channel: Channel, sandbox: Check) -> None:
        self._request, self._channel = request, channel
        self._checks: list[Check] = [sandbox]
        self._facts: GraphFacts | None = None
        self._session: Session | None = None
        self._rows = Questions({})
        self._singly: Answers = {}
        self._batches: list[Answers] = []
        self._bits = ""
        self._steady = False
        self._slow = False

    def run(self) -> Examined:
        """Make all checks."""
        self._channel.check(self._checks[0])
        for name, check in (
            ("load", self._load),
            ("shape", self._shape),
            ("finite", self._finite),
            ("batch", self._batch),
            ("variety", self._variety),
            ("golden", self._golden),
        ):
            self._channel.stage(name)
            try:
                made = check()
            except Unfit as unfit:
                made = _unfit(name, unfit)
            self._checks.append(made)
            self._channel.check(made)
            if made.verdict is Verdict.FAIL:
                break
        takes, gives = (self._session.takes, self._session.gives) if self._session else ((), ())
        rows = len(self._rows) if self._rows.tensors else 0
        return Examined(tuple(self._checks), rows, self._bits, self._steady, self._facts, takes, gives)

    def _load(self) -> Check:
        subject = self._request.subjects[0]
        self._facts = read_facts(subject)
        require_listed(self._facts, subject)
        started = time.perf_counter()
        self._session = Session(subject)
        took = 1000 * (time.perf_counter() - started)
        facts = self._facts
        shown = f"{facts.nodes} nodes, {facts.parameters:,} parameters, loaded in {took:.0f} ms"
        why = f"{subject.model_file}: {shown}."
        return finding(Verdict.PASS, Code.SOUND, why, nodes=facts.nodes, parameters=facts.parameters).check("load")

    def _shape(self) -> Check:
        session = self._loaded()
        session.require_signature()
        self._rows = natural(session.contract, session.sizes, _SEED, affordable(session.sizes, _ROWS))
        session.run_singly(self._rows[:1])
        started = time.perf_counter()
        session.run_singly(self._rows[:1])
        count = self._request.rows or (_ROWS_WHEN_SLOW if time.perf_counter() - started > _SLOW_S else _ROWS)
        self._rows, self._slow = self._rows[:count], count < _ROWS
        if not session.single:
            session.run(self._rows[:2])
        gives = ", ".join(f"{one.name} ({_size(one)})" for one in session.outputs)
        why = f"It takes {', '.join(session.takes)} and gives {gives}."
        return Check("shape", Verdict.PASS, why, Code.SOUND)

    def _finite(self) -> Check:
        """Also gathers the bits: single rows, batches, and the single rows again in reverse order."""
        session, rows = self._loaded(), self._rows
        singly = session.run_singly(rows)
        session.require_kept(singly)
        batches = [session.run(rows[:size]) for size in self._sizes()]
        for batch in batches:
            session.require_kept(batch)
        again = session.run_singly(rows[::-1])
        self._steady = all(_bits(values) == _bits(again[name][::-1]) for name, values in singly.items())
        self._singly, self._batches = singly, batches
        gathered = (_bits(each[one.name]) for each in (singly, *batches) for one in session.outputs)
        self._bits = hashlib.sha256(b"".join(gathered)).hexdigest()
        kept = "; ".join(_kept(one) for one in session.outputs)
        why = f"{len(rows)} {session.noun}s: {kept}."
        return finding(Verdict.PASS, Code.SOUND, why, rows=len(rows)).check("finite")

    def _sizes(self) -> tuple[int, ...]:
        """Return the batch sizes to try besides one row."""
        if self._loaded().single:
            return ()
        return _BATCHES_WHEN_SLOW if self._slow else _BATCHES

    def _batch(self) -> Check:
        """A row must get the same answer alone, as the engine asks, among others, as a test set asks, and as written.

        onnxruntime takes dropout out of a graph although it was left on; another version, or an engine that
        optimizes less, would not.
        """
        session = self._loaded()
        if not self._steady:
            why = f"Not judged: the same {session.noun} gets other answers when it is asked about again."
            return Check("batch", Verdict.NO_DATA, why, Code.ORDER_MATTERS)
        self._require_as_written()
        if session.single:
            why = f"It takes one {session.noun} at a time, as the engine asks."
            return finding(Verdict.PASS, Code.SOUND, why, largest_batch=1).check("batch")
        for batch in self._batches:
            self._require_agreement(self._singly, batch)
        if self._flat(self._singly):
            for rows in self._others():
                alone = session.tried(rows)
                if alone is not None:
                    self._require_agreement(alone, session.run(rows))
        sizes = ", ".join(str(size) for size in self._sizes())
        why = f"{session.noun.capitalize()}s alone and {sizes} at a time get the same answers."
        return finding(Verdict.PASS, Code.SOUND, why, largest_batch=self._sizes()[-1]).check("batch")

    def _require_as_written(self) -> None:
        rows = self._rows[: _AS_WRITTEN_WHEN_SLOW if self._slow else _AS_WRITTEN]
        try:
            written = Session(self._request.subjects[0], as_written=True).run_singly(rows)
        except Unfit:
            return  # only what the engine does counts, and that it can run
        for output in self._loaded().outputs:
            one, other = self._singly[output.name], written[output.name]
            if not agree(output, one[: len(rows)], other, like=one).all():
                raise Unfit(
                    f"{self._request.subjects[0].model_file} as it is written gives other answers than after "
                    f"onnxruntime's optimizations, by up to {distances(one[: len(rows)], other).max():.2g}; "
                    "was it exported in training mode, with dropout on?"
                )

    def _require_agreement(self, singly: Answers, batch: Answers) -> None:
        for output in self._loaded().outputs:
            together = batch[output.name]
            alone = singly[output.name][: len(together)]
            wrong = int((~agree(output, alone, together, like=singly[output.name])).sum())
            if not wrong:
                continue
            other = int((decisions(output, together) != decisions(output, alone)).sum()) if decides(output) else 0
            turned = f", and {other} other decisions" if decides(output) else ""
            raise Unfit(
                f"{self._request.subjects[0].model_file} gives {wrong} of {len(together)} {self._loaded().noun}s "
                f"other answers in a batch of {len(together)} than alone, as the engine asks, by up to "
                f"{distances(together, alone).max():.2g}{turned}; was it exported in training mode?"
            )

    def _variety(self) -> Check:
        """A model that answers everything alike has proven nothing, and trades on a constant."""
        session, answers, number = self._loaded(), self._singly, len(self._rows)
        for rows in self._others():
            if not self._flat(answers):
                break
            more = session.tried(rows)
            if more is None:
                continue
            answers = {name: np.concatenate([values, more[name]]) for name, values in answers.items()}
            number += len(rows)
        alike = next((one for one in session.outputs if not one.optional and flat(one, answers[one.name])), None)
        if alike is not None:
            shown = _answer(alike, answers)
            why = f"{number} unlike {session.noun}s all get one answer ({shown}), so that its decisions mean nothing."
            line = f"outputs.{alike.name}"
            return finding(Verdict.VACUOUS, Code.ONE_ANSWER, why, rows=number, line=line).check("variety")
        shown = "; ".join(_varied(one, self._singly) for one in session.outputs)
        why = f"It decides {shown} on {len(self._rows)} {session.noun}s."
        return finding(Verdict.PASS, Code.SOUND, why, rows=len(self._rows)).check("variety")

    def _others(self) -> Iterator[Questions]:
        """The populations besides the contract's own, for a model that takes its features scaled already."""
        session, count = self._loaded(), len(self._rows) // 2 or 1
        yield from islice(populations(session.contract, session.sizes, _SEED, count), 1, None)

    def _flat(self, answers: Answers) -> bool:
        """True if a required output gives equal answers within noise."""
        return any(flat(one, answers[one.name]) for one in self._loaded().outputs if not one.optional)

    def _golden(self) -> Check:
        golden, session = self._request.golden, self._loaded()
        if golden is None:
            return Check("golden", Verdict.NO_DATA, "The artifact ships no golden.json.", Code.NO_VECTORS)
        expected = _expected(session, golden)
        found = session.run_singly(_golden_questions(session, golden))
        number, tolerance = len(next(iter(found.values()))), session.contract.tolerance
        for output in session.outputs:
            if output.name not in expected:
                continue
            wanted = _reshaped(expected[output.name], found[output.name])
            errors = golden_errors(output, wanted, found[output.name])
            wrong = np.flatnonzero(~(errors <= tolerance))
            if len(wrong):
                at = int(wrong[0])
                raise Unfit(
                    f"golden.json: {len(wrong)} of {number} vectors differ; the first is number {at + 1}, "
                    f"by {errors[at]:.2g} where {tolerance:g} is allowed",
                    "tolerance",
                )
        return _golden_variety(session, found, expected) or finding(
            Verdict.PASS, Code.SOUND, f"{number} vectors agree within {tolerance:g}.", vectors=number
        ).check("golden")

    def _loaded(self) -> Session:
        assert self._session is not None
        return self._session


def _unfit(name: str, unfit: Unfit) -> Check:
    """The failed check of an unfit model, with the broken line of its contract."""
    if unfit.line:
        why = f"{unfit.line}: {unfit}."
        return finding(Verdict.FAIL, Code.CONTRACT_BROKEN, why, line=unfit.line).check(name)
    return Check(name, Verdict.FAIL, f"{unfit}.", Code.MODEL_UNFIT)


def _bits(values: NDArray[Any]) -> bytes:
    return repr(values.tolist()).encode() if values.dtype == np.object_ else values.tobytes()


def _size(output: Output) -> str:
    if output.shape is not None:
        return ", ".join("batch" if size == FREE and at == 0 else str(size) for at, size in enumerate(output.shape))
    return str(output.kind)


def _kept(output: Output) -> str:
    """The judgement of an output's answers that keep the contract."""
    match output.kind:
        case Kind.PROBABILITIES:
            return "all finite, summing to 1"
        case Kind.LABEL if output.classes:
            return f"{output.name} is always one of its {len(output.classes)} classes"
        case Kind.SCALAR | Kind.VECTOR:
            within = f" and {output.range}" if output.range else ""
            return f"{output.name} is always finite{within}"
        case _:
            return f"{output.name} is not judged"


def _answer(output: Output, answers: Answers) -> str:
    """The first answer of an output, for people."""
    first = answers[output.name][0]
    if output.kind is Kind.PROBABILITIES and first.ndim == 1 and len(first) == len(output.classes):
        return ", ".join(f"{name} {value:.4f}" for name, value in zip(output.classes, first, strict=True))
    return f"{output.name} {np.array2string(np.asarray(first), threshold=8, max_line_width=10_000)}"


def _varied(output: Output, answers: Answers) -> str:
    """The variety of an output's answers, for people."""
    values = answers[output.name]
    if decides(output):
        counts = np.bincount(decisions(output, values), minlength=len(output.classes))
        return ", ".join(f"{name} {count}" for name, count in zip(output.classes[:12], counts, strict=False))
    if values.dtype.kind in "fiu":
        return f"{output.name} from {values.min():.4g} to {values.max():.4g}"
    return f"{output.name} in several ways"


def _expected(session: Session, golden: Golden) -> dict[str, NDArray[Any]]:
    """The golden answers by output; raises `Unfit` for outputs that the contract does not name."""
    outputs = {one.name: one for one in session.outputs}
    strange = next((name for name in golden.outputs if name not in outputs), None)
    if strange is not None:
        raise Unfit(f"golden.json has answers of {strange}, which the model's contract does not read", "golden")
    return {
        name: np.array(rows, dtype=np.object_ if outputs[name].datatype == "BYTES" else np.float64)
        if outputs[name].datatype in (*FLOATS, "BYTES")
        else np.array(rows, dtype=np.int64)
        for name, rows in golden.outputs.items()
    }


def _golden_questions(session: Session, golden: Golden) -> Questions:
    try:
        return of_rows(session.contract, session.sizes, golden.inputs)
    except (KeyError, ValueError) as error:
        raise Unfit(f"golden.json: its inputs are not the model's ({error})", "golden") from error


def _reshaped(expected: NDArray[Any], found: NDArray[Any]) -> NDArray[Any]:
    try:
        return expected.reshape(found.shape)
    except ValueError as error:
        raise Unfit(f"golden.json: its outputs are not the model's ({error})", "golden") from error


def _golden_variety(session: Session, found: Answers, expected: dict[str, NDArray[Any]]) -> Check | None:
    """Vectors that all have one answer would agree with a model that always gives that answer."""
    number = len(next(iter(found.values())))
    alike = [one for one in session.outputs if one.name in expected and not one.optional]
    if number > 1 and any(flat(one, found[one.name]) for one in alike):
        why = f"golden.json: {number} vectors all have one answer, with which a constant would agree."
        return finding(Verdict.VACUOUS, Code.ONE_ANSWER, why, vectors=number).check("golden")
    return None


# The latency race: two models take turns in one process, so that any disturbance affects both.

_RACE_SEED = 20
_RACE_ROWS = 256
_WARM_UP = 20
_WARM_UP_S = 0.3
_BLOCKS = 20
_MAX_TURNS = 4000
_MIN_TURNS = 8
_RACE_BUDGET_S = 2.0


def race(first: Subject, second: Subject) -> Raced:
    """Time single-row inferences of both for at most two seconds; raises `Unfit` when one cannot run.

    The order within a turn alternates, because the second one finds a warmer cache.
    """
    sessions = (Session(first), Session(second))
    for session in sessions:
        session.require_signature()
    rows = tuple(
        natural(session.contract, session.sizes, _RACE_SEED, affordable(session.sizes, _RACE_ROWS))
        for session in sessions
    )
    until = time.perf_counter() + _WARM_UP_S
    for at in range(_WARM_UP):
        for session, questions in zip(sessions, rows, strict=True):
            turn = at % len(questions)
            session.run_singly(questions[turn : turn + 1])
        if time.perf_counter() > until:
            break
    gc.disable()
    return _summary(*_time(sessions, (rows[0], rows[1])))


def _time(
    sessions: tuple[Session, Session], rows: tuple[Questions, Questions]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Milliseconds of each turn, (turns,) for both models."""
    taken: tuple[list[float], list[float]] = ([], [])
    feeds = [[questions.one(at) for at in range(len(questions))] for questions in rows]
    until = time.perf_counter() + _RACE_BUDGET_S
    for turn in range(_MAX_TURNS):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            feed = feeds[which][turn % len(feeds[which])]
            started = time.perf_counter_ns()
            sessions[which].ask(feed)
            taken[which].append((time.perf_counter_ns() - started) / 1e6)
        if time.perf_counter() > until and turn + 1 >= _MIN_TURNS:
            break
    return np.array(taken[0]), np.array(taken[1])


def _summary(first: NDArray[np.float64], second: NDArray[np.float64]) -> Raced:
    median, tail = _ratios(first, second, 50), _ratios(first, second, 99)
    return Raced(
        first=Timing(*np.percentile(first, (50, 99)).tolist()),
        second=Timing(*np.percentile(second, (50, 99)).tolist()),
        turns=len(first),
        p50_ratio=float(np.median(median)),
        p50_spread=_spread(median),
        p99_ratio=float(np.percentile(first, 99) / np.percentile(second, 99)),
        p99_spread=_spread(tail),
    )


def _ratios(first: NDArray[np.float64], second: NDArray[np.float64], percentile: int) -> NDArray[np.float64]:
    """First over second, per block of consecutive turns."""
    count = min(_BLOCKS, len(first))
    blocks = zip(np.array_split(first, count), np.array_split(second, count), strict=True)
    return np.array([np.percentile(one, percentile) / np.percentile(other, percentile) for one, other in blocks])


def _spread(ratios: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(ratios, (10, 90))
    return float(low), float(high)
