"""The training data of a model: a synthetic market by default, or a table of the 15 features with a label."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.artifacts.questions import market_features
from ml.contract import FEATURES, REGIMES, SPACING_NAME
from ml.errors import Invalid, Unavailable, Usage
from ml.text import visible


class ModelType(StrEnum):
    """The family of model to train: its label's column, and what the model learns to give."""

    REGIME = "regime"
    """The label ``regime`` (LOW, MID, HIGH); the model gives their probabilities."""
    SPACING = "spacing"
    """The label ``spacing_multiplier``, a positive number; the model gives that number."""

    @property
    def label(self) -> str:
        """The column of the label."""
        return "regime" if self is ModelType.REGIME else SPACING_NAME

    @property
    def values(self) -> str:
        """The values that a label may have, in words."""
        return f"one of {', '.join(REGIMES)}" if self is ModelType.REGIME else "a positive number"


DEFAULT_SAMPLES = 10_000
MIN_SAMPLES = 100
MAX_SAMPLES = 5_000_000
_MIN_PER_CLASS = 10
_LOW_BELOW_BPS = 35.0
_HIGH_FROM_BPS = 80.0
_SPACING_LOWEST, _SPACING_HIGHEST = 0.25, 4.0


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows to learn from: ``features`` (n, 15) float32, ``labels`` (n,) indices into `REGIMES`, or multipliers.

    ``sha256`` is the digest of the file that they came from, or ``None`` for the synthetic market.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64] | NDArray[np.float64]
    sha256: str | None = None
    model_type: ModelType = ModelType.REGIME


def seed_for(dataset_id: str, seed: int, rows: int) -> int:
    """The seed of one training run; another dataset id or sample count draws another market."""
    material = f"{dataset_id}\0{seed}\0{rows}".encode()
    return int.from_bytes(hashlib.sha256(material).digest()[:8], "big")


def synthetic(seed: int, rows: int, model_type: ModelType = ModelType.REGIME) -> Dataset:
    """A synthetic market, labeled by its volatility and trend with some noise, as a person would label it."""
    features = market_features(seed, rows)
    if model_type is ModelType.SPACING:
        return Dataset(features, _spacing(features, seed), model_type=model_type)
    noise = np.random.default_rng(seed + 1).normal(0.0, 0.2, rows)
    hour, day, trend = (features[:, FEATURES.index(name)].astype(np.float64) for name in _DRIVERS)
    level = 0.6 * np.log(hour) + 0.4 * np.log(day) + 0.3 * np.abs(trend) + noise
    return Dataset(features, np.digitize(level, [np.log(_LOW_BELOW_BPS), np.log(_HIGH_FROM_BPS)]).astype(np.int64))


