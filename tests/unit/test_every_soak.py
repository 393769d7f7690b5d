"""Every soak is judged for a status, and in the background a few at a time: the twentieth is not left out."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from click.testing import CliRunner
from fakes import NOW, board, healthy_model, sha, soak_report

from console.verbs.looking import status
from ml.board import Board, SoakReport
from ml.errors import Unavailable
from ml.registry.schema import Model, Pointer
from ml.session.context import Context
from ml.session.registries import Base, Registries
from ml.session.soaks import Soaks
from ml.verdict import Verdict

AT_A_TIME = 4
NAMES = [f"m{number:02}" for number in range(20)]
SHADOW = Model(shadow=Pointer(artifact_id="a", artifact_dir="artifacts/onnx/a", model_sha256=sha("a")))


class Counting(Soaks):
    """Judges by a table, and notes who was judged, how often, and how many at once."""

    def __init__(self, verdicts: dict[str, Verdict] | None = None) -> None:
        base = cast("Base", SimpleNamespace(model=lambda _: SHADOW))
        context = SimpleNamespace(clock=SimpleNamespace(now=lambda: NOW))
        super().__init__(cast("Context", context), cast("Registries", SimpleNamespace(now=lambda: base)))
        self.verdicts = verdicts or {}
        self.judged: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.counting = threading.Lock()
        self.at_work = self.most = 0

    def judge(self, name: str, base: Base | None = None) -> SimpleNamespace:  # type: ignore[override]
        with self.counting:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self.gate.wait(10)
        silent = [each for each, verdict in self.verdicts.items() if verdict is Verdict.ERROR]
        deadline = time.monotonic() + 10
        while silent and name > silent[0] and self._due and time.monotonic() < deadline:
            time.sleep(0.001)  # until the round noticed the silence
        with self.counting:
            self.at_work -= 1
            self.judged.append(name)
        if self.verdicts.get(name) is Verdict.NO_DATA:
            raise Unavailable("It cannot be judged.", "Wait.")
        report = soak_report(
            model=name, artifact_id="a", model_sha256=sha("a"), verdict=self.verdicts.get(name, Verdict.PASS)
        )
        self._reports[name] = report
        return SimpleNamespace(report=report)

    def wait(self) -> None:
        assert self._judging is not None
        self._judging.join(10)


def test_whoever_waits_gets_all_of_them_each_judged_once() -> None:
    soaks = Counting()
    soaks.judge_all(NAMES)
    assert sorted(soaks.judged) == NAMES
    soaks.judge_all(NAMES)
    assert sorted(soaks.judged) == NAMES  # their reports are fresh


def test_what_the_background_judges_already_is_not_judged_twice() -> None:
    soaks = Counting()
    soaks.gate.clear()
    soaks.keep_fresh(NAMES, NOW)
    waiting = threading.Thread(target=soaks.judge_all, args=(NAMES,))
    waiting.start()
    soaks.gate.set()
    waiting.join(10)
    soaks.wait()
    assert sorted(soaks.judged) == NAMES


def test_one_that_cannot_be_judged_keeps_nobody_else_from_it() -> None:
    soaks = Counting({"m03": Verdict.NO_DATA})
    soaks.judge_all(NAMES)
    assert sorted(soaks.judged) == NAMES


def test_the_background_goes_through_all_and_rests_where_the_source_fell_silent() -> None:
    soaks = Counting()
    soaks.keep_fresh(NAMES, NOW)
    soaks.wait()
    assert sorted(soaks.judged) == NAMES
    silent = Counting({"m05": Verdict.ERROR})
    silent.keep_fresh(NAMES, NOW)
    silent.wait()
    first, rest = set(silent.judged), set(NAMES) - set(silent.judged)
    assert set(NAMES[:6]) <= first
    assert len(silent.judged) == len(first) < 6 + AT_A_TIME  # only those that were begun beside it
    silent.verdicts = {}
    silent.judged.clear()
    silent.gate.clear()
    silent.keep_fresh(NAMES, NOW + timedelta(seconds=5))
    silent.gate.set()
    silent.wait()
    assert set(silent.judged) == rest  # those that were left out come first; the others are fresh


def test_the_background_judges_a_few_side_by_side_and_no_more() -> None:
    soaks = Counting()
    soaks.gate.clear()
    soaks.keep_fresh(NAMES, NOW)
    deadline = time.monotonic() + 10
    while soaks.at_work < AT_A_TIME and time.monotonic() < deadline:
        time.sleep(0.005)
    assert soaks.at_work == AT_A_TIME
    soaks.keep_fresh(NAMES, NOW + timedelta(minutes=2))  # one round at a time
    assert soaks.at_work == AT_A_TIME
    soaks.gate.set()
    soaks.wait()
    assert soaks.most == AT_A_TIME
    assert sorted(soaks.judged) == NAMES


@pytest.mark.parametrize("options", [(), ("--short",), ("--json",)])
def test_status_waits_for_every_soak_in_every_form(options: tuple[str, ...]) -> None:
    judged: dict[str, SoakReport] = {}
    calm = healthy_model("m")

    def shown() -> Board:
        return board(*(replace(calm, name=name, soak=judged.get(name)) for name in NAMES))

    def judge(names: list[str]) -> None:
        judged.update({name: soak_report(model=name) for name in names})

    settings = SimpleNamespace(standing=None, own_file_left_out=())
    session = SimpleNamespace(boards=SimpleNamespace(poll=shown), soaks=SimpleNamespace(judge_all=judge))
    session = SimpleNamespace(as_json=False, settings=settings, session=session)
    CliRunner().invoke(status, list(options), obj=session, standalone_mode=False, catch_exceptions=False)
    assert list(judged) == NAMES
