"""Checks of clocks: our wall clock against Prometheus's, and jumps of ours between question and answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ml.clock import span
from ml.slo.exchanges import Exchange, Failure
from ml.slo.source import Answer
from ml.verdict import Code, Finding, Verdict, finding

SKEW_S = 5.0
"""The largest difference between Prometheus's clock and ours at which ages mean something."""
_JUMP_S = 120.0
"""The longest delay from the judgement's ``now`` to its last question. More means that the machine was suspended."""


def moment_of(seconds: float) -> datetime | None:
    """A Unix time that a query computed, as a moment in UTC; ``None`` where it is none."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def skew_of(answer: Answer) -> float | None:
    """Prometheus's clock minus ours in seconds, from an answer that was evaluated at the server's own now."""
    moments = [point[0] for series in answer.series for point in series.points]
    if not moments:
        return None
    # The server evaluated somewhere between question and answer; only what lies outside of that is skew.
    ahead = max(moments) - answer.asked_at.timestamp()
    return ahead if ahead < 0 else max(0.0, ahead - answer.seconds)


def skewed(skew_s: float | None) -> Finding | None:
    """Return a finding if the two clocks are too far apart to compare times."""
    if skew_s is None or abs(skew_s) <= SKEW_S:
        return None
    side = "ahead of" if skew_s > 0 else "behind"
    why = f"Prometheus's clock is {span(abs(skew_s))} {side} ours, so no age can be trusted."
    return finding(Verdict.NO_DATA, Code.CLOCK_SKEWED, why, skew_s=skew_s)


def clock_doubt(clock: Exchange, exchanges: Sequence[Exchange], now: datetime) -> Finding | None:
    """Return a finding if no time can be trusted: Prometheus's clock is unknown or skewed, or ours jumped."""
    if isinstance(clock, Failure):
        return clock.finding
    for exchange in exchanges:
        if isinstance(exchange, Answer):
            later = (exchange.asked_at - now).total_seconds()
            if not -SKEW_S <= later <= _JUMP_S:
                way = "forward" if later > 0 else "back"
                why = f"The wall clock went {way} by {span(abs(later))} while Prometheus was asked."
                return finding(Verdict.NO_DATA, Code.CLOCK_JUMPED, why, jump_s=later)
    return skewed(skew_of(clock))


def length(seconds: float) -> str:
    """A window's length in words, hours not turned into days: ``24h``, ``18h20m``, ``5m``."""
    minutes = int(seconds) // 60
    hours, rest = divmod(minutes, 60)
    if not minutes:
        return span(seconds)
    return (f"{hours}h" if hours else "") + (f"{rest:02}m" if hours and rest else f"{rest}m" if rest else "")
