"""A model's contract: its inputs, its outputs, and the answers that it may give (contract §14). Pure.

The words are those of the Open Inference Protocol: an input or output has a name, a datatype and a shape, in which -1
is a free size. A *line* is one statement of a contract, named by its path such as ``outputs.regime_probs.shape``. A
model that breaks a line fails by that line's name, and a line that a contract leaves open is VACUOUS by its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

FEATURES = (
    "price_mid",
    "price_bid",
    "price_ask",
    "spread_bps",
    "volume_24h",
    "volume_1h",
    "volatility_1h_bps",
    "volatility_24h_bps",
    "position_size",
    "position_notional",
    "position_pnl_bps",
    "grid_levels_active",
    "grid_utilization_pct",
    "trend_strength",
    "momentum_1h",
)
REGIMES = ("LOW", "MID", "HIGH")
INPUT_NAME = "input"
OUTPUT_NAME = "regime_probs"
SPACING_NAME = "spacing_multiplier"

FREE = -1
"""A size that any number fits; as the first size of a shape, the batch."""
ANY_NAME = "*"
"""The name of an only input that may have any name, because an engine finds it by its place."""

DATATYPES: Mapping[str, str] = MappingProxyType(
    {
        "BOOL": "tensor(bool)",
        "UINT8": "tensor(uint8)",
        "UINT16": "tensor(uint16)",
        "UINT32": "tensor(uint32)",
        "UINT64": "tensor(uint64)",
        "INT8": "tensor(int8)",
        "INT16": "tensor(int16)",
        "INT32": "tensor(int32)",
        "INT64": "tensor(int64)",
        "FP16": "tensor(float16)",
        "FP32": "tensor(float)",
        "FP64": "tensor(double)",
        "BYTES": "tensor(string)",
    }
)
"""Datatypes of the Open Inference Protocol, each with onnxruntime's name for it."""
FLOATS = frozenset({"FP16", "FP32", "FP64"})


class Kind(StrEnum):
    """The kind of an output, which decides how its answers are judged and compared."""

    PROBABILITIES = "probabilities"
    """One number per class, not negative, summing to 1."""
    SCALAR = "scalar"
    """One finite number."""
    VECTOR = "vector"
    """Several finite numbers."""
    LABEL = "label"
    """One of the classes: its name as text, or its position as an integer."""
    ANY = "any"
    """Answers that are not judged."""


