"""The checks that need the model to run: load, shape, finite, golden, and the bits for determinism (SPEC §3)."""

from __future__ import annotations

import hashlib
import time
from typing import Protocol

import numpy as np

from ml.artifacts.caged.session import Session, Unfit, read_facts, require_listed
from ml.artifacts.features import OUTPUT_NAME, REGIMES, market_features
from ml.artifacts.graph import GraphFacts
from ml.artifacts.protocol import Examined, Request
from ml.verdict import Check, Code, Verdict, finding

_SEED = 19
_ROWS = 64
_ROWS_WHEN_SLOW = 8
_SLOW_S = 0.01
"""A model this slow is asked less, so that a lawful 100 ms per inference stays within the CPU limit."""
GOLDEN_TOLERANCE = 1e-5
"""Between scikit-learn in 64 bits and onnxruntime in 32; a flipped weight moves a probability by far more."""


class Channel(Protocol):
    """Where a probe tells how far it is, in case that it never comes to its answer."""

    def stage(self, name: str) -> None:
        """A step begins."""

    def check(self, check: Check) -> None:
        """A check is made."""


class Examination:
    """Goes through the checks in order and stops at the first that fails, since the rest would mean nothing."""

    def __init__(self, request: Request, channel: Channel) -> None:
        self._request, self._channel = request, channel
        self._checks: list[Check] = []
        self._facts: GraphFacts | None = None
        self._session: Session | None = None
        self._rows = market_features(_SEED, _ROWS)
        self._bits = ""
        self._steady = False

    def run(self) -> Examined:
        """Make all checks."""
        for name, check in (
            ("load", self._load),
            ("shape", self._shape),
            ("finite", self._finite),
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
        slow = time.perf_counter() - started > _SLOW_S
        self._rows = self._rows[: self._request.rows or (_ROWS_WHEN_SLOW if slow else _ROWS)]
        session.run(self._rows[:2])
        why = f"It takes {session.takes[0]} and gives {OUTPUT_NAME} (batch, {len(REGIMES)})."
        return Check("shape", Verdict.PASS, why, Code.SOUND)

    def _finite(self) -> Check:
        """Also gathers the bits: single rows, the same in reverse order, and all in one batch."""
        session, rows = self._loaded(), self._rows
        singly, batch = session.run_singly(rows), session.run(rows)
        session.require_probabilities(singly)
        session.require_probabilities(batch)
        again = session.run_singly(rows[::-1])[::-1]
        self._steady = singly.tobytes() == again.tobytes()
        self._bits = hashlib.sha256(singly.tobytes() + batch.tobytes()).hexdigest()
        why = f"{len(rows)} market states: all finite, summing to 1."
        return finding(Verdict.PASS, Code.SOUND, why, rows=len(rows)).check("finite")

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
