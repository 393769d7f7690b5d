"""A list costs what is visible, repaints what differs, and is moved through by arrows and vim keys."""

from __future__ import annotations

from support.widget_host import shown, staged
from textual.content import Content

from widgets.row_list import RowList


class Numbers(RowList):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.words: dict[int, str] = {}
        self.set_reactive(RowList.count, count)

    def on_mount(self) -> None:
        super().on_mount()
        self.watch_count(0, self.count)
        self.styles.height = 10
        self.focus()

    def row(self, index: int) -> Content:
        self.asked.append(index)
        return Content(self.words.get(index, f"row {index}"))


async def test_only_visible_rows_are_asked_for() -> None:
    rows = Numbers(100_000)
    async with staged(rows) as stage:
        await stage.pilot.pause()
        assert max(rows.asked) < 30
        await stage.pilot.press("end")
        assert shown(rows)[-1] == "row 99999"
        assert len(set(rows.asked)) < 60


async def test_renewing_repaints_only_what_differs() -> None:
    rows = Numbers(10)
    async with staged(rows) as stage:
        await stage.pilot.pause()
        painted: list[int] = []
        rows.refresh_line = painted.append  # type: ignore[method-assign, assignment]
        rows.renew()
        assert painted == []
        rows.words[3] = "changed"
        rows.renew()
        assert painted == [3]


async def test_arrows_pages_and_vim_keys_move_inside_the_list() -> None:
    rows = Numbers(50)
    async with staged(rows) as stage:
        for key, cursor in (
            ("up", 0), ("down", 1), ("j", 2), ("k", 1), ("pagedown", 10), ("G", 49), ("down", 49), ("g", 0)
        ):  # fmt: skip
            await stage.pilot.press(key)
            assert rows.cursor == cursor, key
        assert [moved.index for moved in stage.heard(RowList.Moved)][-1] == 0


async def test_the_cursor_stays_visible_and_inside_when_the_list_shrinks() -> None:
    rows = Numbers(50)
    async with staged(rows) as stage:
        await stage.pilot.press("end")
        assert shown(rows)[-1] == "row 49"
        rows.count = 5
        await stage.pilot.pause()
        assert rows.cursor == 4
        assert shown(rows)[:5] == [f"row {n}" for n in range(5)]


async def test_a_long_row_is_cut_with_a_mark() -> None:
    rows = Numbers(1)
    rows.words[0] = "x" * 200
    async with staged(rows, (40, 12)) as stage:
        await stage.pilot.pause()
        assert shown(rows)[0] == "x" * 39 + "…"
