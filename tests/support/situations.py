"""Constructed situations of a soak: what the engine's past was, how it is judged, and which verdicts are right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from support.engine_past import HOUR, MINUTE, EnginePast
from support.prometheus import Line

from ml.slo.soak import Killed, SoakSubject
from ml.verdict import Verdict

DAY = 24 * HOUR
SOAKED = DAY + 2 * MINUTE
"""A landing this long ago gives a whole soak; the start is found within a scrape of it."""

Past = Callable[["Moment"], Iterable[EnginePast | Line]]


def everywhere(verdict: Verdict, *, alerts: Verdict = Verdict.PASS) -> dict[str, Verdict]:
    """The same verdict for the soak and each objective."""
    return {"soak": verdict, **objectives(verdict), "alerts": alerts}


def objectives(verdict: Verdict) -> dict[str, Verdict]:
    """The same verdict for each objective."""
    return {"p99": verdict, "p999": verdict, "error_rate": verdict}


def objective(text: str) -> str:
    """A policy with one more objective, named ``own``."""
    return f'[[objective]]\nname = "own"\n{text}\n'


def quiet(*names: str) -> str:
    """A policy with these alert rules."""
    return f"[alerts]\nquiet = [{', '.join(f'{name!r}' for name in names)}]\n"


@dataclass(frozen=True)
class Moment:
    """The moment that a table of situations is built around. Scrapes go on for a while after it."""

    now: float
    model: str

    @property
    def begin(self) -> float:
        return self.now - 25 * HOUR

    @property
    def end(self) -> float:
        return self.now + 10 * MINUTE

    def ago(self, hours: float) -> float:
        return self.now - hours * HOUR

    def engine(self, **values: object) -> EnginePast:
        """An engine that was scraped all day, calm unless told otherwise."""
        return EnginePast(**{"model": self.model, "begin": self.begin, "end": self.end} | values)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One row of the table. Gates that ``verdicts`` does not name must be PASS; ``says`` is in a sentence of theirs.

    ``past`` are the series of a model of the row's own name; ``like`` takes those of another row instead.
    ``on_victoria`` and ``victoria_says`` hold instead where VictoriaMetrics rightly comes to another verdict;
    docs/slo.md explains each such row. ``others`` are other deployed models with their selectors. ``soon``: its samples
    age, so it is judged before the others.
    """

    name: str
    verdicts: Mapping[str, Verdict]
    says: str
    past: Past = field(default=lambda _: ())
    like: str = ""
    landed_ago_s: float = SOAKED
    policy: str = ""
    selector: str = ""
    kills: Callable[[datetime], tuple[Killed, ...]] = field(default=lambda _: ())
    skew_s: float = 0.0
    down: bool = False
    stale_s: float = 60.0
    on_victoria: Mapping[str, Verdict] | None = None
    victoria_says: str = ""
    soon: bool = False
    others: Mapping[str, str] = field(default_factory=dict)

    def right(self, *, victoria: bool) -> tuple[Mapping[str, Verdict], str]:
        """The right verdicts, and what is in a sentence, on one of the sources."""
        if victoria and self.on_victoria is not None:
            return self.on_victoria, self.victoria_says
        return self.verdicts, self.says

    def lines(self, now: float) -> Iterable[Line]:
        """The series of this situation's model."""
        for each in self.past(Moment(now, self.name)):
            yield from each.lines() if isinstance(each, EnginePast) else (each,)

    def policy_toml(self) -> bytes:
        """The policy it is judged by: its own, plus the selector of its model."""
        selector = self.selector or f'model="{self.like or self.name}"'
        selectors = {self.name: selector, **self.others}
        tables = "".join(f"[model.{name}]\nselector = '{each}'\n" for name, each in selectors.items())
        return f"{self.policy}\n{tables}".encode()

    def subject(self, now: datetime) -> SoakSubject:
        """The artifact that soaks."""
        landed = now - timedelta(seconds=self.landed_ago_s)
        return SoakSubject(self.name, f"{self.name}_v2026_02_16_001", "5" * 64, landed, others=tuple(self.others))
