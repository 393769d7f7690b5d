"""Facts wrap beside their label; comparisons mark what differs; texts and inputs are quiet."""

from __future__ import annotations

from support.widget_host import shown, staged
from textual.content import Content

from widgets.facts import ComparisonRows, Fact, Facts, RowView
from widgets.quiet_widget import LineInput, TextView

DIGEST = "0123456789abcdef" * 4


async def test_a_long_value_wraps_beside_its_label_and_stays_whole() -> None:
    facts = Facts()
    facts.facts = (Fact.of("digest", DIGEST), Fact.of("on", "main"))
    async with staged(facts, (40, 10)):
        rows = shown(facts)
    assert rows[0].startswith("digest     0123")
    assert rows[1].startswith(" " * 11 + "d")
    assert "".join(row[11:] for row in rows[:3]) == DIGEST
    assert rows[3] == "on         main"


async def test_a_headline_takes_the_whole_width_and_no_facts_take_no_room() -> None:
    facts = Facts()
    async with staged(facts, (40, 10)) as stage:
        assert not facts.display
        facts.facts = (Fact("", Content("PUSHED")), Fact.of("branch", "x"))
        await stage.pilot.pause()
        assert facts.display
        assert shown(facts)[0] == "PUSHED"


async def test_several_values_stand_under_one_label_and_hostile_text_is_shown() -> None:
    facts = Facts()
    facts.facts = tuple(Fact.lines("warning", ("[b]one[/b]", "two\x1b[2J")))
    async with staged(facts, (40, 10)):
        rows = shown(facts)
    assert rows[0] == "warning    [b]one[/b]"
    assert rows[1].startswith(" " * 11 + "two")
    assert "\x1b" not in rows[1]


async def test_rows_that_differ_are_marked_and_can_be_shown_alone() -> None:
    rows = ComparisonRows()
    rows.rows = (RowView("size", "10", "20"), RowView("opset", "17", "17"), RowView("sha", "a", "b"))
    async with staged(rows, (60, 10)) as stage:
        await stage.pilot.pause()
        assert ["≠" in line for line in shown(rows)[:3]] == [True, False, True]
        rows.only_differences = True
        await stage.pilot.pause()
        rows.cursor = 1
        assert rows.chosen == rows.rows[2]


async def test_a_text_scrolls_from_its_top_and_interprets_nothing() -> None:
    view = TextView()
    view.text = "\n".join(f"[b]{number}" for number in range(50))
    async with staged(view, (30, 5)) as stage:
        view.focus()
        await stage.pilot.press("end")
        await stage.pilot.pause()
        assert view.scroll_y > 0
        view.text = "[/x] other"
        await stage.pilot.pause()
        assert view.scroll_y == 0
        assert shown(view.children[0])[0] == "[/x] other"


async def test_an_idle_input_does_not_blink() -> None:
    field = LineInput(id="reason", max_length=5)
    async with staged(field):
        field.focus()
        assert not field.cursor_blink
