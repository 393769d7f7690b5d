"""Measured values in the few characters that a column has."""

from __future__ import annotations

from ml.clock import hours

_RATIOS = ("", "ratio")


def amount(value: float | None, unit: str, *, limit: float | None = None) -> str:
    """A value for a narrow column: ``42.1 ms``, ``6.3 %``, ``24h``; a dash for none.

    A ratio has no unit, and a ``limit`` of at most 1; it is shown in percent, as the runbook writes it.
    """
    if value is None:
        return "-"
    if unit == "s":
        return hours(value)
    if unit in _RATIOS and abs(value if limit is None else limit) <= 1:
        return f"{value * 100:.3g} %"
    return f"{value:.4g} {unit}".rstrip()


def figure(value: float | None, unit: str = "") -> str:
    """A measured value in three figures and never with an exponent: ``42.1 ms``, ``12,480 blocks``; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.0f} {unit}".rstrip() if abs(value) >= 1000 else f"{value:.3g} {unit}".rstrip()


def count(number: int | None) -> str:
    """A number of samples: ``950``, ``182k``, ``1.2M``; a dash for none."""
    if number is None:
        return "-"
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.1f}{letter}" if scaled < 10 else f"{scaled:.0f}{letter}"
    return str(number)
