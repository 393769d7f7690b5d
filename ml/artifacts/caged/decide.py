"""What models are and answer: one described or recorded as golden vectors, two compared on common inputs."""

from __future__ import annotations

import time

import numpy as np

from ml.artifacts.caged.session import Session, read_facts
from ml.artifacts.features import REGIMES, market_features
from ml.artifacts.graph import GraphFacts
from ml.artifacts.protocol import Answered, Decided, Subject

_SEED = 21
_ROWS = 4096
_CHUNK = 16
_BUDGET_S = 2.5
"""Of CPU: a slow model is compared on fewer rows rather than on none."""
_GOLDEN_SEED = 22
_GOLDEN_ROWS = 16


def describe(subject: Subject) -> GraphFacts:
    """What a model file is made of, without loading it; raises `Unfit` when it is no model."""
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
    for rows in np.array_split(market_features(_SEED, _ROWS), _ROWS // _CHUNK):
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
