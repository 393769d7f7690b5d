"""The reader of a contract: from plain values of the policy (TOML) or a manifest (JSON) to a `Contract`. Pure.

Its errors name the line that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from ml.contract import ANY_NAME, DATATYPES, FLOATS, FREE, Contract, Example, Input, Kind, Output, Range


class ContractInvalid(ValueError):
    """A contract with a mistake: the line, and what is wrong with it in one clause."""

    def __init__(self, line: str, why: str) -> None:
        super().__init__(f"{line}: {why}" if line else why)
        self.line = line
        self.why = why


_MOST = 4096
_MOST_RANK = 8
_KEYS = ("inputs", "outputs", "features", "tolerance", "ranges", "example", "left_open")
_OUTPUT_KEYS = ("name", "datatype", "shape", "kind", "classes", "range", "optional")


def parse_contract(given: object) -> Contract:
    """Read a contract from plain values.

    Raises:
        ContractInvalid: with the line that is wrong.
    """
    table = _table("", given, _KEYS)
    inputs = tuple(_input(f"inputs[{at}]", one) for at, one in enumerate(_list("inputs", table.get("inputs"))))
    outputs = tuple(_output(f"outputs[{at}]", one) for at, one in enumerate(_list("outputs", table.get("outputs"))))
    contract = Contract(
        inputs=inputs,
        outputs=outputs,
        features=_texts("features", table["features"]) if "features" in table else (),
        tolerance=_number("tolerance", table.get("tolerance", 1e-5)),
        ranges=_ranges(table.get("ranges", {})),
        examples=_examples(table.get("example"), inputs),
        left_open=_reasons(table.get("left_open", {})),
    )
    _require_whole(contract)
    return contract


def _require_whole(contract: Contract) -> None:
    for what, names in (
        ("inputs", [one.name for one in contract.inputs]),
        ("outputs", [one.name for one in contract.outputs]),
    ):
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ContractInvalid(what, f"{repeated} is there twice")
    if len(contract.inputs) > 1 and any(one.name == ANY_NAME for one in contract.inputs):
        raise ContractInvalid("inputs", f"only an only input may be called {ANY_NAME}")
    if not contract.required:
        raise ContractInvalid("outputs", "every output is optional")
    if contract.tolerance <= 0:
        raise ContractInvalid("tolerance", "this is not above 0")
    _require_features(contract)
    _require_named(contract)


def _require_features(contract: Contract) -> None:
    features = contract.features
    if not features:
        return
    if len(set(features)) < len(features):
        raise ContractInvalid("features", "a name is there twice")
    if len(contract.inputs) > 1:
        raise ContractInvalid("features", "features name the columns of one input, and there are several")
    shape = contract.inputs[0].shape
    if not shape or shape[-1] not in (FREE, len(features)):
        width = shape[-1] if shape else 0
        raise ContractInvalid("features", f"{len(features)} names for an input of width {width}")


def _require_named(contract: Contract) -> None:
    """Ranges, and lines left open, must name something that is there."""
    inputs = {one.name for one in contract.inputs}
    for name, _, _ in contract.ranges:
        if name not in inputs and name not in contract.features:
            raise ContractInvalid(f"ranges.{name}", "this is neither a feature nor an input")
    for line, _ in contract.left_open:
        if line not in contract.open_lines:
            raise ContractInvalid(f"left_open.{line}", "this line is not open")


def _input(line: str, given: object) -> Input:
    table = _table(line, given, ("name", "datatype", "shape"))
    return Input(_name(line, table), _datatype(line, table), _shape(f"{line}.shape", table.get("shape")))


def _output(line: str, given: object) -> Output:
    table = _table(line, given, _OUTPUT_KEYS)
    kind = table.get("kind")
    if kind not in set(Kind):
        raise ContractInvalid(f"{line}.kind", f"this is none of {', '.join(Kind)}")
    optional = table.get("optional", False)
    if not isinstance(optional, bool):
        raise ContractInvalid(f"{line}.optional", "this is neither true nor false")
    output = Output(
        name=_name(line, table),
        datatype=_datatype(line, table),
        shape=_shape(f"{line}.shape", table["shape"]) if "shape" in table else None,
        kind=Kind(str(kind)),
        classes=_texts(f"{line}.classes", table["classes"]) if "classes" in table else (),
        range=_range(f"{line}.range", table["range"]) if "range" in table else None,
        optional=optional,
    )
    _require_kind(line, output)
    return output


def _require_kind(line: str, output: Output) -> None:
    kind, classes = output.kind, output.classes
    if output.name == ANY_NAME:
        raise ContractInvalid(f"{line}.name", "an engine reads an output by its name")
    if classes and kind not in (Kind.PROBABILITIES, Kind.LABEL):
        raise ContractInvalid(f"{line}.classes", f"an output of kind {kind} has no classes")
    if len(set(classes)) < len(classes):
        raise ContractInvalid(f"{line}.classes", "a name is there twice")
    if output.range is not None and kind not in (Kind.SCALAR, Kind.VECTOR):
        raise ContractInvalid(f"{line}.range", f"an output of kind {kind} has no range")
    if kind in (Kind.PROBABILITIES,) and output.datatype not in FLOATS:
        raise ContractInvalid(f"{line}.datatype", f"{kind} are floating-point numbers")
    if kind in (Kind.SCALAR, Kind.VECTOR) and output.datatype in ("BYTES", "BOOL"):
        raise ContractInvalid(f"{line}.datatype", f"a {kind} holds numbers")
    if kind is Kind.LABEL and (output.datatype in FLOATS or output.datatype == "BOOL"):
        raise ContractInvalid(f"{line}.datatype", "a label is text or an integer")
    _require_width(line, output)


def _require_width(line: str, output: Output) -> None:
    shape, kind = output.shape, output.kind
    if shape is None:
        return
    inner = shape[1:] if shape[:1] == (FREE,) else shape
    if kind in (Kind.SCALAR, Kind.LABEL) and any(size not in (1, FREE) for size in inner):
        raise ContractInvalid(f"{line}.shape", f"a {kind} is one value per question")
    if kind is Kind.PROBABILITIES and output.classes and inner[-1:] not in ((FREE,), (len(output.classes),)):
        raise ContractInvalid(f"{line}.shape", f"its width is not the number of classes, {len(output.classes)}")


def _table(line: str, given: object, known: tuple[str, ...]) -> Mapping[str, object]:
    if not isinstance(given, Mapping):
        raise ContractInvalid(line, "this is no table")
    strange = next((key for key in given if key not in known), None)
    if strange is not None:
        raise ContractInvalid(f"{line}.{strange}".lstrip("."), f"this key is unknown; known here: {', '.join(known)}")
    return given


def _list(line: str, given: object) -> list[object]:
    if not isinstance(given, list | tuple) or not given:
        raise ContractInvalid(line, "this is no list with at least one entry")
    if len(given) > _MOST:
        raise ContractInvalid(line, f"this list has more than {_MOST} entries")
    return list(given)


def _name(line: str, table: Mapping[str, object]) -> str:
    return _text(f"{line}.name", table.get("name"))


def _text(line: str, given: object) -> str:
    if not isinstance(given, str) or not given.strip() or len(given) > 256 or not given.isprintable():
        raise ContractInvalid(line, "this is no printable text of 1 to 256 characters")
    return given


def _texts(line: str, given: object) -> tuple[str, ...]:
    return tuple(_text(f"{line}[{at}]", one) for at, one in enumerate(_list(line, given)))


def _datatype(line: str, table: Mapping[str, object]) -> str:
    datatype = table.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise ContractInvalid(f"{line}.datatype", f"this is none of {', '.join(DATATYPES)}")
    return datatype


def _shape(line: str, given: object) -> tuple[int, ...]:
    if not isinstance(given, list | tuple) or len(given) > _MOST_RANK:
        raise ContractInvalid(line, f"this is no list of at most {_MOST_RANK} sizes")
    for size in given:
        if isinstance(size, bool) or not isinstance(size, int) or not (size == FREE or 1 <= size <= 1 << 24):
            raise ContractInvalid(line, f"a size is a positive integer, or {FREE} if it is free")
    return tuple(given)


def _number(line: str, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) <= 1e300:
        raise ContractInvalid(line, "this is no finite number")
    return float(given)


def _range(line: str, given: object) -> Range:
    bounds = _table(line, given, Range.__slots__)
    found = Range(**{name: _number(f"{line}.{name}", bound) for name, bound in bounds.items()})
    if not bounds:
        raise ContractInvalid(line, "this range has no bound")
    lows = [bound for bound in (found.minimum, found.exclusive_minimum) if bound is not None]
    highs = [bound for bound in (found.maximum, found.exclusive_maximum) if bound is not None]
    if lows and highs and not (max(lows) < min(highs)):
        raise ContractInvalid(line, "nothing, or one number only, lies in this range")
    return found


def _ranges(given: object) -> tuple[tuple[str, float, float], ...]:
    if not isinstance(given, Mapping):
        raise ContractInvalid("ranges", "this is no table")
    found = []
    for name, pair in given.items():
        line = f"ranges.{name}"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ContractInvalid(line, "this is no pair of the lowest and the highest value")
        low, high = (_number(line, bound) for bound in pair)
        if not low < high:
            raise ContractInvalid(line, "its lowest value is not below its highest")
        found.append((str(name), low, high))
    return tuple(found)


def _reasons(given: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, Mapping):
        raise ContractInvalid("left_open", "this is no table of lines with reasons")
    return tuple((str(line), _text(f"left_open.{line}", reason)) for line, reason in given.items())


def _examples(given: object, inputs: tuple[Input, ...]) -> tuple[Example, ...]:
    """Examples by the name of their input; a bare list is the example of the only one."""
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        if len(inputs) != 1:
            raise ContractInvalid("example", "with several inputs, this is a table by their names")
        given = {inputs[0].name: given}
    named = {one.name: one for one in inputs}
    strange = next((name for name in given if name not in named), None)
    if strange is not None or len(given) != len(inputs):
        raise ContractInvalid("example", "it does not name each input once")
    return tuple(_example(f"example.{name}", named[str(name)], value) for name, value in given.items())


def _example(line: str, wanted: Input, given: object) -> Example:
    shape = _shape_of(line, given, len(wanted.shape))
    values = tuple(_leaves(line, given, text=wanted.datatype == "BYTES"))
    for size, size_wanted in zip(shape, wanted.shape, strict=False):
        if size_wanted not in (FREE, size):
            raise ContractInvalid(line, f"its shape is {list(shape)}, not {list(wanted.shape)}")
    if len(shape) != len(wanted.shape) or prod(shape) != len(values) or shape[:1] not in ((), (1,), wanted.shape[:1]):
        raise ContractInvalid(line, f"it is no one question of shape {list(wanted.shape)}")
    return Example(wanted.name, shape, values)


def _shape_of(line: str, given: object, rank: int) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(given, list | tuple) and len(shape) < rank:
        shape.append(len(_list(line, given)))
        given = given[0]
    return tuple(shape)


def _leaves(line: str, given: object, *, text: bool) -> Iterator[float | str]:
    if isinstance(given, list | tuple):
        for one in _list(line, given):
            yield from _leaves(line, one, text=text)
    else:
        yield _text(line, given) if text else _number(line, float(given) if isinstance(given, bool) else given)
