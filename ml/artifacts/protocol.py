"""Questions to a sandboxed probe and its answers: frozen values, sent as JSON between the two processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from ml.artifacts.graph import GraphFacts
from ml.contract import OUTPUT_NAME, REGIME, REGIMES, Contract
from ml.contract_reader import parse_contract
from ml.verdict import Check


class Task(StrEnum):
    """The task of a probe, which decides the kind of its answer."""

    EXAMINE = "examine"
    DESCRIBE = "describe"
    ANSWER = "answer"
    RACE = "race"
    DECIDE = "decide"
    INFER = "infer"


STAGE_MARK = b"stage "
CHECK_MARK = b"check "
ANSWER_MARK = b"answer "
"""A probe writes a line before each step and after each check, so that one which dies has said how far it came."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model in a private copy: its directory, its file, the names that its manifest lists, and its contract."""

    directory: str
    model_file: str
    listed: tuple[str, ...]
    contract: Contract = REGIME


Rows = tuple[tuple[float | str, ...], ...]
"""One row per question: the values of one input or output, in row-major order."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Golden vectors: questions by the name of their input, and the answers expected by the name of their output."""

    inputs: Mapping[str, Rows]
    outputs: Mapping[str, Rows]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a probe. ``golden`` is ``None`` when the artifact ships no golden vectors.

    ``rows`` is how many market states to ask about; 0 lets the probe choose by the model's speed.
    """

    task: Task
    subjects: tuple[Subject, ...]
    rows: int = 0
    golden: Golden | None = None

    def encode(self) -> bytes:
        """Encode the request as JSON, for the probe's standard input."""
        subjects = [
            {
                "directory": one.directory,
                "model_file": one.model_file,
                "listed": one.listed,
                "contract": one.contract.document(),
            }
            for one in self.subjects
        ]
        golden = asdict(self.golden) if self.golden else None
        return json.dumps({"task": self.task, "subjects": subjects, "rows": self.rows, "golden": golden}).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Request:
        """From `encode`'s JSON; inside the probe, where pydantic would cost more time than the probing."""
        found = json.loads(raw)
        return cls(
            task=Task(found["task"]),
            subjects=tuple(
                Subject(one["directory"], one["model_file"], tuple(one["listed"]), parse_contract(one["contract"]))
                for one in found["subjects"]
            ),
            rows=int(found["rows"]),
            golden=Golden(**found["golden"]) if found["golden"] else None,
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
    """A model's own answers to drawn questions, to be kept as golden vectors.

    ``varied`` is true if the answers differ, without which they prove nothing.
    """

    inputs: Mapping[str, Rows]
    outputs: Mapping[str, Rows]
    varied: bool


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
    """The answers of two models to common questions, in one output.

    Where the output chooses a class, ``confusion[first][second]`` counts the choices in the order of ``classes``. Where
    it gives numbers, ``quantiles`` are the median, the 90th and the 99th percentile of the difference.
    ``largest_difference`` is that of two numbers. ``different`` counts the questions with another choice, or with other
    answers beyond noise where there are no classes. ``varied`` is true if at least one model gave more than one answer
    (or choice); else a comparison proves nothing.
    """

    rows: int
    confusion: tuple[tuple[int, ...], ...]
    largest_difference: float
    output: str = OUTPUT_NAME
    classes: tuple[str, ...] = REGIMES
    quantiles: tuple[float, float, float] | None = None
    different: int = 0
    varied: bool = True


@dataclass(frozen=True, slots=True)
class Compared:
    """Each output that two models have in common, in the order of the first one's contract."""

    outputs: tuple[Decided, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a model, as its file states them: name, onnxruntime's type, and sizes.

    A size of -1 is free. ``probabilities`` are the outputs with answers that looked like probabilities. ``why`` says
    why the model could not be asked, if it could not.
    """

    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    probabilities: tuple[str, ...] = ()
    why: str = ""
