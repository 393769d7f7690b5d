"""One loaded model inside the sandbox, run as the engine runs it: one thread, one row at a time."""

from __future__ import annotations

import mmap
import resource
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.artifacts.graph import GraphFacts, read_graph
from ml.artifacts.protocol import Subject
from ml.contract import FEATURES, OUTPUT_NAME, REGIMES

Rows = NDArray[np.float32]
_SUM_TOLERANCE = 1e-4
_MOST = 300
_NEAR = 4
"""A model that fills a quarter of the sandbox may fail to load for lack of memory."""


class Unfit(Exception):
    """The model cannot be used; the message says why, naming the file."""


class Session:
    """A model in onnxruntime on one CPU thread; ``as_written``: without onnxruntime's changes to its graph."""

    def __init__(self, subject: Subject, *, as_written: bool = False) -> None:
        import onnxruntime  # noqa: PLC0415 - after the limits

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        if as_written:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._name = subject.model_file
        path = Path(subject.directory, subject.model_file)
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class
            why = reason(error).replace(str(path), subject.model_file)
            raise Unfit(f"{self._name} cannot be loaded: {why}{_room(subject)}") from error

    @property
    def single(self) -> bool:
        """True if the model takes one row at a time only, as the engine asks."""
        return self._rows_at_a_time() == 1

    def _rows_at_a_time(self) -> int | None:
        """The fixed number of rows that it takes; ``None`` when any number will do."""
        shape = self._session.get_inputs()[0].shape
        return shape[0] if shape and isinstance(shape[0], int) else None

    @property
    def takes(self) -> tuple[str, ...]:
        """The inputs, as ``name type (shape)``."""
        return tuple(_shown(one) for one in self._session.get_inputs())

    @property
    def gives(self) -> tuple[str, ...]:
        """The outputs, as ``name type (shape)``."""
        return tuple(_shown(one) for one in self._session.get_outputs())

    def require_signature(self) -> None:
        """One float input as wide as the feature order, and an output ``regime_probs``; raises `Unfit`."""
        inputs, outputs = self._session.get_inputs(), {one.name: one for one in self._session.get_outputs()}
        wanted = f"tensor(float) (batch, {len(FEATURES)})"
        if len(inputs) != 1:
            raise Unfit(f"{self._name} takes {len(inputs)} inputs, and the engine feeds one, {wanted}")
        if inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2 or inputs[0].shape[1] != len(FEATURES):
            raise Unfit(f"{self._name} takes {_shown(inputs[0])}, and feature_order needs {wanted}")
        if self._rows_at_a_time() not in (None, 1):
            raise Unfit(f"{self._name} takes {self._rows_at_a_time()} rows at a time, and the engine asks about one")
        if OUTPUT_NAME not in outputs:
            raise Unfit(f"{self._name} gives {', '.join(outputs) or 'nothing'}, and the engine reads {OUTPUT_NAME}")
        if outputs[OUTPUT_NAME].type != "tensor(float)":
            raise Unfit(f"{self._name} gives {_shown(outputs[OUTPUT_NAME])}, and the engine reads tensor(float)")

    def run(self, rows: Rows) -> Rows:
        """Probabilities (n, 3) of rows (n, 15) in one call; raises `Unfit` for another shape or an error."""
        try:
            (found,) = self._session.run([OUTPUT_NAME], {self._session.get_inputs()[0].name: rows})
        except Exception as error:  # onnxruntime's errors share no base class
            raise Unfit(f"{self._name} fails on a batch of {len(rows)}: {reason(error)}") from error
        if found.shape != (len(rows), len(REGIMES)):
            raise Unfit(f"{self._name} gives {OUTPUT_NAME} {found.shape} for {len(rows)} rows, not {(len(rows), 3)}")
        answered: Rows = found
        return answered

    def run_singly(self, rows: Rows) -> Rows:
        """Probabilities (n, 3) of rows (n, 15), each row in a call of its own, as the engine does."""
        return np.concatenate([self.run(rows[at : at + 1]) for at in range(len(rows))])

    def require_probabilities(self, found: Rows) -> None:
        """Each row finite, not negative, and summing to 1; raises `Unfit` naming the first that is not."""
        wrong = ~np.isfinite(found).all(axis=1)
        if not wrong.any():
            wrong = (found < 0).any(axis=1) | (np.abs(found.sum(axis=1, dtype=np.float64) - 1.0) > _SUM_TOLERANCE)
        if wrong.any():
            at = int(wrong.argmax())
            raise Unfit(
                f"{self._name} gives {OUTPUT_NAME} {found[at].tolist()} for market state {at + 1}: no probabilities"
            )


def read_facts(subject: Subject) -> GraphFacts:
    """The facts of the graph in a model file; raises `Unfit` when it is none."""
    try:
        with Path(subject.directory, subject.model_file).open("rb") as stream:
            return read_graph(memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)))
    except ValueError as error:
        raise Unfit(f"{subject.model_file} is no ONNX model: {error}") from error


def require_listed(facts: GraphFacts, subject: Subject) -> None:
    """All external data must lie in files that the manifest lists; raises `Unfit` otherwise."""
    strange = [location for location in facts.external if location not in subject.listed]
    if strange:
        raise Unfit(f"{subject.model_file} keeps data in {strange[0]!r}, which is no file that the manifest lists")


def reason(error: Exception) -> str:
    """Shorten an error of native code to one clause, without its source paths."""
    first = (str(error).splitlines() or [""])[0]
    said = first.rpartition("Status Message: ")[2].rpartition("[ONNXRuntimeError] : ")[2]
    words = [word for word in said.split() if not word.startswith("/onnxruntime_src/")]
    return " ".join(words)[:_MOST].rstrip(".") or type(error).__name__


def _shown(one: Any) -> str:
    shape = ", ".join("batch" if size is None or isinstance(size, str) else str(size) for size in one.shape)
    return f"{one.name} {one.type} ({shape})"


def _room(subject: Subject) -> str:
    """Say how large the files and the address space are, if a model nearly fills it; for the end of a sentence."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    size = sum(path.stat().st_size for path in Path(subject.directory).iterdir())
    if limit == resource.RLIM_INFINITY or _NEAR * size < limit:
        return ""
    return f"; its files are {size:,} bytes, and the sandbox has {limit:,} bytes of address space"