class Source(StrEnum):
    """The origin of the contract in force."""

    MODEL = "model"
    FAMILY = "family"
    MANIFEST = "manifest"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that an output may give. ``None`` is no bound; a range has at least one."""

    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None

    def holds(self, value: float) -> bool:
        """True if a number lies within; NaN never does."""
        return (
            not math.isnan(value)
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.exclusive_minimum is None or value > self.exclusive_minimum)
            and (self.exclusive_maximum is None or value < self.exclusive_maximum)
        )

    def __str__(self) -> str:
        bounds = (
            (">=", self.minimum),
            (">", self.exclusive_minimum),
            ("<=", self.maximum),
            ("<", self.exclusive_maximum),
        )
        return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


@dataclass(frozen=True, slots=True)
class Input:
    """One input. ``name`` may be `ANY_NAME` if the model has only one."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output. ``shape`` of ``None`` is not stated; an ``optional`` output is judged where a model has it."""

    name: str
    datatype: str
    shape: tuple[int, ...] | None = None
    kind: Kind
    classes: tuple[str, ...] = ()
    range: Range | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """An example of one input: its shape, and its values in row-major order."""

    name: str
    shape: tuple[int, ...]
    values: tuple[float | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A whole contract.

    ``features`` names the columns of the only input, in order. ``tolerance`` is the largest difference between a golden
    answer and the model's, as a share where the answer is above 1. ``ranges`` are the lowest and highest value of
    features (or of a whole input), and ``examples`` real inputs: questions to the model are drawn from them.
    ``left_open`` are lines left open on purpose, with the reason; only the policy's count.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    features: tuple[str, ...] = ()
    tolerance: float = 1e-5
    ranges: tuple[tuple[str, float, float], ...] = ()
    examples: tuple[Example, ...] = ()
    left_open: tuple[tuple[str, str], ...] = ()

    @property
    def batched(self) -> bool:
        """True if several questions may be asked in one call: the first size of every tensor is free."""
        shapes = [*(one.shape for one in self.inputs), *(one.shape for one in self.outputs if one.shape is not None)]
        return all(shape[:1] == (FREE,) for shape in shapes)

    @property
    def open_lines(self) -> tuple[str, ...]:
        """The lines that it does not state, on which no model could fail."""
        return tuple(self._open_lines())

    def _open_lines(self) -> Iterator[str]:
        for one in self.inputs:
            if FREE in one.shape[1:] and not self.features:
                yield f"inputs.{one.name}.shape"
        if not self.features:
            yield "features"
        if not (self.ranges or self.examples or self.features == FEATURES):
            yield "ranges"
        for output in self.outputs:
            yield from _open_of(output)

    @property
    def required(self) -> tuple[Output, ...]:
        """The outputs that a model must have."""
        return tuple(one for one in self.outputs if not one.optional)

    def difference(self, other: Contract) -> str:
        """Name the first line that another contract contradicts; empty where it contradicts none.

        The other may lack an optional output, leave a line unstated, and name further outputs, which nobody reads.
        Tolerance, ranges, examples and lines left open tell how to judge a model, so they are not compared.
        """
        theirs = dict(_lines(other, any_name=self.inputs[0].name == ANY_NAME))
        gone = {f"outputs.{one.name}" for one in self.outputs if one.optional} - theirs.keys()
        for line, value in _lines(self):
            if any(line == each or line.startswith(f"{each}.") for each in gone):
                continue
            if line not in theirs or (value and theirs[line] and theirs[line] != value):
                return line
        return "" if len(self.inputs) == len(other.inputs) else "inputs"

    def document(self) -> dict[str, object]:
        """As JSON and TOML hold it: `parse_contract` of it gives an equal contract."""
        found: dict[str, object] = {
            "inputs": [{"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in self.inputs],
            "outputs": [_output_document(one) for one in self.outputs],
        }
        if self.features:
            found["features"] = list(self.features)
        found["tolerance"] = self.tolerance
        if self.ranges:
            found["ranges"] = {name: [low, high] for name, low, high in self.ranges}
        if self.examples:
            found["example"] = {one.name: _nested(one.values, one.shape) for one in self.examples}
        if self.left_open:
            found["left_open"] = dict(self.left_open)
        return found


def _open_of(output: Output) -> Iterator[str]:
    line = f"outputs.{output.name}"
    if output.kind is Kind.ANY:
        yield f"{line}.kind"
    if output.kind is Kind.SCALAR and output.range is None:
        yield f"{line}.range"
    if output.kind in (Kind.PROBABILITIES, Kind.LABEL) and not output.classes:
        yield f"{line}.classes"
    if output.kind in (Kind.VECTOR, Kind.ANY) and (output.shape is None or FREE in output.shape[1:]):
        yield f"{line}.shape"


def _lines(contract: Contract, *, any_name: bool = False) -> Iterator[tuple[str, object]]:
    """Each line that decides what an engine feeds and reads, with its value; nothing where it is not stated."""
    for one in contract.inputs:
        name = ANY_NAME if any_name else one.name
        yield f"inputs.{name}", None
        yield f"inputs.{name}.datatype", one.datatype
        yield f"inputs.{name}.shape", one.shape
    yield "features", contract.features
    for output in contract.outputs:
        line = f"outputs.{output.name}"
        yield line, None
        if not output.optional:
            yield f"{line}.required", True
        yield f"{line}.datatype", output.datatype
        yield f"{line}.shape", output.shape
        yield f"{line}.kind", output.kind
        yield f"{line}.classes", output.classes
        yield f"{line}.range", output.range


def _output_document(output: Output) -> dict[str, object]:
    found: dict[str, object] = {"name": output.name, "datatype": output.datatype}
    if output.shape is not None:
        found["shape"] = list(output.shape)
    found["kind"] = str(output.kind)
    if output.classes:
        found["classes"] = list(output.classes)
    if output.range is not None:
        bounds = {name: getattr(output.range, name) for name in Range.__slots__}
        found["range"] = {name: bound for name, bound in bounds.items() if bound is not None}
    if output.optional:
        found["optional"] = True
    return found


def _nested(values: tuple[float | str, ...], shape: tuple[int, ...]) -> object:
    if not shape:
        return values[0]
    step = len(values) // shape[0]
    return [_nested(values[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


# The contracts of the runbook's families, for models that state none.

_INPUTS = (Input(ANY_NAME, "FP32", (FREE, len(FEATURES))),)
_REGIME = Output(
    name=OUTPUT_NAME,
    datatype="FP32",
    shape=(FREE, len(REGIMES)),
    kind=Kind.PROBABILITIES,
    classes=REGIMES,
)
_SPACING = Output(name=SPACING_NAME, datatype="FP32", kind=Kind.SCALAR, range=Range(exclusive_minimum=0.0))

REGIME = Contract(inputs=_INPUTS, outputs=(_REGIME, replace(_SPACING, optional=True)), features=FEATURES)
"""Probabilities of the three regimes from the 15 features; an artifact may give the spacing too."""
SPACING = Contract(inputs=_INPUTS, outputs=(_SPACING, replace(_REGIME, optional=True)), features=FEATURES)
"""A positive multiplier of the grid's spacing from the 15 features; an artifact may give the regimes too."""

FAMILIES: Mapping[str, Contract] = MappingProxyType({"regime": REGIME, "spacing": SPACING})


def family_of(name: str) -> str:
    """Return the runbook's family that the name of a model or artifact begins with; empty for another name."""
    return next((family for family in FAMILIES if name.startswith(family)), "")


def family_contract(*names: str) -> Contract | None:
    """Return the contract of the first name that begins with a family's, ``None`` where none does."""
    return next((FAMILIES[family] for name in names if (family := family_of(name))), None)


# The contract in force for one artifact.


@dataclass(frozen=True, slots=True)
class InForce:
    """The contract that an artifact is judged by, its origin, and the line in which its manifest contradicts it."""

    contract: Contract
    source: Source
    contradicted: str = ""
    open: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        accepted = {line for line, _ in self.contract.left_open}
        object.__setattr__(self, "open", tuple(line for line in self.contract.open_lines if line not in accepted))


def in_force(asked: Contract | None, artifact_id: str, stated: Contract | None) -> InForce:
    """Choose the contract of one artifact.

    Args:
        asked: the contract of the model that the artifact is for, by its rules or its family; ``None`` if unknown.
        artifact_id: the artifact's id; its family counts where nothing was asked.
        stated: the contract in the artifact's own manifest. It never replaces another; it must agree with it.
    """
    family = family_contract(artifact_id)
    if asked is not None:
        source = Source.FAMILY if asked in FAMILIES.values() else Source.MODEL
        return InForce(asked, source, asked.difference(stated) if stated else "")
    if family is not None:
        return InForce(family, Source.FAMILY, family.difference(stated) if stated else "")
    if stated is not None:
        return InForce(replace(stated, left_open=()), Source.MANIFEST)
    return InForce(REGIME, Source.DEFAULT)
