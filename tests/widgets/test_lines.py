"""The one-line widgets: gate, problems, keys, open changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import BLOCKED_GATES, NOW, OPEN_GATES, board, error_rate, model_view, p99, p999
from support.widget_host import shown, staged

from ml.board import Problem
from widgets.banners import ProblemLine
from widgets.checklist import GateList, gate_summary
from widgets.drawing import ASCII, UNICODE
from widgets.event_list import BranchLines
from widgets.status_line import MOST_KEYS, KeyHint, KeyLine


def test_the_gate_line_sums_up_and_never_opens_on_nothing() -> None:
    blocked = gate_summary(model_view(), UNICODE).plain
    assert blocked == "GATE shadow→active · window 24h · BLOCKED: 1 FAIL · 1 NO DATA · 3 WAIT"
    well = model_view(gates=OPEN_GATES, readings=(p99(), p999()))
    assert gate_summary(well, UNICODE).plain.endswith("· OPEN")
    # What is read now of an objective is worse than what the soak said of it a minute ago.
    assert gate_summary(replace(well, readings=(error_rate(),)), UNICODE).plain.endswith("· BLOCKED: 1 FAIL")
    assert gate_summary(replace(well, silent="It is down."), UNICODE).plain.endswith("· BLOCKED: 9 STALE")
    assert gate_summary(model_view(gates=()), UNICODE).plain.endswith("not judged yet")
    assert "no promotion is possible" in gate_summary(model_view(step=""), UNICODE).plain
    assert gate_summary(model_view(), ASCII).plain.replace("·", "").isascii()


async def test_gates_are_listed_most_severe_first() -> None:
    gates = GateList()
    async with staged(gates) as stage:
        gates.gates = BLOCKED_GATES
        await stage.pilot.pause()
        words = [line.split()[1] for line in shown(gates)]
        assert words[:3] == ["FAIL", "NO", "WAIT"]
        assert words[-1] == "PASS"


async def test_the_problem_line_shows_the_severe_one_and_counts_the_rest() -> None:
    line = ProblemLine()
    async with staged(line) as stage:
        line.problems = (
            Problem("origin", "Fetched 3 m ago.", severe=False),
            Problem("regime", "Merged but not deployed.", "Deploy it."),
        )
        await stage.pilot.pause()
        assert shown(line) == ["! regime: Merged but not deployed. Deploy it.  (+1 more)"]
        line.problems = ()
        await stage.pilot.pause()
        assert shown(line) == [""]


async def test_at_most_eight_keys_are_shown() -> None:
    line = KeyLine()
    async with staged(line, (200, 3)) as stage:
        line.keys = tuple(KeyHint(str(n), f"key{n}") for n in range(12))
        await stage.pilot.pause()
        assert shown(line)[0].count("key") == MOST_KEYS


async def test_a_narrow_terminal_keeps_the_kill_key_and_the_help() -> None:
    line = KeyLine()
    async with staged(line, (60, 3)) as stage:
        names = ("1 Stages", "2 Soak", "3 History", "4 Log", "p Promote", "r Rollback", "F9 KILL", "? Keys")
        line.keys = tuple(KeyHint(*name.split()) for name in names)
        await stage.pilot.pause()
        assert shown(line)[0].rstrip() == "1 Stages  2 Soak  3 History  r Rollback  F9 KILL  ? Keys"


async def test_open_changes_are_counted_and_local_ones_told() -> None:
    lines = BranchLines(most=1)
    (branch,) = board().registry.branches
    async with staged(lines, (160, 4)) as stage:
        assert not lines.display
        lines.now, lines.branches = NOW, (replace(branch, pushed=False), branch)
        await stage.pilot.pause()
        (line,) = shown(lines)
        assert line.startswith("OPEN CHANGES +1 more  promote regime_v2026_02_16_001 → active  local only")
        assert line.endswith("2h00m ago by developer@example.com")


@pytest.mark.parametrize(
    ("pushed", "words"),
    [
        (True, "OPEN promote regime_v2026_02_16_001 → active pushed by developer@example.com"),
        (False, "OPEN promote regime_v2026_02_16_001 → active local only: `mlconsole push` 2h00m"),
    ],
)
async def test_an_open_change_names_its_author_or_its_command_in_80_columns(pushed: bool, words: str) -> None:
    lines = BranchLines(most=1)
    (branch,) = board().registry.branches
    async with staged(lines, (80, 4)) as stage:
        lines.now, lines.branches = NOW, (replace(branch, pushed=pushed),)
        await stage.pilot.pause()
        assert shown(lines) == [words]


async def test_several_open_changes_name_their_authors_in_80_columns() -> None:
    lines = BranchLines(most=4)
    (branch,) = board().registry.branches
    async with staged(lines, (80, 4)) as stage:
        lines.now, lines.branches = NOW, (branch, replace(branch, by="a" * 90))
        await stage.pilot.pause()
        head, whole, cut = map(str.strip, shown(lines))
        assert head == "OPEN CHANGES  key 5 opens them"
        assert whole == "promote regime_v2026_02_16_001 → active pushed 2h00m by developer@example.com"
        assert cut.startswith("promote regime_v2026_02_16_001 → active pushed by aaa")
        assert cut.endswith("…")


def test_the_gate_line_leaves_out_the_window_before_a_verdict() -> None:
    whole = gate_summary(model_view(), UNICODE).plain
    assert " · window 24h · " in whole
    narrow = gate_summary(model_view(), UNICODE, len(whole) - 1).plain
    assert narrow == whole.replace(" · window 24h", "")
