"""UTC time as a parameter, and the one textual form that we write: RFC 3339 with ``Z`` (contract §11)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

_HALF_A_DAY_S = 12 * 3_600
_HALF_A_YEAR_S = 182 * 86_400


class Clock(Protocol):
    """The source of time. It is passed in, so that pure code stays pure and tests can freeze it."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back, for deadlines and ages."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()


def parse_utc(text: str) -> datetime:
    """Read an RFC 3339 time that ends in ``Z``.

    Raises:
        ValueError: it is no time, or not in UTC written as ``Z``.
    """
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} does not end in Z")
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(UTC)


def format_utc(moment: datetime) -> str:
    """Write a moment to the second, in UTC, ending in ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_time(moment: datetime, now: datetime, *, seconds: bool = False) -> str:
    """A moment as a time of day, ``14:02Z``; one that is more than 12 hours away carries its date, ``16 Feb 14:02Z``.

    A time without a date is read as the nearest one, and half a day away there are two that are equally near.
    """
    moment = moment.astimezone(UTC)
    text = f"{moment:%H:%M:%SZ}" if seconds else f"{moment:%H:%MZ}"
    apart = abs((moment - now).total_seconds())
    if apart <= _HALF_A_DAY_S:
        return text
    return f"{moment:%d %b} {text}" if apart <= _HALF_A_YEAR_S else f"{moment:%Y-%m-%d} {text}"


def hours(seconds: float) -> str:
    """A soaked time as people say it, hours not turned into days: ``18h22m``, ``24h``, ``31h05m``."""
    whole, rest = divmod(max(0, int(seconds)), 3600)
    return f"{whole}h{rest // 60:02}m" if rest >= 60 else f"{whole}h"


def span(seconds: float) -> str:
    """A length of time in at most two units, as the board shows it: ``4s``, ``18h22m``, ``5d02h``."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, secs = divmod(rest, 60)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    if minutes:
        return f"{minutes}m{secs:02}s"
    return f"{secs}s"
