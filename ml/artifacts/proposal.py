"""A contract proposed from a model's own file, and contracts as TOML for the policy. Pure.

A file states names, datatypes and sizes. It does not state what the numbers mean: those lines stay open, and each is
named, so that a person fills it in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ml.artifacts.protocol import Signature
from ml.contract import DATATYPES, FREE, Contract, Input, Kind, Output
from ml.errors import Invalid
from ml.text import visible

_DATATYPE_OF = {name: datatype for datatype, name in DATATYPES.items()}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed contract, the guesses in it, and the outputs that no contract can name."""

    contract: Contract
    guesses: tuple[str, ...]
    left_out: tuple[str, ...]


def propose(signature: Signature) -> Proposal:
    """Make a contract from what a model's file states, and from how it answered.

    Raises:
        Invalid: an input is no tensor, or no output is one.
    """
    inputs = tuple(Input(name, _datatype(name, kind), shape) for name, kind, shape in signature.inputs)
    known = [(name, _DATATYPE_OF[kind], shape) for name, kind, shape in signature.outputs if kind in _DATATYPE_OF]
    left_out = tuple(
        f"{name} is {kind}, which is no tensor" for name, kind, _ in signature.outputs if kind not in _DATATYPE_OF
    )
    if not inputs or not known:
        raise Invalid("The model has no input, or no output, that is a tensor.")
    kinds = {name: _kind(name, datatype, shape, signature) for name, datatype, shape in known}
    outputs = tuple(
        Output(name=name, datatype=datatype, shape=shape, kind=kinds[name]) for name, datatype, shape in known
    )
    return Proposal(Contract(inputs=inputs, outputs=outputs), tuple(_guesses(kinds, signature)), left_out)


def _datatype(name: str, kind: str) -> str:
    if kind not in _DATATYPE_OF:
        raise Invalid(f"The input {visible(name, limit=60)} is {visible(kind, limit=80)}, which is no tensor.")
    return _DATATYPE_OF[kind]


def _kind(name: str, datatype: str, shape: tuple[int, ...], signature: Signature) -> Kind:
    inner = shape[1:] if shape[:1] in ((FREE,), (1,)) else shape
    if name in signature.probabilities:
        return Kind.PROBABILITIES
    if datatype == "BOOL":
        return Kind.ANY
    single = all(size == 1 for size in inner)
    if datatype == "BYTES" or not datatype.startswith("FP"):
        return Kind.LABEL if single else Kind.ANY
    return Kind.SCALAR if single else Kind.VECTOR


def _guesses(kinds: Mapping[str, Kind], signature: Signature) -> Iterator[str]:
    for name, kind in kinds.items():
        if kind is Kind.PROBABILITIES:
            yield f"outputs.{name}.kind: its answers to drawn questions were not negative and summed to 1"
        else:
            yield f"outputs.{name}.kind: from its datatype and shape"
    if signature.why:
        yield f"the model could not be asked: {signature.why}"


def toml(contract: Contract, prefix: str) -> str:
    """Write a contract as tables of the policy below ``prefix``, such as ``model.churn.contract``."""
    document = contract.document()
    plain = {key: value for key, value in document.items() if key in ("features", "tolerance", "example")}
    parts = [_block(f"[{prefix}]", plain)]
    for key in ("inputs", "outputs"):
        tables = document[key]
        assert isinstance(tables, list)
        parts += [_block(f"[[{prefix}.{key}]]", table) for table in tables]
    for key in ("ranges", "left_open"):
        table = document.get(key)
        if isinstance(table, Mapping):
            parts.append(_block(f"[{prefix}.{key}]", table))
    return "\n".join(parts)


def _block(head: str, table: Mapping[str, object]) -> str:
    return "".join(f"{line}\n" for line in (head, *(f"{_key(key)} = {_value(value)}" for key, value in table.items())))


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "a").replace("-", "a").isalnum() else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)
