"""The training data of a model: a synthetic market by default, or a table of the 15 features with a label."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.artifacts.questions import market_features
from ml.contract import FEATURES, REGIMES
from ml.errors import Invalid, Unavailable, Usage
from ml.text import visible

LABEL = "regime"
DEFAULT_SAMPLES = 10_000
MIN_SAMPLES = 100
MAX_SAMPLES = 5_000_000
_MIN_PER_CLASS = 10
_LOW_BELOW_BPS = 35.0
_HIGH_FROM_BPS = 80.0
_COLUMNS = (*FEATURES, LABEL)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows to learn from: ``features`` (n, 15) float32, ``labels`` (n,) indices into `REGIMES`.

    ``sha256`` is the digest of the file that they came from, or ``None`` for the synthetic market.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    sha256: str | None = None


def seed_for(dataset_id: str, seed: int, rows: int) -> int:
    """The seed of one training run; another dataset id or sample count draws another market."""
    material = f"{dataset_id}\0{seed}\0{rows}".encode()
    return int.from_bytes(hashlib.sha256(material).digest()[:8], "big")


def synthetic(seed: int, rows: int) -> Dataset:
    """A synthetic market, labeled by its volatility and trend with some noise, as a person would label it."""
    features = market_features(seed, rows)
    noise = np.random.default_rng(seed + 1).normal(0.0, 0.2, rows)
    hour, day, trend = (features[:, FEATURES.index(name)].astype(np.float64) for name in _DRIVERS)
    level = 0.6 * np.log(hour) + 0.4 * np.log(day) + 0.3 * np.abs(trend) + noise
    return Dataset(features, np.digitize(level, [np.log(_LOW_BELOW_BPS), np.log(_HIGH_FROM_BPS)]).astype(np.int64))


_DRIVERS = ("volatility_1h_bps", "volatility_24h_bps", "trend_strength")


def load(path: Path, seed: int, rows: int | None) -> Dataset:
    """Read a CSV or Parquet table with the 15 features and the label ``regime`` (LOW, MID, HIGH).

    Args:
        path: the file; its ending says which of the two it is. Further columns are ignored.
        seed: chooses the rows when ``rows`` asks for fewer than the file has.
        rows: how many rows to learn from; all of them when ``None``.

    Raises:
        Usage: the file is not there, or its ending is neither.
        Invalid: a column is missing, a value is no finite number, a label is unknown, or rows are too few.
        Unavailable: it is Parquet, and no reader for that is installed.
    """
    read = _reader(path)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        features, labels = _parse(read(path), path)
    except OSError as error:
        raise Usage(f"The dataset {visible(str(path))} cannot be read: {error.strerror}.") from error
    if rows is not None and rows > len(labels):
        raise Usage(f"--n-samples {rows} is more than the {len(labels)} rows of {visible(path.name)}.")
    if rows is not None and rows < len(labels):
        chosen = np.sort(np.random.default_rng(seed).choice(len(labels), rows, replace=False))
        features, labels = features[chosen], labels[chosen]
    _require_classes(labels, path)
    return Dataset(features, labels, digest)


def _reader(path: Path) -> Callable[[Path], Iterator[Sequence[object]]]:
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


def _csv_rows(path: Path) -> Iterator[Sequence[object]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        try:
            rows = csv.reader(stream, strict=True)
            positions = _positions(next(rows, []), path)
            for row in rows:
                yield [row[at] if at < len(row) else "" for at in positions]
        except (csv.Error, UnicodeDecodeError) as error:
            raise Invalid(f"{visible(path.name)} is not valid CSV: {visible(str(error))}.") from None


def _parquet_rows(path: Path) -> Iterator[Sequence[object]]:
    import pyarrow  # noqa: PLC0415 - optional
    import pyarrow.parquet  # noqa: PLC0415

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            _positions(table.schema_arrow.names, path)
            for batch in table.iter_batches(columns=list(_COLUMNS)):
                yield from zip(*(batch.column(name).to_pylist() for name in _COLUMNS), strict=True)
    except pyarrow.ArrowException as error:
        why = visible(str(error).rstrip("."), limit=200)
        raise Invalid(f"{visible(path.name)} is not valid Parquet: {why}.") from None


def _positions(header: Sequence[str], path: Path) -> list[int]:
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise Invalid(
            f"{visible(path.name)} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.",
            f"It needs the 15 features and the label {LABEL} with {', '.join(REGIMES)}.",
        )
    return [header.index(name) for name in _COLUMNS]


def _parse(rows: Iterator[Sequence[object]], path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    features: list[list[float]] = []
    labels: list[int] = []
    for number, row in enumerate(rows, start=1):
        if number > MAX_SAMPLES:
            raise Invalid(f"{visible(path.name)} has more than {MAX_SAMPLES:,} rows.")
        features.append([_number(value, name, number, path) for value, name in zip(row, FEATURES, strict=False)])
        labels.append(_label(row[-1], number, path))
    return np.array(features, dtype=np.float32).reshape(-1, len(FEATURES)), np.array(labels, dtype=np.int64)


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
            f"{visible(path.name)}: row {row}: {LABEL} is {visible(repr(value), limit=60)}.",
            f"It must be one of {', '.join(REGIMES)}.",
        )
    return REGIMES.index(str(value))


def _require_classes(labels: NDArray[np.int64], path: Path) -> None:
    counts = np.bincount(labels, minlength=len(REGIMES))
    for regime, count in zip(REGIMES, counts, strict=True):
        if count < _MIN_PER_CLASS:
            raise Invalid(
                f"{visible(path.name)} has {count} rows labeled {regime}, and training needs {_MIN_PER_CLASS}."
            )
