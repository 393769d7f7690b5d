"""The driver of a console that `console.serve` shows in a browser: it ends when its window or its server does."""

from __future__ import annotations

import os
import threading

from textual.drivers.web_driver import WebDriver

_LAST_RESORT_S = 3.0


class BrowserDriver(WebDriver):
    """Textual's driver for textual-serve; that one would poll on for nobody when its server has died."""

    def run_input_thread(self) -> None:
        """Read keys until the server has no more; a closed pipe is the end."""
        super().run_input_thread()
        self._end()

    def on_meta(self, packet_type: str, payload: dict[str, object]) -> None:
        """Take a message of the server; ``quit`` comes when the window is closed."""
        if packet_type == "quit":
            self._end()
        else:
            super().on_meta(packet_type, payload)

    def _end(self) -> None:
        """Leave in order, or soon; the session is read-only, so nothing can be half done."""
        if not self.exit_event.is_set():
            threading.Thread(target=self._last_resort, name="last resort", daemon=True).start()
            self._app.call_from_thread(self._app.exit)

    def _last_resort(self) -> None:
        threading.Event().wait(_LAST_RESORT_S)
        os._exit(0)
