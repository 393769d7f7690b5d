"""The changes that have not landed yet, one line each."""

from __future__ import annotations

from datetime import datetime

from textual.content import Content
from textual.reactive import var

from ml.board import OpenBranch
from ml.text import visible
from widgets.ages import age
from widgets.cut import cut
from widgets.glyphs import Glyphs, glyphs_of
from widgets.still import Still


class BranchLines(Still):
    """At ``most`` so many of ``branches`` under a heading, or a single one beside it; hidden while there are none."""

    DEFAULT_CSS = """
    BranchLines { height: auto; text-wrap: nowrap; }
    """

    branches: var[tuple[OpenBranch, ...]] = var(())
    now: var[datetime | None] = var(None)

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def watch_branches(self, branches: tuple[OpenBranch, ...]) -> None:
        """Nothing open takes no room."""
        self.display = bool(branches)
        self.renew(layout=True)

    def watch_now(self) -> None:
        """Ages grow."""
        self.renew()

    def content(self) -> Content:
        """Heading and branches."""
        if self.now is None or not self.branches:
            return Content("")
        glyphs = glyphs_of(self.app)
        more = len(self.branches) - self._most
        head = Content.assemble(("OPEN CHANGES", "bold"), (f" +{more} more" if more > 0 else "", "$quiet"))
        lines = [branch_line(branch, self.now, glyphs) for branch in self.branches[: self._most]]
        lines = [head + lines[0]] if self._most == 1 else [head, *lines]
        return Content("\n").join([cut(line, self.size.width, glyphs) for line in lines])


def branch_line(branch: OpenBranch, now: datetime, glyphs: Glyphs) -> Content:
    """What it would do, whether the remote has it, since when and by whom."""
    where = ("pushed", "$quiet") if branch.pushed else ("local only, `mlconsole push` sends it", "$verdict-unknown")
    hop = f"{glyphs.arrow} {visible(branch.to_stage, limit=20)}"
    what = f"  {visible(branch.action, limit=20)} {visible(branch.artifact_id, limit=80)} {hop}  "
    by = f"  {age(branch.at, now)} ago by {visible(branch.by, limit=60)}"
    return Content.assemble(what, where, (by, "$quiet"))
