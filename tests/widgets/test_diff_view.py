"""The diff is folded, signed, and safe to print."""

from __future__ import annotations

from support.widget_host import shown, staged

from widgets.diff_view import DiffView, LineKind, diff_lines, fold

DIFF = '--- a/models.json\n+++ b/models.json\n@@ -1,3 +1,3 @@\n {\n-  "id": "old"\n+  "id": "new"\n }\n'


def test_each_line_gets_its_kind_and_sign() -> None:
    kinds = [(line.kind, line.sign) for line in diff_lines(DIFF)]
    assert kinds == [
        (LineKind.FILE, " "),
        (LineKind.FILE, " "),
        (LineKind.HUNK, " "),
        (LineKind.CONTEXT, " "),
        (LineKind.REMOVED, "-"),
        (LineKind.ADDED, "+"),
        (LineKind.CONTEXT, " "),
    ]


def test_a_long_line_is_folded_and_keeps_every_letter_and_its_sign() -> None:
    digest = "0123456789abcdef" * 4
    rows = fold(diff_lines(f"+{digest}\n"), 22)
    assert {row.sign for row in rows} == {"+"}
    assert "".join(row.text for row in rows) == digest
    assert max(len(row.text) for row in rows) == 20


def test_control_characters_are_shown_not_sent() -> None:
    (line,) = diff_lines("+a\x1b[31mb\u202ec")
    assert "\x1b" not in line.text
    assert "\u202e" not in line.text


async def test_it_scrolls_by_keys_and_starts_each_diff_at_its_top() -> None:
    view = DiffView()
    view.diff = "".join(f"+line {number}\n" for number in range(100))
    async with staged(view, (40, 10)) as stage:
        view.focus()
        await stage.pilot.press("end")
        await stage.pilot.pause()
        assert view.scroll_y > 0
        view.diff = DIFF
        await stage.pilot.pause()
        assert view.scroll_y == 0


async def test_an_empty_diff_says_so() -> None:
    view = DiffView()
    async with staged(view, (40, 5)) as stage:
        await stage.pilot.pause()
        assert "No difference." in shown(view.children[0])[0]
