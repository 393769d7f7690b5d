"""Mutation testing of the soak judge and the gate: ``python -m scripts.mutate [judge|gate] …``; ``make mutate``.

Cosmic-ray finds the places that can be changed and makes each change. This program takes a sample of them with a fixed
seed and runs the unit tests against each one. A change that no test notices *survives*: its difference is printed, and
it is either a missing test or a change without consequences. No file is changed: each run is a process of its own that
imports the changed module from memory. The command ends in 1 when a change survives, and in 2 when the tests are red
without any change.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import hypothesis  # noqa: F401  # imported before each process is split off, because it is slow to import
import numpy  # noqa: F401
import pydantic  # noqa: F401
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parents[1]
SEED = 12
LONGEST_S = 120.0
"""A run that takes longer is a loop without end, and counts as noticed."""

_JUDGE_TESTS = ("judge", "inputs", "soak_gates", "tape", "tape_limits", "soak", "readings")
_GATE_TESTS = ("gate_rules", "gate_history", "gates", "received", "remeasured", "signers", "plan")
_COMPARISONS = (
    "Lt_LtE",
    "Lt_GtE",
    "LtE_Lt",
    "LtE_Gt",
    "Gt_GtE",
    "Gt_LtE",
    "GtE_Gt",
    "GtE_Lt",
    "Eq_NotEq",
    "NotEq_Eq",
    "Is_IsNot",
    "IsNot_Is",
)
_ARITHMETIC = ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul")
_OTHERS = (
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "AddNot",
    "ZeroIterationForLoop",
)
_SWAPS = (
    *(f"ReplaceComparisonOperator_{each}" for each in _COMPARISONS),
    *(f"ReplaceBinaryOperator_{each}" for each in _ARITHMETIC),
    *_OTHERS,
)
"""The changes that are made: the negation and the boundary of each comparison, and one other operator for each."""

_WITHOUT_CONSEQUENCES = ("@dataclass(", "TYPE_CHECKING", "strict=True", "assert ")
"""Text of lines that are left alone: a class without slots or an assertion for the type checker decides nothing."""


_KNOWN: Mapping[str, str] = {
    "first, last = lives.get(engine, ( 2, 0))": "a range that ends before it begins is empty, wherever it begins",
    "seen = next((moment_of(each.points[- 0][1]) for each in answer.series if each.points), None)": (
        "an answer about one moment has one point, which is the first and the last"
    ),
}
"""Changed lines that a person has looked at, each with the reason why it has no consequences."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Modules that are changed, and the tests that must notice it; paths relative to the repository."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]

    def tests_for(self, module: str) -> list[str]:
        """The tests, those that bear the module's name first, because they notice most and the first failure ends."""
        own = f"test_{Path(module).stem}"
        return sorted(self.tests, key=lambda test: not Path(test).stem.startswith(own))


