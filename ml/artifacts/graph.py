"""A summary of an ONNX file, read from its bytes without loading it (onnx.proto3, protobuf wire format).

It gives what onnxruntime does not: the places of external data, and the numbers of nodes and parameters. Memory stays
flat, because tensors are skipped and never copied. The walk keeps its own stack, so that deep nesting cannot exhaust
Python's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

Buffer = memoryview
"""The bytes of one message."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """Counts and names out of a model file.

    ``parameters`` counts the numbers that the model carries: initializers, constants, and float lists of
    nodes (linear and tree models keep their coefficients there). ``external`` are the locations of external
    data, as written. ``operators`` are the operator types with their counts, most frequent first.
    """

    nodes: int
    parameters: int
    opsets: tuple[tuple[str, int], ...]
    operators: tuple[tuple[str, int], ...]
    external: tuple[str, ...]
    producer: str


def read_graph(model: Buffer) -> GraphFacts:
    """Walk a whole model.

    Raises:
        ValueError: the bytes are no complete ONNX model.
    """
    walk = _Walk()
    walk.run(model)
    if not walk.graphs:
        raise ValueError("it holds no graph")
    return GraphFacts(
        nodes=sum(walk.operators.values()),
        parameters=walk.parameters,
        opsets=tuple(walk.opsets),
        operators=tuple(walk.operators.most_common()),
        external=tuple(sorted(walk.external)),
        producer=walk.producer,
    )


class _Walk:
    """Visits each message of a model once; the kinds are those of onnx.proto that lead to tensors and nodes."""

    def __init__(self) -> None:
        self.graphs = 0
        self.parameters = 0
        self.opsets: list[tuple[str, int]] = []
        self.operators: Counter[str] = Counter()
        self.external: set[str] = set()
        self.producer = ""
        self._stack: list[tuple[str, Buffer]] = []

    def run(self, model: Buffer) -> None:
        self._stack.append(("model", model))
        while self._stack:
            kind, message = self._stack.pop()
            match kind:
                case "tensor":
                    self._tensor(message)
                case "opset":
                    self._opset(message)
                case "node":
                    self._node(message)
                case "attribute":
                    self._attribute(message)
                case _:
                    self._container(kind, message)

    def _container(self, kind: str, message: Buffer) -> None:
        """A message that matters only for its content."""
        self.graphs += kind == "graph"
        inside = _INSIDE[kind]
        for number, value in fields(message):
            if isinstance(value, int):
                continue
            if kind == "model" and number == 2:
                self.producer = _text(value)
            elif number in inside:
                self._stack.append((inside[number], value))

    def _node(self, message: Buffer) -> None:
        operator = ""
        for number, value in fields(message):
            if isinstance(value, int):
                continue
            if number == 4:
                operator = _text(value)
            elif number == 5:
                self._stack.append(("attribute", value))
        self.operators[operator] += 1

    def _attribute(self, message: Buffer) -> None:
        for number, value in fields(message):
            if number == 7:  # floats, either packed (four bytes each) or one by one
                self.parameters += 1 if isinstance(value, int) else len(value) // 4
            elif number in _INSIDE["attribute"] and not isinstance(value, int):
                self._stack.append((_INSIDE["attribute"][number], value))

    def _tensor(self, message: Buffer) -> None:
        sizes: list[int] = []
        for number, value in fields(message):
            if number == 1:
                sizes += [value] if isinstance(value, int) else list(_packed(value))
            elif number == 13 and not isinstance(value, int):
                self._location(value)
        self.parameters += prod(sizes)

    def _location(self, entry: Buffer) -> None:
        pair = {number: _text(value) for number, value in fields(entry) if not isinstance(value, int)}
        if pair.get(1) == "location":
            self.external.add(pair.get(2, ""))

    def _opset(self, message: Buffer) -> None:
        domain, version = "", 0
        for number, value in fields(message):
            if number == 1 and not isinstance(value, int):
                domain = _text(value)
            elif number == 2 and isinstance(value, int):
                version = value
        self.opsets.append((domain or "ai.onnx", version))


_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
}
"""Kind of message, field number, kind of what that field holds."""


def fields(message: Buffer) -> Iterator[tuple[int, int | Buffer]]:
    """The fields of one message in file order: number, and an integer or the bytes inside.

    Raises:
        ValueError: the message is cut off or is no protobuf.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"byte {at} starts no protobuf field")
        if size > end - at:
            raise ValueError("it is cut off, or damaged")
        yield number, message[at : at + size] if wire == _BYTES else 0
        at += size


def _varint(message: Buffer, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it is cut off, or damaged")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number in it has no end")


def _packed(message: Buffer) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value


def _text(value: Buffer) -> str:
    return bytes(value[:4096]).decode("utf-8", "backslashreplace")
