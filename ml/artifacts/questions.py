"""Questions to a model: inputs drawn by its contract from a seed. The same seed gives the same bits.

There are several populations, because a model that takes scaled features gives one answer to all raw market states, and
one answer proves nothing about golden vectors or a comparison. The first population is the contract's own: real market
states, its ranges, or values near its example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.contract import FEATURES, FREE, Contract, Example, Input

Tensor = NDArray[Any]
_NUMPY: Mapping[str, type[Any]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
_FREE_SIZE = 4
"""The size that stands for a free one, where neither the model nor an example fixes it."""
_WORDS = ("a", "b", "long word", "0", "")
_LOW, _HIGH = 0, 10
"""The bounds of integers that have no range."""
_MOST_VALUES = 1 << 24
"""The numbers in all questions together: 128 MiB while they are drawn."""
_NARROW = 100.0
"""From this ratio of its ends, a positive range is drawn evenly in its logarithm."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Some questions: for each input, an array of (n, shape of one question as the model takes it)."""

    tensors: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, part: slice) -> Questions:
        return Questions({name: values[part] for name, values in self.tensors.items()})

    def one(self, at: int) -> Mapping[str, Tensor]:
        """One question, as the engine asks it."""
        return {name: values[at] for name, values in self.tensors.items()}

    def together(self) -> Mapping[str, Tensor]:
        """All of them in one call, for a model with the batch as its first size."""
        return {name: values.reshape(-1, *values.shape[2:]) for name, values in self.tensors.items()}

    def rows(self, name: str) -> list[list[Any]]:
        """Each question's values of one input, in row-major order, for golden vectors."""
        return [values.ravel().tolist() for values in self.tensors[name]]


Sizes = Mapping[str, tuple[int, ...]]
"""The shape of one question for each input."""


def sizes_of(contract: Contract, taken: Mapping[str, tuple[int | None, ...]]) -> Sizes:
    """Return the shape of one question: the contract's sizes, and where they are free the example's or the model's.

    Args:
        taken: the shapes that the model states, with ``None`` for free sizes.
    """
    examples = {one.name: one.shape for one in contract.examples}
    return {
        one.name: tuple(
            size if size != FREE else 1 if at == 0 else _free(one, at, examples, taken, contract)
            for at, size in enumerate(one.shape)
        )
        for one in contract.inputs
    }


def _free(
    one: Input,
    at: int,
    examples: Mapping[str, tuple[int, ...]],
    taken: Mapping[str, tuple[int | None, ...]],
    contract: Contract,
) -> int:
    own = taken.get(one.name, ())
    stated = own[at] if at < len(own) else None
    if stated is not None:
        return stated
    if one.name in examples:
        return examples[one.name][at]
    return len(contract.features) if contract.features and at == len(one.shape) - 1 else _FREE_SIZE


