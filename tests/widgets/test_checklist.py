"""The checklist shows each gate's verdict in words, the chosen one in full, and asks for waivers."""

from __future__ import annotations

from fakes import BLOCKED_GATES
from support.widget_host import screen, staged

from ml.verdict import Gate, Verdict
from widgets.checklist import ChecklistView, GateRows

LATENCY = Gate(name="p99", verdict=Verdict.FAIL, why="142 ms is not below 100 ms.", value=142.0, limit=100.0, unit="ms")


def listing(*gates: Gate) -> ChecklistView:
    view = ChecklistView()
    view.gates = gates
    return view


async def test_every_verdict_is_told_by_word_and_glyph() -> None:
    view = listing(*(Gate(name=str(verdict).lower(), verdict=verdict, why="Because.") for verdict in Verdict))
    async with staged(view, (100, 20)):
        text = "\n".join(screen(view))
        for words in ("✓ PASS", "≈ WAIVED", "… WAIT", "~ STALE", "? NO DATA", "○ VACUOUS", "! ERROR", "✗ FAIL"):
            assert words in text


async def test_ascii_only_draws_no_other_character() -> None:
    view = listing(*BLOCKED_GATES, LATENCY)
    async with staged(view, (80, 20), ascii_only=True) as stage:
        await stage.pilot.press("tab", "down")
        assert "\n".join(screen(view)).isascii()


async def test_value_limit_and_why_stand_in_columns() -> None:
    view = listing(LATENCY)
    async with staged(view, (80, 10)):
        head, row, *_ = screen(view)
        assert row[head.index("GATE") :].startswith("p99")
        assert row[: head.index("VALUE") + len("VALUE")].endswith("142 ms")
        assert row[: head.index("LIMIT") + len("LIMIT")].endswith("100 ms")
        assert row[head.index("WHY") :].startswith("142 ms is not")


async def test_keys_choose_a_gate_and_show_its_whole_sentence() -> None:
    long = Gate(name="alerts", verdict=Verdict.ERROR, why="The rule is not loaded in Prometheus. " * 3)
    view = listing(LATENCY, long)
    async with staged(view, (60, 12)) as stage:
        await stage.pilot.press("tab", "down", "down", "down")
        assert view.query_one(GateRows).chosen is long
        assert long.why.strip() in " ".join(" ".join(screen(view)[3:]).split())
        await stage.pilot.press("k", "k", "k")
        assert view.query_one(GateRows).chosen is LATENCY


async def test_w_asks_to_waive_the_chosen_gate() -> None:
    view = listing(*BLOCKED_GATES)
    async with staged(view, (80, 20)) as stage:
        await stage.pilot.press("tab", "down", "w")
        assert [asked.gate.name for asked in stage.heard(GateRows.WaiverAsked)] == ["p99"]


async def test_a_gate_that_can_never_be_waived_says_so() -> None:
    view = listing(Gate(name="verify", verdict=Verdict.FAIL, why="model.onnx differs.", waivable=False))
    async with staged(view, (80, 10)):
        assert any("never be waived" in line for line in screen(view))


async def test_a_shorter_list_keeps_the_choice_inside() -> None:
    view = listing(*BLOCKED_GATES)
    async with staged(view, (80, 20)) as stage:
        view.query_one(GateRows).cursor = 8
        view.gates = (LATENCY,)
        await stage.pilot.pause()
        assert view.query_one(GateRows).chosen is LATENCY


async def test_outside_text_is_shown_not_interpreted() -> None:
    view = listing(Gate(name="x[b]\x1b[2J", verdict=Verdict.FAIL, why="[@click=app.quit]evil[/] \u202eback \x9b"))
    async with staged(view, (100, 10)):
        text = "\n".join(screen(view))
        assert "[@click=app.quit]evil[/]" in text
        assert not {"\x1b", "\u202e", "\x9b"} & set(text)
