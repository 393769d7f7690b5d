"""The gate: rules that hold without the console (contract §8). `judge` is its one entrance."""

from ml.promotion.gate.judge import Bench, judge

__all__ = ["Bench", "judge"]
