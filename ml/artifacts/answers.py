"""Judgement of a model's answers by the contract of the output that gave them. Pure, but for numpy.

Answers of one output are an array of (n, shape of one answer). A `Breach` names the line of the contract that an answer
breaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.contract import FREE, Kind, Output

Values = NDArray[Any]
Answers = Mapping[str, Values]
NOISE = 1e-4
"""Between a row alone and the same row in a batch: sums in another order, in 32 bits. Less than that is no answer."""
_SUM_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Breach:
    """A broken line, the number of the first answer that breaks it (from 0), and one clause of why."""

    line: str
    at: int
    why: str


def breach(output: Output, values: Values) -> Breach | None:
    """Return the first line that some answers break; ``None`` where they keep the contract."""
    match output.kind:
        case Kind.PROBABILITIES:
            return _probabilities(output, values)
        case Kind.SCALAR | Kind.VECTOR:
            return _numbers(output, values)
        case Kind.LABEL:
            return _labels(output, values)
        case Kind.ANY:
            return None


def misshapen(output: Output, shape: tuple[int, ...]) -> str:
    """Name the line that the shape of one answer breaks, without its batch; empty where it fits."""
    line = f"outputs.{output.name}"
    wanted = output.shape
    if wanted is not None:
        inner = wanted[1:] if wanted[:1] in ((FREE,), (1,)) else wanted
        fits = len(inner) == len(shape) and all(want in (FREE, size) for want, size in zip(inner, shape, strict=True))
        if not fits:
            return f"{line}.shape"
    count = int(np.prod(shape))
    if output.kind in (Kind.SCALAR, Kind.LABEL) and count != 1:
        return f"{line}.shape"
    if output.kind is Kind.PROBABILITIES and output.classes and shape[-1:] != (len(output.classes),):
        return f"{line}.classes"
    return ""


def _probabilities(output: Output, values: Values) -> Breach | None:
    rows = values.reshape(len(values), -1, values.shape[-1]) if values.ndim > 1 else values.reshape(len(values), 1, 1)
    wrong = ~np.isfinite(rows).all(axis=(1, 2))
    if not wrong.any():
        sums = rows.sum(axis=2, dtype=np.float64)
        wrong = (rows < 0).any(axis=(1, 2)) | (np.abs(sums - 1.0) > _SUM_TOLERANCE).any(axis=1)
    return _first(f"outputs.{output.name}.kind", wrong, values, "no probabilities")


def _numbers(output: Output, values: Values) -> Breach | None:
    rows = values.reshape(len(values), -1)
    infinite = ~np.isfinite(rows.astype(np.float64)).all(axis=1)
    if infinite.any():
        return _first(f"outputs.{output.name}.kind", infinite, values, "no finite number")
    if output.range is None:
        return None
    holds = output.range.holds
    outside = np.array([not all(holds(float(value)) for value in row) for row in rows])
    return _first(f"outputs.{output.name}.range", outside, values, f"not {output.range}")


def _labels(output: Output, values: Values) -> Breach | None:
    if not output.classes:
        return None
    wrong = decisions(output, values) < 0
    return _first(f"outputs.{output.name}.classes", wrong, values, f"none of {', '.join(output.classes[:8])}")


def _first(line: str, wrong: Any, values: Values, why: str) -> Breach | None:
    """Return the first of some wrong answers, given as one truth value per answer."""
    return Breach(line, int(wrong.argmax()), why) if wrong.any() else None


def decides(output: Output) -> bool:
    """True if its answers choose a class, so that they can be counted."""
    return output.kind in (Kind.PROBABILITIES, Kind.LABEL) and bool(output.classes)


def decisions(output: Output, values: Values) -> NDArray[np.int64]:
    """Return the position of the class that each answer chooses; -1 where it is none of them."""
    if output.kind is Kind.PROBABILITIES:
        found: NDArray[np.int64] = values.reshape(len(values), -1, values.shape[-1]).mean(axis=1).argmax(axis=1)
        return found
    flat = values.reshape(len(values))
    names = {name: at for at, name in enumerate(output.classes)}
    if output.datatype == "BYTES" or all(_is_integer(name) for name in output.classes):
        return np.array([names.get(_name(value), -1) for value in flat], dtype=np.int64)
    return np.array([int(value) if 0 <= int(value) < len(names) else -1 for value in flat], dtype=np.int64)


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _name(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def distances(one: Values, other: Values) -> NDArray[np.float64]:
    """Return, per answer, the largest difference of two numbers, or 1 where texts differ. NaN equals NaN."""
    if one.shape != other.shape:
        return np.full(len(one), np.inf)
    if one.dtype == np.object_ or one.dtype.kind in "USO":
        unlike = np.array([_name(a) != _name(b) for a, b in zip(one.ravel(), other.ravel(), strict=True)], dtype=float)
        return _widest(unlike.reshape(len(one), -1))
    with np.errstate(invalid="ignore"):
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    apart[np.isnan(one.astype(np.float64)) != np.isnan(other.astype(np.float64))] = np.inf
    return _widest(np.nan_to_num(apart, posinf=np.inf).reshape(len(one), -1))


def _widest(apart: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = apart.max(axis=1, initial=0.0)
    return found


def flat(output: Output, values: Values) -> bool:
    """True if all answers are equal within noise; integers and texts have none."""
    return bool(agree(output, np.broadcast_to(values[:1], values.shape), values, like=values).all())


def agree(output: Output, one: Values, other: Values, *, like: Values | None = None) -> NDArray[np.bool_]:
    """Per answer, check that two are equal within noise.

    Noise is a share of the size of the answers, of which ``like`` may be more.
    """
    apart = distances(one, other)
    if one.dtype.kind != "f":
        return np.equal(apart, 0.0)
    known = one if like is None else like
    size = 1.0 if output.kind is Kind.PROBABILITIES else float(_sizes(known).max(initial=0.0))
    return np.less_equal(apart, NOISE * size)


def _sizes(values: Values) -> NDArray[np.float64]:
    """Per answer, return the largest size of its finite numbers."""
    numbers = np.abs(np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0))
    return _widest(numbers.reshape(len(values), -1))


def golden_errors(output: Output, expected: Values, found: Values) -> NDArray[np.float64]:
    """Per answer, return its difference from the golden one, as a share of the answers' size.

    That size is 1 for probabilities, the golden answer's own where it is above 1, and the largest golden answer's where
    all are below. Whole numbers and texts must be equal.
    """
    apart = distances(found, expected)
    if expected.dtype.kind != "f" or found.dtype.kind != "f":
        return np.where(apart == 0, 0.0, np.inf)
    if output.kind is Kind.PROBABILITIES:
        return apart
    sizes = _sizes(expected)
    smallest = min(1.0, float(sizes.max(initial=0.0))) or 1.0
    return apart / np.maximum(sizes, smallest)
