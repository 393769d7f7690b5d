"""Measured values as text: the unit beside the value, ratios in percent, times in hours and minutes."""

from __future__ import annotations

from ml.clock import hours

_RATIOS, _MINUTE_S = ("", "ratio"), 60


def amount(value: float | None, unit: str, *, limit: float | None = None, gap: str = " ") -> str:
    """Return a value with four digits: ``42.1 ms``, ``6.346 %``, ``24h``; a dash for none.

    Args:
        unit: a minute and more of seconds becomes hours. A ratio, which has no unit or ``ratio`` and is at most 1,
            is shown in percent.
        limit: the limit of the value, which tells a ratio above 1 from a plain number.
        gap: what stands between value and unit; the runbook leaves none.
    """
    if value is None:
        return "-"
    scale = abs(value if limit is None else limit)
    if unit == "s" and scale >= _MINUTE_S:
        return hours(value)
    if unit in _RATIOS and scale <= 1:
        return percent(value, gap=gap)
    return f"{value:.4g}{gap}{unit}".rstrip()


def percent(ratio: float, *, gap: str = " ") -> str:
    """Return a ratio in percent, with four digits: ``6.346 %``."""
    return f"{ratio * 100:.4g}{gap}%"


def figure(value: float | None, unit: str = "") -> str:
    """Return a value with three digits and no exponent: ``42.1 ms``, ``12,480 blocks``; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.0f} {unit}".rstrip() if abs(value) >= 1000 else f"{value:.3g} {unit}".rstrip()


def count(number: int | None) -> str:
    """Return a number of samples: ``950``, ``182k``, ``1.2M``; a dash for none."""
    if number is None:
        return "-"
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.1f}{letter}" if scaled < 10 else f"{scaled:.0f}{letter}"
    return str(number)
