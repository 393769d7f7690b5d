"""Inputs to ask a model about, drawn from a seed: the same seed gives the same bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