GOALS = {
    "judge": Goal(
        tuple(f"ml/slo/{name}.py" for name in ("judge", "inputs", "soak_gates", "tape")),
        tuple(f"tests/unit/slo/test_{name}.py" for name in _JUDGE_TESTS),
    ),
    "gate": Goal(
        tuple(f"ml/promotion/gate/{name}.py" for name in ("authority", "scope", "transition", "evidence", "remeasure")),
        tuple(f"tests/unit/promotion/test_{name}.py" for name in _GATE_TESTS),
    ),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the ``occurrence``-th place of an operator in a module, at a line."""

    module: str
    operator: str
    occurrence: int
    line: int

    def source(self) -> str:
        """The text of the changed module."""
        changed = mutate_code(_text(self.module), get_operator(f"core/{self.operator}")(), self.occurrence)
        assert isinstance(changed, str)
        return changed

    @property
    def known(self) -> bool:
        """True where a person has found that the change has no consequences."""
        return any(line.strip() in _KNOWN for line in self.source().splitlines())

    def difference(self) -> str:
        """The change as a unified diff without context."""
        before, after = _text(self.module).splitlines(), self.source().splitlines()
        return "\n".join(difflib.unified_diff(before, after, self.module, self.operator, lineterm="", n=0))


def main() -> int:
    """Try a sample of changes and print what survived."""
    read = argparse.ArgumentParser(prog="mutate", description=(__doc__ or "").partition("\n")[0])
    read.add_argument(
        "goals", nargs="*", choices=[*GOALS, []], metavar="judge|gate", help="what is changed; all of it by default"
    )
    read.add_argument("--count", type=int, default=60, help="how many changes are tried of each goal; 0: all")
    read.add_argument("--seed", type=int, default=SEED)
    read.add_argument("--minutes", type=float, default=10.0, help="the longest time that one goal may take")
    read.add_argument("--only", default="", help="only modules with this text in their path")
    chosen = read.parse_args()
    return max([_goal(name, chosen) for name in chosen.goals or GOALS])


def _goal(name: str, chosen: argparse.Namespace) -> int:
    goal = GOALS[name]
    if not _passes(goal, None):
        print(f"{name}: the tests are red without any change; run pytest {' '.join(goal.tests)}", flush=True)
        return 2
    places = [each for module in goal.modules if chosen.only in module for each in mutants(module)]
    sample = places if not chosen.count else random.Random(chosen.seed).sample(places, min(chosen.count, len(places)))  # noqa: S311
    ends, tried, survived = time.monotonic() + chosen.minutes * 60, 0, 0
    for each in sample:
        if time.monotonic() > ends:
            break
        tried += 1
        if _passes(goal, each) and not each.known:
            survived += 1
            print(f"survived: {each.module}:{each.line}\n{each.difference()}\n", flush=True)
    print(
        f"{name}: mutants tried {tried}, survived {survived} ({len(places)} places, sample of {len(sample)}, "
        f"seed {chosen.seed})",
        flush=True,
    )
    return 1 if survived else 0


def mutants(module: str) -> Iterator[Mutant]:
    """All changes of a module that may have consequences."""
    text = _text(module)
    lines, tree = text.splitlines(), get_ast(text)
    for name in _SWAPS:
        operator = get_operator(f"core/{name}")()
        places = (start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node))
        for occurrence, (line, _) in enumerate(places):
            if not any(known in lines[line - 1] for known in _WITHOUT_CONSEQUENCES):
                yield Mutant(module, name, occurrence, line)


def _text(module: str) -> str:
    return (ROOT / module).read_text(encoding="utf-8")


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import one module from a changed text."""

    def __init__(self, name: str, path: Path, text: str) -> None:
        self.name, self.path, self.text = name, path, text

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The changed module's spec; every other module is imported as usual."""
        del path, target
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=str(self.path))

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed text."""
        exec(compile(self.text, str(self.path), "exec"), module.__dict__)  # noqa: S102


def _passes(goal: Goal, mutant: Mutant | None) -> bool:
    """Tell if all tests pass in a process of their own, with one change or with none."""
    text = mutant.source() if mutant else ""
    child = os.fork()
    if child == 0:
        _test(goal, mutant, text)
    try:
        return _ends_well(child)
    except KeyboardInterrupt:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        raise


def _ends_well(child: int) -> bool:
    """Wait for a process; one that takes too long does not end well."""
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _test(goal: Goal, mutant: Mutant | None, text: str) -> None:
    """Run the tests in this process and end it."""
    code = 1
    try:
        os.setsid()
        os.chdir(ROOT)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        if mutant:
            name = mutant.module.removesuffix(".py").replace("/", ".")
            sys.meta_path.insert(0, _Changed(name, ROOT / mutant.module, text))
        with tempfile.TemporaryDirectory(prefix="mlconsole-mutate-") as folder:
            os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
            quiet = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0")
            code = int(pytest.main([*quiet, *goal.tests_for(mutant.module if mutant else "")]))
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