def affordable(sizes: Sizes, count: int) -> int:
    """Return how many questions to draw: as many as asked, or fewer of large ones, so that they fit into memory."""
    values = sum(prod(size) for size in sizes.values())
    return max(2, min(count, _MOST_VALUES // max(values, 1)))


def populations(contract: Contract, sizes: Sizes, seed: int, count: int) -> Iterator[Questions]:
    """Draw ``count`` questions from each population: the contract's own, around zero, and around zero but far apart."""
    yield natural(contract, sizes, seed, count)
    yield _plain(contract, sizes, seed, count, spread=1.0)
    yield _plain(contract, sizes, seed, count, spread=1000.0)


def natural(contract: Contract, sizes: Sizes, seed: int, count: int) -> Questions:
    """Draw questions as the contract describes them."""
    if contract.features == FEATURES and not contract.ranges and not contract.examples:
        (name,) = sizes
        states = market_features(seed, count).astype(_NUMPY[contract.inputs[0].datatype])
        return Questions({name: states.reshape(count, *sizes[name])})
    rng = np.random.default_rng(seed)
    return Questions({one.name: _drawn(contract, one, sizes[one.name], rng, count) for one in contract.inputs})


def zeros(contract: Contract, sizes: Sizes) -> Questions:
    """One question of zeros, for an engine to warm up."""
    kinds = {one.name: one.datatype for one in contract.inputs}
    found = {name: np.zeros((1, *shape), _NUMPY[kinds[name]]) for name, shape in sizes.items()}
    return Questions({name: _as_text(values) if kinds[name] == "BYTES" else values for name, values in found.items()})


def of_rows(contract: Contract, sizes: Sizes, rows: Mapping[str, Sequence[Sequence[Any]]]) -> Questions:
    """Questions from golden vectors, each question's values in row-major order. Raises ValueError for another size."""
    kinds = {one.name: one.datatype for one in contract.inputs}
    return Questions(
        {name: np.array(rows[name], dtype=_NUMPY[kinds[name]]).reshape(-1, *shape) for name, shape in sizes.items()}
    )


def _drawn(contract: Contract, one: Input, size: tuple[int, ...], rng: np.random.Generator, count: int) -> Tensor:
    example = next((each for each in contract.examples if each.name == one.name), None)
    ranges = {name: (low, high) for name, low, high in contract.ranges}
    shape = (count, *size)
    if one.datatype == "BYTES":
        return _texts(example, shape, rng)
    values = rng.normal(size=shape) if example is None else _near(example, shape, rng)
    if one.name in ranges:
        values = _between(*ranges[one.name], shape, rng)
    for column, feature in enumerate(contract.features):
        if feature in ranges:
            values[..., column] = _between(*ranges[feature], shape[:-1], rng)
    if one.datatype == "BOOL":
        return rng.integers(0, 2, shape).astype(np.bool_)
    if example is None and not ranges and not one.datatype.startswith("FP"):
        values = rng.integers(_LOW, _HIGH, shape).astype(np.float64)
    return _cast(values, one.datatype)


def _plain(contract: Contract, sizes: Sizes, seed: int, count: int, *, spread: float) -> Questions:
    rng = np.random.default_rng(seed)
    found: dict[str, Tensor] = {}
    for one in contract.inputs:
        shape = (count, *sizes[one.name])
        if one.datatype == "BYTES":
            found[one.name] = _texts(None, shape, rng)
        elif one.datatype == "BOOL":
            found[one.name] = rng.integers(0, 2, shape).astype(np.bool_)
        elif one.datatype.startswith("FP"):
            found[one.name] = _cast(spread * rng.normal(size=shape), one.datatype)
        else:
            highest = round(_HIGH * spread)
            lowest = -highest if one.datatype.startswith("INT") else _LOW
            found[one.name] = _cast(rng.integers(lowest, highest, shape).astype(np.float64), one.datatype)
    return Questions(found)


def _near(example: Example, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """The example itself first, then values near it."""
    centre = np.array(example.values, dtype=np.float64).reshape(example.shape)
    values = centre * np.exp(0.3 * rng.normal(size=shape)) + 0.3 * rng.normal(size=shape)
    values[0] = centre
    return values


def _between(low: float, high: float, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    if low > 0 and high / low > _NARROW:
        return np.clip(np.exp(rng.uniform(np.log(low), np.log(high), shape)), low, high)
    return rng.uniform(low, high, shape)


def _texts(example: Example | None, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    words = _WORDS if example is None else tuple(map(str, example.values))
    return np.array(words, dtype=np.object_)[rng.integers(0, len(words), shape)]


def _as_text(values: Tensor) -> Tensor:
    return np.full(values.shape, "", dtype=np.object_)


def _cast(values: NDArray[np.float64], datatype: str) -> Tensor:
    kind = _NUMPY[datatype]
    if not datatype.startswith("FP"):
        limits = np.iinfo(kind)
        return np.clip(np.rint(values), max(limits.min, -(2**53)), min(limits.max, 2**53)).astype(kind)
    return values.astype(kind)


def market_features(seed: int, rows: int) -> NDArray[np.float32]:
    """Plausible market states: (rows, 15), in the order of `FEATURES`; the same seed gives the same bits.

    One hidden level of turbulence drives volatility, spread, volume and momentum together, so that the
    rows cover calm, ordinary and violent markets.
    """
    rng = np.random.default_rng(seed)
    turbulence = rng.normal(0.0, 0.7, rows)
    mid = 60_000.0 * np.exp(rng.normal(0.0, 0.05, rows))
    volatility_24h = 50.0 * np.exp(turbulence)
    volatility_1h = volatility_24h * np.exp(rng.normal(0.0, 0.25, rows))
    spread = 0.5 + 0.03 * volatility_1h * np.exp(rng.normal(0.0, 0.3, rows))
    volume_24h = 25_000.0 * np.exp(0.4 * turbulence + rng.normal(0.0, 0.3, rows))
    volume_1h = volume_24h / 24.0 * np.exp(0.2 * turbulence + rng.normal(0.0, 0.4, rows))
    position = rng.normal(0.0, 1.5, rows)
    levels = rng.integers(0, 21, rows).astype(np.float64)
    columns = (
        mid,
        mid * (1.0 - spread / 20_000.0),
        mid * (1.0 + spread / 20_000.0),
        spread,
        volume_24h,
        volume_1h,
        volatility_1h,
        volatility_24h,
        position,
        position * mid,
        rng.normal(0.0, 1.0, rows) * volatility_1h / 2.0,
        levels,
        np.clip(5.0 * levels + rng.normal(0.0, 5.0, rows), 0.0, 100.0),
        np.tanh(rng.normal(0.0, 0.8, rows)),
        rng.normal(0.0, 1.0, rows) * volatility_1h,
    )
    return np.stack(columns, axis=1).astype(np.float32)
