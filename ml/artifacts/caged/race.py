"""Two models timed turn by turn in one process, so that whatever disturbs one disturbs the other."""

from __future__ import annotations

import gc
import time

import numpy as np
from numpy.typing import NDArray

from ml.artifacts.caged.session import Session
from ml.artifacts.features import market_features
from ml.artifacts.protocol import Raced, Subject, Timing

_SEED = 20
_ROWS = 256
_WARM_UP = 20
_WARM_UP_S = 0.3
_BLOCKS = 20
_MAX_TURNS = 4000
_MIN_TURNS = 8
_BUDGET_S = 2.0


def race(first: Subject, second: Subject) -> Raced:
    """Time single-row inferences of both for at most two seconds; raises `Unfit` when one cannot run.

    The order within a turn alternates, because whoever comes second finds a warmer cache.
    """
    sessions = (Session(first), Session(second))
    for session in sessions:
        session.require_signature()
    rows = market_features(_SEED, _ROWS)
    until = time.perf_counter() + _WARM_UP_S
    for row in rows[:_WARM_UP]:
        for session in sessions:
            session.run(row[None])
        if time.perf_counter() > until:
            break
    gc.disable()
    return _summary(*_time(sessions, rows))


def _time(
    sessions: tuple[Session, Session], rows: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Milliseconds of each turn, (turns,) for both models."""
    taken: tuple[list[float], list[float]] = ([], [])
    until = time.perf_counter() + _BUDGET_S
    for turn in range(_MAX_TURNS):
        row = rows[turn % len(rows)][None]
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            started = time.perf_counter_ns()
            sessions[which].run(row)
            taken[which].append((time.perf_counter_ns() - started) / 1e6)
        if time.perf_counter() > until and turn + 1 >= _MIN_TURNS:
            break
    return np.array(taken[0]), np.array(taken[1])


def _summary(first: NDArray[np.float64], second: NDArray[np.float64]) -> Raced:
    median, tail = _ratios(first, second, 50), _ratios(first, second, 99)
    return Raced(
        first=Timing(*np.percentile(first, (50, 99)).tolist()),
        second=Timing(*np.percentile(second, (50, 99)).tolist()),
        turns=len(first),
        p50_ratio=float(np.median(median)),
        p50_spread=_spread(median),
        p99_ratio=float(np.percentile(first, 99) / np.percentile(second, 99)),
        p99_spread=_spread(tail),
    )


def _ratios(first: NDArray[np.float64], second: NDArray[np.float64], percentile: int) -> NDArray[np.float64]:
    """First over second, per block of consecutive turns."""
    count = min(_BLOCKS, len(first))
    blocks = zip(np.array_split(first, count), np.array_split(second, count), strict=True)
    return np.array([np.percentile(one, percentile) / np.percentile(other, percentile) for one, other in blocks])


def _spread(ratios: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(ratios, (10, 90))
    return float(low), float(high)
