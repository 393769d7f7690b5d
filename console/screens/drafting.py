"""Keeps what is typed: off the event loop, never two writes at a time, and always the newest last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from ml.errors import ConsoleError
from ml.records.drafts import Draft, Drafts
from ml.stage import Stage

Start = Callable[[str, Callable[[], None], Callable[[None], None], Callable[[ConsoleError], None]], None]
"""Runs an action elsewhere and goes on here, like `console.screens.pushed.PushedScreen.work`."""


class DraftKeeper:
    """Writes drafts as fast as the disk takes them; of those that come meanwhile only the newest.

    Args:
        drafts: where they are kept; ``None`` keeps nothing.
        start: runs one write off the event loop.
        complain: told when a draft cannot be kept.
    """

    def __init__(self, drafts: Drafts | None, start: Start, complain: Callable[[ConsoleError], None]) -> None:
        self._drafts = drafts
        self._start = start
        self._complain = complain
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        self._busy = False

    def keep(self, draft: Draft) -> None:
        """Keep a draft; one in which nothing is typed is forgotten instead."""
        if self._drafts and (draft.reason or draft.finding or draft.waivers):
            self._soon(partial(self._drafts.keep, draft))
        else:
            self.drop(draft.model, draft.to_stage)

    def drop(self, model: str, to_stage: Stage) -> None:
        """Forget a draft."""
        if self._drafts:
            self._soon(partial(self._drafts.drop, model, to_stage))

    def find(self, model: str, to_stage: Stage, model_sha256: str) -> Draft | None:
        """The draft of this artifact and hop, if there is one. Reads a file, so it belongs on a thread."""
        return self._drafts.find(model, to_stage, model_sha256) if self._drafts else None

    def _soon(self, write: Callable[[], None]) -> None:
        with self._lock:
            self._next, busy = write, self._busy
            self._busy = True
        if not busy:
            self._start("keep a draft", self._write_all, lambda _: None, self._complain)

    def _write_all(self) -> None:
        """Runs on a thread until nothing is left, so that a screen which closes meanwhile loses nothing."""
        while True:
            with self._lock:
                write, self._next = self._next, None
                if write is None:
                    self._busy = False
                    return
            try:
                write()
            except ConsoleError:
                with self._lock:
                    self._busy = False
                raise
