"""UTC time as a parameter, RFC 3339 with ``Z`` as the one form that we write (contract §11), and lengths of time."""

from __future__ import annotations

import math
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
    """A window or a soaked time, hours not turned into days: ``24h``, ``31h05m``, ``5m``; seconds below a minute."""
    whole, minutes = divmod(max(0, int(seconds)) // 60, 60)
    if not whole:
        return f"{minutes}m" if minutes else span(seconds)
    return f"{whole}h{minutes:02}m" if minutes else f"{whole}h"


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


# Ages: coarse, so that a calm board does not repaint, and rounded up, so that data never looks newer than it is.

_STEPS = ((60, 5), (600, 10), (3_600, 60))
"""Steps of shown ages: pairs of an upper bound and the step below it, in seconds."""


def age(moment: datetime | None, now: datetime) -> str:
    """Return the age of a moment, rounded up: ``5s``, ``3m40s``, ``12m``, ``18h22m``; a dash for never.

    A moment after ``now`` (a wrong clock) is shown as ``future``.
    """
    if moment is None:
        return "-"
    seconds = (now - moment).total_seconds()
    if seconds < -1:
        return "future"
    for below, step in _STEPS:
        if seconds < below:
            seconds = max(1, math.ceil(seconds / step)) * step
            break
    return span(seconds).removesuffix("00s") if seconds >= 600 else span(seconds)