def _spacing(features: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Wider grids in violent markets and wide spreads, between a quarter and four times the usual."""
    noise = np.random.default_rng(seed + 1).normal(0.0, 0.1, len(features))
    hour, spread, trend = (
        features[:, FEATURES.index(name)].astype(np.float64)
        for name in ("volatility_1h_bps", "spread_bps", "trend_strength")
    )
    level = 0.45 * np.log(hour / 50.0) + 0.15 * np.log(spread / 2.0) + 0.2 * np.abs(trend) + noise
    multipliers: NDArray[np.float64] = np.clip(np.exp(level), _SPACING_LOWEST, _SPACING_HIGHEST)
    return multipliers


_DRIVERS = ("volatility_1h_bps", "volatility_24h_bps", "trend_strength")


def load(path: Path, seed: int, rows: int | None, model_type: ModelType = ModelType.REGIME) -> Dataset:
    """Read a CSV or Parquet table with the 15 features and the label of the model's type.

    Args:
        path: the file; its ending says which of the two it is. Further columns are ignored.
        seed: chooses the rows when ``rows`` asks for fewer than the file has.
        rows: how many rows to learn from; all of them when ``None``.
        model_type: decides the label's column and its values.

    Raises:
        Usage: the file is not there, or its ending is neither.
        Invalid: a column is missing, a value is no finite number, a label is unknown, or rows are too few.
        Unavailable: it is Parquet, and no reader for that is installed.
    """
    read = _reader(path)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        features, labels = _parse(read(path, (*FEATURES, model_type.label)), path, model_type)
    except OSError as error:
        raise Usage(f"The dataset {visible(str(path))} cannot be read: {error.strerror}.") from error
    if rows is not None and rows > len(labels):
        raise Usage(f"--n-samples {rows} is more than the {len(labels)} rows of {visible(path.name)}.")
    if rows is not None and rows < len(labels):
        chosen = np.sort(np.random.default_rng(seed).choice(len(labels), rows, replace=False))
        features, labels = features[chosen], labels[chosen]
    if model_type is ModelType.REGIME:
        _require_classes(labels, path)
    elif len(labels) < MIN_SAMPLES or float(np.ptp(labels)) == 0.0:
        raise Invalid(
            f"{visible(path.name)} has {len(labels)} rows and one {model_type.label} for all, or too few rows.",
            f"Training needs {MIN_SAMPLES} rows with several values.",
        )
    return Dataset(features, labels, digest, model_type)


_Reader = Callable[[Path, tuple[str, ...]], Iterator[Sequence[object]]]
"""Reads some columns of a file, row by row."""


def _reader(path: Path) -> _Reader:
    match path.suffix.lower():
        case ".csv":
            return _csv_rows
        case ".parquet":
            if importlib.util.find_spec("pyarrow") is None:
                raise Unavailable(
                    "Reading Parquet needs pyarrow, which is not installed.",
                    "Run: pip install 'mlconsole[train]', or give the dataset as CSV.",
                )
            return _parquet_rows
        case _:
            raise Usage(f"{visible(path.name)} is neither .csv nor .parquet.", "Convert the dataset to one of them.")


def _csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[Sequence[object]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        try:
            rows = csv.reader(stream, strict=True)
            positions = _positions(next(rows, []), path, columns)
            for row in rows:
                yield [row[at] if at < len(row) else "" for at in positions]
        except (csv.Error, UnicodeDecodeError) as error:
            raise Invalid(f"{visible(path.name)} is not valid CSV: {visible(str(error))}.") from None


def _parquet_rows(path: Path, columns: tuple[str, ...]) -> Iterator[Sequence[object]]:
    import pyarrow  # noqa: PLC0415 - optional
    import pyarrow.parquet  # noqa: PLC0415

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            _positions(table.schema_arrow.names, path, columns)
            for batch in table.iter_batches(columns=list(columns)):
                yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
    except pyarrow.ArrowException as error:
        why = visible(str(error).rstrip("."), limit=200)
        raise Invalid(f"{visible(path.name)} is not valid Parquet: {why}.") from None


def _positions(header: Sequence[str], path: Path, columns: tuple[str, ...]) -> list[int]:
    missing = [name for name in columns if name not in header]
    if missing:
        raise Invalid(
            f"{visible(path.name)} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.",
            f"It needs the 15 features and the label {columns[-1]}: {_TYPES[columns[-1]].values}.",
        )
    return [header.index(name) for name in columns]


_TYPES = {one.label: one for one in ModelType}


def _parse(
    rows: Iterator[Sequence[object]], path: Path, model_type: ModelType
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    features: list[list[float]] = []
    labels: list[float] = []
    read = _label if model_type is ModelType.REGIME else _multiplier
    for number, row in enumerate(rows, start=1):
        if number > MAX_SAMPLES:
            raise Invalid(f"{visible(path.name)} has more than {MAX_SAMPLES:,} rows.")
        features.append([_number(value, name, number, path) for value, name in zip(row, FEATURES, strict=False)])
        labels.append(read(row[-1], number, path))
    kind = np.int64 if model_type is ModelType.REGIME else np.float64
    return np.array(features, dtype=np.float32).reshape(-1, len(FEATURES)), np.array(labels, dtype=kind)


def _number(value: object, name: str, row: int, path: Path) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not abs(number) <= float(np.finfo(np.float32).max):
        raise Invalid(f"{visible(path.name)}: row {row}: {name} is {visible(repr(value), limit=60)}, no finite number.")
    return number


def _label(value: object, row: int, path: Path) -> int:
    if value not in REGIMES:
        raise Invalid(
            f"{visible(path.name)}: row {row}: {ModelType.REGIME.label} is {visible(repr(value), limit=60)}.",
            f"It must be {ModelType.REGIME.values}.",
        )
    return REGIMES.index(str(value))


def _multiplier(value: object, row: int, path: Path) -> float:
    number = _number(value, SPACING_NAME, row, path)
    if not number > 0:
        raise Invalid(
            f"{visible(path.name)}: row {row}: {SPACING_NAME} is {visible(repr(value), limit=60)}.",
            f"It must be {ModelType.SPACING.values}.",
        )
    return number


def _require_classes(labels: NDArray[np.int64], path: Path) -> None:
    counts = np.bincount(labels, minlength=len(REGIMES))
    for regime, count in zip(REGIMES, counts, strict=True):
        if count < _MIN_PER_CLASS:
            raise Invalid(
                f"{visible(path.name)} has {count} rows labeled {regime}, and training needs {_MIN_PER_CLASS}."
            )
