"""Questions to a sandboxed probe and its answers: frozen values, sent as JSON between the two processes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from ml.artifacts.graph import GraphFacts
from ml.verdict import Check


class Task(StrEnum):
    """The task of a probe, which decides the kind of its answer."""

    EXAMINE = "examine"
    DESCRIBE = "describe"
    ANSWER = "answer"
    RACE = "race"
    DECIDE = "decide"


STAGE_MARK = b"stage "
CHECK_MARK = b"check "
ANSWER_MARK = b"answer "
"""A probe writes a line before each step and after each check, so that one which dies has said how far it came."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model in a private copy: its directory, its file, and the names that its manifest lists."""

    directory: str
    model_file: str
    listed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One question. Golden vectors are inputs (n, 15) and outputs (n, 3); empty when the artifact ships none.

    ``rows`` is how many market states to ask about; 0 lets the probe choose by the model's speed.
    """

    task: Task
    subjects: tuple[Subject, ...]
    rows: int = 0
    golden_inputs: tuple[tuple[float, ...], ...] = ()
    golden_outputs: tuple[tuple[float, ...], ...] = ()

    def encode(self) -> bytes:
        """Encode the request as JSON, for the probe's standard input."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Request:
        """From `encode`'s JSON; inside the probe, where pydantic would cost more time than the probing."""
        found = json.loads(raw)
        return cls(
            task=Task(found["task"]),
            subjects=tuple(
                Subject(one["directory"], one["model_file"], tuple(one["listed"])) for one in found["subjects"]
            ),
            rows=int(found["rows"]),
            golden_inputs=tuple(map(tuple, found["golden_inputs"])),
            golden_outputs=tuple(map(tuple, found["golden_outputs"])),
        )


@dataclass(frozen=True, slots=True)
class Examined:
    """The checks made inside the sandbox, a digest of all output bits, and a summary of the graph.

    ``rows`` is the number of market states behind the bits. ``steady`` is true if asking in another order gave the same
    bits. ``takes`` and ``gives`` are the inputs and outputs, as ``name type (shape)``.
    """

    checks: tuple[Check, ...]
    rows: int
    bits: str
    steady: bool
    graph: GraphFacts | None
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """A model's own probabilities (n, 3) for inputs (n, 15), to be kept as golden vectors."""

    inputs: tuple[tuple[float, ...], ...]
    outputs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one inference of one row: median and 99th percentile."""

    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Raced:
    """Two models timed turn by turn in one process.

    Ratios are first over second, one per block of turns; ``spread`` is their 10th and 90th percentile.
    """

    first: Timing
    second: Timing
    turns: int
    p50_ratio: float
    p50_spread: tuple[float, float]
    p99_ratio: float
    p99_spread: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Decided:
    """The decisions of two models on common inputs: ``confusion[first][second]`` counts LOW, MID, HIGH."""

    rows: int
    confusion: tuple[tuple[int, ...], ...]
    largest_difference: float
