"""The gate: rules that hold without the console (contract §8). `judge` is its one entrance for changes."""

from ml.promotion.gate.judge import Bench, judge, why_no_approval

__all__ = ["Bench", "judge", "why_no_approval"]
