"""Drafts are written one at a time, the newest last, whatever happens to the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from console.screens.promote.controller import DraftKeeper
from ml.errors import ConsoleError
from ml.records.drafts import Draft, Drafts
from ml.stage import Stage


def draft(reason: str) -> Draft:
    return Draft(model="regime", to_stage=Stage.ACTIVE, model_sha256="a" * 64, reason=reason)


class SlowDrafts(Drafts):
    """Takes each draft only when it is let, and notes it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.kept: list[str] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def keep(self, draft: Draft) -> None:
        self.begun.set()
        assert self.go_on.wait(10)
        self.kept.append(draft.reason)
        super().keep(draft)


def on_threads(started: list[threading.Thread]) -> Callable[..., None]:
    def start(
        name: str, action: Callable[[], None], then: Callable[[None], None], failed: Callable[[ConsoleError], None]
    ) -> None:
        thread = threading.Thread(target=action, name=name)
        started.append(thread)
        thread.start()

    return start


def test_what_comes_during_a_write_is_written_after_it_and_only_the_newest(tmp_path: Path) -> None:
    drafts, threads = SlowDrafts(tmp_path), list[threading.Thread]()
    keeper = DraftKeeper(drafts, on_threads(threads), lambda error: None)
    keeper.keep(draft("S"))
    assert drafts.begun.wait(10)
    for typed in ("So", "Soa", "Soak"):
        keeper.keep(draft(typed))
    drafts.go_on.set()
    for thread in threads:
        thread.join(10)
    assert drafts.kept == ["S", "Soak"]
    assert len(threads) == 1


def test_a_draft_in_which_nothing_is_typed_is_forgotten(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    drafts.keep(draft("typed"))
    DraftKeeper(drafts, lambda name, action, then, failed: action(), lambda error: None).keep(draft(""))
    assert drafts.find("regime", Stage.ACTIVE, "a" * 64) is None


def test_a_failed_write_is_told_and_the_next_one_is_tried(tmp_path: Path) -> None:
    folder = tmp_path / "drafts"
    folder.write_text("in the way")
    told: list[ConsoleError] = []

    def start(
        name: str, action: Callable[[], None], then: Callable[[None], None], failed: Callable[[ConsoleError], None]
    ) -> None:
        try:
            action()
        except ConsoleError as error:
            failed(error)

    keeper = DraftKeeper(Drafts(folder), start, told.append)
    keeper.keep(draft("first"))
    folder.unlink()
    keeper.keep(draft("second"))
    assert len(told) == 1
    found = Drafts(folder).find("regime", Stage.ACTIVE, "a" * 64)
    assert found is not None
    assert found.reason == "second"


def test_without_a_place_nothing_is_kept_and_nothing_fails() -> None:
    keeper = DraftKeeper(None, lambda *_: None, lambda error: None)
    keeper.keep(draft("typed"))
    assert keeper.find("regime", Stage.ACTIVE, "a" * 64) is None
