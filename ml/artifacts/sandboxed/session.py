"""One loaded model inside the sandbox, run as the engine runs it: one thread, one row at a time."""

from __future__ import annotations

import mmap
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ml.artifacts.answers import Answers, Values, breach, misshapen
from ml.artifacts.graph import GraphFacts, read_graph
from ml.artifacts.protocol import Subject
from ml.artifacts.questions import Questions, Sizes, sizes_of
from ml.contract import ANY_NAME, DATATYPES, FEATURES, FREE, Contract, Input, Output

_MOST = 300
_NEAR = 4
"""A model that fills a quarter of the sandbox may fail to load for lack of memory."""


Stated = tuple[tuple[str, str, tuple[int, ...]], ...]


class Unfit(Exception):
    """The model cannot be used; the message says why, naming the file, and ``line`` the broken line of its contract."""

    def __init__(self, why: str, line: str = "") -> None:
        super().__init__(why)
        self.line = line


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

        self._contract = subject.contract
        self._names: tuple[dict[str, str], list[str]] | None = None

    @property
    def contract(self) -> Contract:
        """The contract that the model is held to."""
        return self._contract

    def hold_to(self, contract: Contract) -> None:
        """Hold the model to another contract."""
        self._contract, self._names = contract, None

    @property
    def single(self) -> bool:
        """True if the model takes one question at a time only, as the engine asks."""
        return not self.contract.batched or any(shape[:1] == (1,) for shape in self._taken().values())

    @property
    def takes(self) -> tuple[str, ...]:
        """The inputs, as ``name type (shape)``."""
        return tuple(_shown(one) for one in self._session.get_inputs())

    @property
    def gives(self) -> tuple[str, ...]:
        """The outputs, as ``name type (shape)``."""
        return tuple(_shown(one) for one in self._session.get_outputs())

    @property
    def noun(self) -> str:
        """The word for a question: the runbook's features make a market state."""
        return "market state" if self.contract.features == FEATURES else "question"

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs of the contract that the model has."""
        there = {one.name for one in self._session.get_outputs()}
        return tuple(one for one in self.contract.outputs if one.name in there)

    @property
    def sizes(self) -> Sizes:
        """The shape of one question for each input."""
        return sizes_of(self.contract, self._taken())

    def _taken(self) -> dict[str, tuple[int | None, ...]]:
        """The model's own shapes by the contract's names, ``None`` for free sizes."""
        return {
            name: tuple(size if isinstance(size, int) and size > 0 else None for size in own.shape)
            for name, own in self._inputs().items()
        }

    def _inputs(self) -> dict[str, Any]:
        """The model's inputs by the contract's names; those that are missing are left out."""
        own = {one.name: one for one in self._session.get_inputs()}
        if self.contract.inputs[0].name == ANY_NAME:
            return {ANY_NAME: next(iter(own.values()))} if len(own) == 1 else {}
        return {one.name: own[one.name] for one in self.contract.inputs if one.name in own}

    def require_signature(self) -> None:
        """The inputs and outputs must be the contract's; raises `Unfit` naming the line that is not."""
        own = self._session.get_inputs()
        if len(own) != len(self.contract.inputs):
            wanted = ", ".join(_wanted(one) for one in self.contract.inputs)
            count = "one" if len(self.contract.inputs) == 1 else str(len(self.contract.inputs))
            line = next((f"inputs.{one.name}" for one in self.contract.inputs if one.name not in self._inputs()), "")
            raise Unfit(
                f"{self._name} takes {len(own)} inputs, and the engine feeds {count}, {wanted}", line or "inputs"
            )
        for wanted_input in self.contract.inputs:
            self._require_input(wanted_input)
        self._require_example()
        outputs = {one.name: one for one in self._session.get_outputs()}
        for output in self.contract.outputs:
            if output.name in outputs:
                if outputs[output.name].type != DATATYPES[output.datatype]:
                    raise Unfit(
                        f"{self._name} gives {_shown(outputs[output.name])}, and the engine reads "
                        f"{DATATYPES[output.datatype]}",
                        f"outputs.{output.name}.datatype",
                    )
            elif not output.optional:
                raise Unfit(
                    f"{self._name} gives {', '.join(outputs) or 'nothing'}, and the engine reads {output.name}",
                    f"outputs.{output.name}",
                )

    def _require_input(self, wanted: Input) -> None:
        line = f"inputs.{wanted.name}"
        found = self._inputs().get(wanted.name)
        if found is None:
            raise Unfit(f"{self._name} takes {', '.join(self.takes)}, and the engine feeds {_wanted(wanted)}", line)
        needs = f"{self._name} takes {_shown(found)}, and feature_order needs {_wanted(wanted)}"
        if not self.contract.features:
            needs = f"{self._name} takes {_shown(found)}, and the engine feeds {_wanted(wanted)}"
        if found.type != DATATYPES[wanted.datatype]:
            raise Unfit(needs, f"{line}.datatype")
        taken = self._taken()[wanted.name]
        if len(taken) != len(wanted.shape):
            raise Unfit(needs, f"{line}.shape")
        for at, (own, size) in enumerate(zip(taken, wanted.shape, strict=True)):
            if at == 0 and size in (FREE, 1):
                if own not in (None, 1):
                    raise Unfit(
                        f"{self._name} takes {own} rows at a time, and the engine asks about one", f"{line}.shape"
                    )
            elif size not in (FREE, own) and not (at == 0 and own is None):
                raise Unfit(needs, f"{line}.shape")
        if self.contract.features and taken[-1] != len(self.contract.features):
            raise Unfit(needs, "features")

    def _require_example(self) -> None:
        for example in self.contract.examples:
            if example.shape != self.sizes[example.name]:
                raise Unfit(
                    f"{self._name} takes {list(self.sizes[example.name])}, and the example is {list(example.shape)}",
                    f"example.{example.name}",
                )

    def run(self, questions: Questions) -> Answers:
        """Answer some questions in one call; raises `Unfit` for another shape or an error."""
        return self._call(questions.together(), len(questions))

    def run_singly(self, questions: Questions) -> Answers:
        """Answer each question in a call of its own, as the engine does."""
        answers = [self._call(questions.one(at), 1) for at in range(len(questions))]
        names = [one.name for one in self.outputs]
        try:
            return {name: np.concatenate([each[name] for each in answers]) for name in names}
        except ValueError as error:
            raise Unfit(
                f"{self._name} gives answers of several shapes: {error}", f"outputs.{names[0]}.shape"
            ) from error

    def tried(self, questions: Questions) -> Answers | None:
        """Answer each question alone; ``None`` if the model takes no inputs from beyond its contract's own."""
        try:
            return self.run_singly(questions)
        except Unfit:
            return None

    def _call(self, feed: Mapping[str, Values], count: int) -> Answers:
        try:
            found = self.ask(feed)
        except Exception as error:  # onnxruntime's errors share no base class
            raise Unfit(f"{self._name} fails on a batch of {count}: {reason(error)}") from error
        pairs = zip(self.outputs, found, strict=True)
        return {output.name: self._one_each(output, np.asarray(values), count) for output, values in pairs}

    def ask(self, feed: Mapping[str, Values]) -> list[Values]:
        """Run the model once, as the engine does; raises what onnxruntime raises."""
        if self._names is None:
            own = self._inputs()
            self._names = {name: own[name].name for name in own}, [one.name for one in self.outputs]
        names, outputs = self._names
        found: list[Values] = self._session.run(outputs, {names[name]: values for name, values in feed.items()})
        return found

    def _one_each(self, output: Output, values: Values, count: int) -> Values:
        """The values with one entry per question; raises `Unfit` for another shape than the contract's."""
        stated = output.shape
        has_rows = stated[:1] in ((FREE,), (1,)) if stated is not None else values.shape[:1] == (count,)
        each = values if has_rows else values[np.newaxis]
        line = misshapen(output, each.shape[1:]) if each.ndim else f"outputs.{output.name}.shape"
        if each.shape[:1] != (count,) and not line:
            line = f"outputs.{output.name}.shape"
        if line:
            wanted = (count, *(stated or (len(output.classes) or 1,))[1 if stated else 0 :])
            raise Unfit(f"{self._name} gives {output.name} {values.shape} for {count} rows, not {wanted}", line)
        return each

    def stated(self) -> tuple[Stated, Stated]:
        """The inputs and the outputs as the file states them: name, onnxruntime's type, and sizes, -1 for free ones."""
        return _stated(self._session.get_inputs()), _stated(self._session.get_outputs())

    def keeps(self, answers: Answers) -> bool:
        """True if some answers keep the contract."""
        return all(breach(one, answers[one.name]) is None for one in self.outputs)

    def require_kept(self, answers: Answers) -> None:
        """The answers must be what the contract says of them; raises `Unfit` naming the first that is not."""
        for output in self.outputs:
            values = answers[output.name]
            broken = breach(output, values)
            if broken is not None:
                shown = np.array2string(np.asarray(values[broken.at]), threshold=12, max_line_width=10_000)
                raise Unfit(
                    f"{self._name} gives {output.name} {shown} for {self.noun} {broken.at + 1}: {broken.why}",
                    broken.line,
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


def _wanted(one: Input) -> str:
    """An input of a contract, as a model's own inputs are shown."""
    shape = ", ".join(
        "batch" if at == 0 and size == FREE else "any" if size == FREE else str(size)
        for at, size in enumerate(one.shape)
    )
    name = "" if one.name == ANY_NAME else f"{one.name} "
    return f"{name}{DATATYPES[one.datatype]} ({shape})"


def _stated(tensors: Any) -> Stated:
    return tuple(
        (one.name, one.type, tuple(size if isinstance(size, int) and size > 0 else FREE for size in one.shape))
        for one in tensors
    )
