"""Draws lives of attacked repositories from a seed, and shrinks one that went wrong to the moves that matter.

It does what hypothesis's stateful testing does, which spent most of its pushes on what it had tried before; a push
costs a fifth of a second. What was tried on the same state is not tried again, a run ends at exactly the pushes that
were asked for, and shrinking takes a bounded number of replays.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STEPS_OF_A_LIFE = 18
REPLAYS = 60


@dataclass(frozen=True)
class Move:
    """One call of a rule."""

    name: str
    arguments: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments)})"


def rule(weight: float = 1.0, **choices: Sequence[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark a method as a rule: how often it is drawn, and what each of its arguments is drawn from."""

    def mark(method: Callable[..., None]) -> Callable[..., None]:
        method.drawn = (weight, choices)  # type: ignore[attr-defined]
        return method

    return mark


@dataclass
class Tally:
    """What a whole run counted."""

    most: int
    pushes: int = 0
    accepted: int = 0
    illegal: int = 0
    seconds: float = 0.0
    honest: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unplanned: Counter[str] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set, repr=False)
    holes: dict[str, str] = field(default_factory=dict, repr=False)


class Wrong(AssertionError):
    """Something illegal landed, or something legal was refused. ``kind`` stays the same while a life is shrunk."""

    def __init__(self, what: str, story: Sequence[str]) -> None:
        super().__init__(what)
        self.what, self.story = what, tuple(story)
        self.moves: tuple[Move, ...] = ()
        self.kind = re.sub(r"[0-9a-f]{6,}|\d+|regime_\S+|\S+@\S+", "…", what.partition(";")[0])

    @property
    def name(self) -> str:
        """The kind, and the move that ended it."""
        last = self.moves[-1]
        return f"{self.kind} {last.name} {dict(last.arguments).get('what', '')}"

    def __str__(self) -> str:
        told = [f"  {number}. {line}" for number, line in enumerate(self.story, start=1)]
        return "\n".join(
            [self.what, "after this:", *told, "which are the moves:", *(f"  {move}" for move in self.moves)]
        )


def drawn(life: type[Any], seeded: random.Random) -> Sequence[Move]:
    """One life's moves; each life leaves some rules out, so that lives differ."""
    rules = {name: method.drawn for name in dir(life) if hasattr(method := getattr(life, name), "drawn")}
    weights = {name: weight for name, (weight, _) in rules.items() if name != "begin" and seeded.random() > 0.3}
    names = ["begin", *seeded.choices(list(weights), list(weights.values()), k=STEPS_OF_A_LIFE)]
    return [Move(name, _arguments(rules[name][1], seeded)) for name in names]


def _arguments(choices: Mapping[str, Sequence[Any]], seeded: random.Random) -> tuple[tuple[str, Any], ...]:
    return tuple((name, seeded.choice(values)) for name, values in choices.items())


def lived(life: type[Any], moves: Sequence[Move], *, replayed: bool, full: Callable[[], bool]) -> Wrong | None:
    """Live one life; what went wrong in it, if anything."""
    one = life(replayed=replayed)
    for at, move in enumerate(moves):
        if full():
            return None
        try:
            getattr(one, move.name)(**dict(move.arguments))
        except Wrong as wrong:
            wrong.moves = (*moves[: at + 1],)
            return wrong
    return None


def run(life: type[Any], tally: Tally, seed: int, *, go_on: bool = False) -> None:
    """Attack until enough was pushed. Raises Wrong with a shrunk life, or keeps it in ``tally.holes`` and goes on."""
    seeded = random.Random(seed)
    while tally.pushes < tally.most:
        wrong = lived(life, drawn(life, seeded), replayed=False, full=lambda: tally.pushes >= tally.most)
        if wrong is None or (go_on and wrong.name in tally.holes):
            continue
        at, name = tally.pushes, wrong.name
        shrunk = _shrunk(life, wrong)
        if not go_on:
            raise shrunk
        tally.holes[name] = f"found by push {at}: {shrunk}"
        print(tally.holes[name], end="\n\n", flush=True)  # noqa: T201 a long run shows what it has


def _shrunk(life: type[Any], wrong: Wrong) -> Wrong:
    """The same wrong by fewer moves, within a bounded number of replays; the last move or two are tried first."""
    tried: list[Sequence[Move]] = []

    def again(fewer: Sequence[Move]) -> Wrong | None:
        if fewer in tried or len(tried) >= REPLAYS or len(fewer) >= len(wrong.moves):
            return None
        tried.append(fewer)
        found = lived(life, fewer, replayed=True, full=lambda: False)
        return found if found and found.kind == wrong.kind else None

    begin, *others, last = wrong.moves
    for fewer in ([begin, last], *([begin, other, last] for other in reversed(others))):
        if found := again(fewer):
            return found
    size = max(1, len(others) // 2)
    while size:
        at = 1
        while at < len(wrong.moves) - 1:
            found = again([*wrong.moves[:at], *wrong.moves[at + size :]])
            wrong, at = (found, at) if found else (wrong, at + size)
        size //= 2
    return wrong
