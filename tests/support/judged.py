"""One objective before the judge, as numbers: an hour at which everything passes, but for what a test changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ml.policy import Objective, parse_policy
from ml.slo.buckets import Buckets
from ml.slo.engines import Engine
from ml.slo.measured import Case, Circumstances, Measured, Worst

POLICY = parse_policy(None)
P99, ERRORS = POLICY.objectives[0], POLICY.objectives[3]
FREE = parse_policy(b'[[objective]]\nname = "queue"\nkind = "promql"\nquery = "max(q)"\nlimit = 10.0\n').objectives[-1]
NOW = datetime(2026, 2, 17, 14, 0, tzinfo=UTC)
DAY_S, CELL_S = 86_400, 300
A: Engine = (("instance", "a:9100"),)
B: Engine = (("instance", "b:9100"),)
BOUNDS = (25.0, 50.0, 100.0, 250.0, 500.0)


def ago(seconds: float) -> datetime:
    """A moment so long before the judgement."""
    return NOW - timedelta(seconds=seconds)


def worst(value: float, engine: Engine = A, among: int = 1, *, infinite: bool = False) -> Worst:
    """A worst value of an engine."""
    return Worst(value, dict(engine).get("instance", ""), among, infinite, engine)


def longs(**values: float) -> dict[str, Any]:
    """The values of the long window by engine, with the worst of them."""
    return _window("long", values)


def shorts(**values: float) -> dict[str, Any]:
    """The values of the short window by engine, with the worst of them."""
    return _window("short", values)


def _window(name: str, values: dict[str, float]) -> dict[str, Any]:
    engines = {{"a": A, "b": B}[each]: value for each, value in values.items()}
    top = max(engines, key=lambda each: engines[each])
    return {f"{name}s": engines, name: worst(engines[top], top, len(engines))}


def measured(**changed: Any) -> Measured:
    """Everything that was measured of one good engine, but for what is given."""
    values: dict[str, Any] = {
        "long": worst(20.0),
        "short": worst(18.0),
        "shown": None,
        "longs": {A: 20.0},
        "shorts": {A: 18.0},
        "samples": {A: 5_000.0},
        "lately": {A: 40.0},
        "lively": {A: 200.0},
        "newest": {A: ago(5)},
        "seen": {A: 5_760.0},
        "covered": 288.0,
        "buckets": {A: Buckets(BOUNDS, 500.0)},
    }
    return Measured(**values | changed)


def circumstances(**changed: Any) -> Circumstances:
    """A whole day's soak under the default policy, but for what is given."""
    values: dict[str, Any] = {
        "now": NOW,
        "stale_s": 60.0,
        "min_samples": 1000,
        "least": 4,
        "min_coverage": 0.99,
        "long_s": DAY_S,
        "short_s": CELL_S,
        "required_s": DAY_S,
        "skew_s": 0.0,
        "scrape_s": 15.0,
    }
    return Circumstances(**values | changed)


_GIVEN = frozenset(Circumstances.__dataclass_fields__)


def case(objective: Objective = P99, **changed: Any) -> Case:
    """A case: fields of `Circumstances` and of `Measured` by name, the others as on a good day."""
    given = {name: value for name, value in changed.items() if name in _GIVEN}
    found = {name: value for name, value in changed.items() if name not in _GIVEN}
    return Case(objective, measured(**found), circumstances(**given))


def two(**changed: Any) -> dict[str, Any]:
    """What makes a second engine as good as the first one, but for what is given."""
    return {
        **longs(a=20.0, b=19.0),
        **shorts(a=18.0, b=17.0),
        "samples": {A: 5_000.0, B: 4_000.0},
        "lately": {A: 40.0, B: 40.0},
        "lively": {A: 200.0, B: 200.0},
        "newest": {A: ago(5), B: ago(5)},
        "seen": {A: 5_760.0, B: 5_760.0},
        "buckets": {A: Buckets(BOUNDS, 500.0), B: Buckets(BOUNDS, 500.0)},
    } | changed
