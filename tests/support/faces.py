"""What each face of the product says of a model, read back from what it draws or prints, as a verdict."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace

from click.testing import CliRunner
from fakes import NOW

from console.short import short
from console.verbs.looking import status
from ml.board import Board, ModelView
from ml.verdict import Verdict, worst
from widgets.checklist import gate_summary
from widgets.drawing import MARKS, UNICODE
from widgets.model_list import ModelList
from widgets.stage_pane import StagePane

_TITLES = {"SOAKED": Verdict.PASS, "SOAKING": Verdict.WAIT, "BREACHED": Verdict.FAIL, "UNJUDGED": Verdict.VACUOUS}
_CODES = {0: Verdict.PASS, 1: Verdict.FAIL, 3: Verdict.ERROR}


def proven(model: ModelView) -> Verdict:
    """What the model's facts prove, worked out without the product's own function."""
    found = []
    for readings in (model.readings, model.active_readings):
        blocking = [reading for reading in readings if reading.gate]
        found += [reading.verdict for reading in blocking or readings]
    found += [gate.verdict for gate in model.gates]
    found += [Verdict.FAIL for problem in model.problems if problem.severe]
    found += [Verdict.WAIT] if model.step and not model.gates else []
    found += [Verdict.STALE] if model.silent else []
    return worst(found)


def gate_proves(model: ModelView) -> Verdict:
    """What the gates alone prove of the next step."""
    return worst(gate.verdict for gate in model.gates) if model.gates else Verdict.WAIT


def of_row(models: ModelList, model: ModelView) -> Verdict:
    models.models = (model,)
    return _first_word(models.row(0).plain)


def of_shadow_pane(pane: StagePane, model: ModelView) -> Verdict | None:
    """The word in the title; ``None`` where it says nothing of the soak."""
    pane.now, pane.checking, pane.model = NOW, False, model
    _, _, word = str(pane.border_title).partition(" · ")
    return _TITLES[word] if word else None


def of_gate_line(model: ModelView) -> Verdict | None:
    """``OPEN`` is PASS; ``None`` where no step is possible."""
    told = gate_summary(model, UNICODE).plain
    if "no promotion is possible" in told:
        return None
    if told.endswith("· OPEN"):
        return Verdict.PASS
    words = {MARKS[verdict].word: verdict for verdict in Verdict if verdict is not Verdict.PASS}
    found = [verdict for word, verdict in words.items() if re.search(rf"\b{word}\b", told)]
    assert found, told
    return worst(found)


class _Session:
    """A session with one board."""

    def __init__(self, board: Board) -> None:
        self.as_json = False
        self.session = self
        self.settings = SimpleNamespace(standing=None, own_file_left_out=())
        self.boards = SimpleNamespace(poll=lambda: board)
        self.soaks = SimpleNamespace(judge_all=lambda models: None)  # nothing is judged any more


def _run(board: Board, *words: str) -> tuple[int, str]:
    ended = CliRunner().invoke(status, list(words), obj=_Session(board), standalone_mode=False)
    if ended.exception is not None:
        raise ended.exception
    return ended.return_value, ended.stdout


def of_status(board: Board) -> Verdict:
    _, out = _run(board)
    return Verdict(re.findall(r"^  \[(\w+)\]", out, re.MULTILINE)[0])


def of_exit_codes(board: Board) -> tuple[Verdict, ...]:
    return tuple(_CODES[_run(board, *words)[0]] for words in ((), ("--short",), ("--json",)))


def of_json(board: Board) -> tuple[Verdict, Verdict]:
    """Of the whole document, and of its first model."""
    document = json.loads(_run(board, "--json")[1])
    return Verdict(document["verdict"]), Verdict(next(iter(document["models"].values()))["verdict"])


def of_short(board: Board) -> Verdict:
    word = short(board).partition(f"{board.models[0].name}:")[2]
    assert _run(board, "--short")[1].strip() == short(board)
    return Verdict.PASS if word == "ok" else Verdict(word.split()[-1])


def _first_word(row: str) -> Verdict:
    words: Mapping[str, Verdict] = {MARKS[verdict].word: verdict for verdict in Verdict}
    return next(verdict for word, verdict in words.items() if re.match(rf"\W*{word}\b", row))


OF_BOARD: Mapping[str, Callable[[Board], Verdict | tuple[Verdict, ...]]] = {
    "status": of_status,
    "--short": of_short,
    "--json": of_json,
    "exit codes": of_exit_codes,
}
