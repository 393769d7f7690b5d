"""Independent questions, asked side by side: as many at a time as the source takes, written down in a fixed order.

The order of what was written down does not depend on which answer came first, so evidence of the same answers is the
same bytes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from ml.slo.recording import Recorder

T = TypeVar("T")


class Errands:
    """Takes errands, each done with a notebook of its own."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._notebooks: list[Recorder] = []
        self._waiting: deque[Callable[[], None]] = deque()

    def send(self, errand: Callable[[Recorder], T]) -> Future[T]:
        """Have something asked; its result is there when the block ends."""
        notebook, outcome = self._recorder.page(), Future[T]()
        self._notebooks.append(notebook)

        def run() -> None:
            try:
                outcome.set_result(errand(notebook))
            except BaseException as error:  # noqa: BLE001 carried to whoever asks for the result
                outcome.set_exception(error)

        self._waiting.append(run)
        return outcome

    def run(self) -> None:
        """Do all of them, and write down what was asked in the order in which they were sent."""
        # Daemons, unlike those of an executor: a hanging source must not keep the console from leaving.
        others = [threading.Thread(target=self._lane, daemon=True) for _ in range(self._recorder.at_once - 1)]
        for other in others:
            other.start()
        self._lane()
        for other in others:
            other.join()
        for notebook in self._notebooks:
            self._recorder.append(notebook)

    def _lane(self) -> None:
        while True:
            try:
                run = self._waiting.popleft()
            except IndexError:
                return
            run()


@contextmanager
def errands(recorder: Recorder) -> Iterator[Errands]:
    """Collect errands in the block, and do them at its end."""
    collected = Errands(recorder)
    yield collected
    collected.run()
