"""The checks that need the model to run, and the bits for determinism (contract §3).

They are load, shape, finite, batch, variety and golden.
"""

from __future__ import annotations

import gc
import hashlib
import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml.artifacts.graph import GraphFacts
from ml.artifacts.protocol import Answered, Decided, Examined, Raced, Request, Subject, Timing
from ml.artifacts.questions import market_features
from ml.artifacts.sandboxed.session import Rows, Session, Unfit, read_facts, require_listed
from ml.contract import FEATURES, OUTPUT_NAME, REGIMES
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
NOISE = 1e-4
"""Between a row alone and the same row in a batch: sums in another order, in 32 bits. Less than that is no answer."""
GOLDEN_TOLERANCE = 1e-5
"""Between scikit-learn in 64 bits and onnxruntime in 32; a flipped weight moves a probability by far more."""


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
        self._rows = market_features(_SEED, _ROWS)
        self._singly = self._rows[:0]
        self._batches: list[Rows] = []
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
                made = Check(name, Verdict.FAIL, f"{unfit}.", Code.MODEL_UNFIT)
            self._checks.append(made)
            self._channel.check(made)
            if made.verdict is Verdict.FAIL:
                break
        takes, gives = (self._session.takes, self._session.gives) if self._session else ((), ())
        return Examined(tuple(self._checks), len(self._rows), self._bits, self._steady, self._facts, takes, gives)

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
        session.run(self._rows[:1])
        started = time.perf_counter()
        session.run(self._rows[:1])
        count = self._request.rows or (_ROWS_WHEN_SLOW if time.perf_counter() - started > _SLOW_S else _ROWS)
        self._rows, self._slow = self._rows[:count], count < _ROWS
        if not session.single:
            session.run(self._rows[:2])
        why = f"It takes {session.takes[0]} and gives {OUTPUT_NAME} (batch, {len(REGIMES)})."
        return Check("shape", Verdict.PASS, why, Code.SOUND)

    def _finite(self) -> Check:
        """Also gathers the bits: single rows, batches, and the single rows again in reverse order."""
        session, rows = self._loaded(), self._rows
        singly = session.run_singly(rows)
        session.require_probabilities(singly)
        batches = [session.run(rows[:size]) for size in self._sizes()]
        for batch in batches:
            session.require_probabilities(batch)
        again = session.run_singly(rows[::-1])[::-1]
        self._steady = singly.tobytes() == again.tobytes()
        self._singly, self._batches = singly, batches
        self._bits = hashlib.sha256(b"".join(each.tobytes() for each in (singly, *batches))).hexdigest()
        why = f"{len(rows)} market states: all finite, summing to 1."
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
        if not self._steady:
            why = "Not judged: the same market state gets other answers when it is asked about again."
            return Check("batch", Verdict.NO_DATA, why, Code.ORDER_MATTERS)
        self._require_as_written()
        if self._loaded().single:
            why = "It takes one market state at a time, as the engine asks."
            return finding(Verdict.PASS, Code.SOUND, why, largest_batch=1).check("batch")
        for batch in self._batches:
            self._require_agreement(self._singly, batch)
        if self._flat(self._singly):
            rows = self._plain_rows()
            self._require_agreement(self._loaded().run_singly(rows), self._loaded().run(rows))
        sizes = ", ".join(str(size) for size in self._sizes())
        why = f"Market states alone and {sizes} at a time get the same answers."
        return finding(Verdict.PASS, Code.SOUND, why, largest_batch=self._sizes()[-1]).check("batch")

    def _require_as_written(self) -> None:
        rows = self._rows[: _AS_WRITTEN_WHEN_SLOW if self._slow else _AS_WRITTEN]
        try:
            written = Session(self._request.subjects[0], as_written=True).run_singly(rows)
        except Unfit:
            return  # only what the engine does counts, and that it can run
        difference = float(np.nan_to_num(np.abs(written - self._singly[: len(rows)])).max())
        if difference > NOISE:
            raise Unfit(
                f"{self._request.subjects[0].model_file} as it is written gives other answers than after onnxruntime's "
                f"optimizations, by up to {difference:.2g}; was it exported in training mode, with dropout on?"
            )

    def _require_agreement(self, singly: Rows, batch: Rows) -> None:
        alone = singly[: len(batch)]
        difference = np.nan_to_num(np.abs(batch - alone)).max(axis=1)
        wrong = int((difference > NOISE).sum())
        if wrong:
            other = int((batch.argmax(axis=1) != alone.argmax(axis=1)).sum())
            raise Unfit(
                f"{self._request.subjects[0].model_file} gives {wrong} of {len(batch)} market states other answers "
                f"in a batch of {len(batch)} than alone, as the engine asks, by up to {difference.max():.2g}, and "
                f"{other} other decisions; was it exported in training mode?"
            )

    def _variety(self) -> Check:
        """A model that answers everything alike has proven nothing, and trades on a constant."""
        rows, answers = self._rows, self._singly
        if self._flat(answers):
            plain = self._plain_rows()
            rows = np.concatenate([rows, plain])
            answers = np.concatenate([answers, self._loaded().run_singly(plain)])
        if self._flat(answers):
            shown = ", ".join(f"{REGIMES[at]} {value:.4f}" for at, value in enumerate(answers[0]))
            why = f"{len(rows)} unlike market states all get one answer ({shown}), so that its decisions mean nothing."
            return finding(Verdict.VACUOUS, Code.ONE_ANSWER, why, rows=len(rows)).check("variety")
        counts = np.bincount(self._singly.argmax(axis=1), minlength=len(REGIMES))
        shown = ", ".join(f"{regime} {count}" for regime, count in zip(REGIMES, counts, strict=True))
        why = f"It decides {shown} on {len(self._rows)} market states."
        return finding(Verdict.PASS, Code.SOUND, why, rows=len(self._rows)).check("variety")

    def _plain_rows(self) -> Rows:
        """Rows without unit around zero, for a model that takes its features scaled already."""
        rows = np.random.default_rng(_SEED).normal(size=(len(self._rows) // 2 or 1, len(FEATURES)))
        return rows.astype(np.float32)

    @staticmethod
    def _flat(answers: Rows) -> bool:
        """True if all answers are equal within noise."""
        return not bool((np.nan_to_num(np.ptp(answers, axis=0)) > NOISE).any())

    def _golden(self) -> Check:
        inputs = np.array(self._request.golden_inputs, dtype=np.float32)
        if not len(inputs):
            return Check("golden", Verdict.NO_DATA, "The artifact ships no golden.json.", Code.NO_VECTORS)
        expected = np.array(self._request.golden_outputs, dtype=np.float64)
        found = self._loaded().run_singly(inputs)
        difference = np.abs(found - expected).max(axis=1)
        wrong = np.flatnonzero(~(difference <= GOLDEN_TOLERANCE))
        if len(wrong):
            at = int(wrong[0])
            raise Unfit(
                f"golden.json: {len(wrong)} of {len(inputs)} vectors differ; the first is number {at + 1}, "
                f"by {difference[at]:.2g} where {GOLDEN_TOLERANCE:g} is allowed"
            )
        why = f"{len(inputs)} vectors agree within {GOLDEN_TOLERANCE:g}."
        return finding(Verdict.PASS, Code.SOUND, why, vectors=len(inputs)).check("golden")

    def _loaded(self) -> Session:
        assert self._session is not None
        return self._session


# Descriptions of one model, its golden vectors, and the comparison of two models on common inputs.

_DECIDE_SEED = 21
_DECIDE_ROWS = 4096
_CHUNK = 16
_BUDGET_S = 2.5
"""Of CPU: a slow model is compared on fewer rows rather than on none."""
_GOLDEN_SEED = 22
_GOLDEN_ROWS = 16


def describe(subject: Subject) -> GraphFacts:
    """Describe a model file without loading it. Raises `Unfit` when it is no model."""
    return read_facts(subject)


def decide(first: Subject, second: Subject) -> Decided:
    """Ask both about the same market states, one at a time as the engine does; 4,096 of them if time allows.

    Raises `Unfit` when one cannot run.
    """
    sessions = (Session(first), Session(second))
    for session in sessions:
        session.require_signature()
    confusion = np.zeros((len(REGIMES), len(REGIMES)), dtype=int)
    largest = 0.0
    until = time.process_time() + _BUDGET_S
    for rows in np.array_split(market_features(_DECIDE_SEED, _DECIDE_ROWS), _DECIDE_ROWS // _CHUNK):
        one, other = (session.run_singly(rows) for session in sessions)
        np.add.at(confusion, (one.argmax(axis=1), other.argmax(axis=1)), 1)
        largest = max(largest, float(np.abs(one - other).max()))
        if time.process_time() > until:
            break
    return Decided(int(confusion.sum()), tuple(tuple(int(count) for count in row) for row in confusion), largest)


def answer(subject: Subject) -> Answered:
    """A model's probabilities for 16 market states, one call each; raises `Unfit` when it cannot run."""
    session = Session(subject)
    session.require_signature()
    rows = market_features(_GOLDEN_SEED, _GOLDEN_ROWS)
    outputs = session.run_singly(rows)
    session.require_probabilities(outputs)
    return Answered(tuple(tuple(map(float, row)) for row in rows), tuple(tuple(map(float, row)) for row in outputs))


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
    rows = market_features(_RACE_SEED, _RACE_ROWS)
    until = time.perf_counter() + _WARM_UP_S
    for row in rows[:_WARM_UP]:
        for session in sessions:
            session.run(row[None])
        if time.perf_counter() > until:
            break
    gc.disable()
    return _summary(*_time(sessions, rows))


def _time(
    sessions: tuple[Session, Session], rows: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Milliseconds of each turn, (turns,) for both models."""
    taken: tuple[list[float], list[float]] = ([], [])
    until = time.perf_counter() + _RACE_BUDGET_S
    for turn in range(_MAX_TURNS):
        row = rows[turn % len(rows)][None]
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            started = time.perf_counter_ns()
            sessions[which].run(row)
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
