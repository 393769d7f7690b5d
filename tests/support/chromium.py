"""A real headless Chromium, driven by the DevTools protocol, and the terminal that a page of textual-serve shows."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pyte

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1400,900",
)
_KEYS = {"F9": (120, ""), "Escape": (27, "")}
# Collects what every WebSocket of the page receives, before any script of the page runs.
_HOOK = """
window.received = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", (event) => {
      if (event.data instanceof ArrayBuffer) window.received.push(new Uint8Array(event.data));
    });
  }
};
"""
_TAKE = """
(() => {
  const text = window.received.map((part) => Array.from(part, (byte) => String.fromCharCode(byte)).join("")).join("");
  window.received = [];
  return btoa(text);
})()
"""


class Page:
    """One tab. What its WebSockets received is drawn on a screen of its own."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket = socket
        self._session = session
        self._numbers = count(1000)
        self._screen = pyte.Screen(400, 120)
        self._stream = pyte.ByteStream(self._screen)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol in this tab."""
        return await _call(self._socket, next(self._numbers), method, parameters, self._session)

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def go(self, url: str) -> None:
        """Open an address."""
        answer = await self.call("Page.navigate", url=url)
        assert "errorText" not in answer, answer

    async def click(self) -> None:
        """Click where a terminal has nothing, which gives it the keys."""
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=700, y=600, button="left", clickCount=1)

    async def press(self, key: str) -> None:
        """Press a key: one character, or a name of ``_KEYS``."""
        code, text = _KEYS.get(key, (ord(key[0].upper()), key))
        name = {"key": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **name)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **name)

    async def text(self) -> str:
        """The terminal as it is drawn now."""
        self._stream.feed(base64.b64decode(await self.evaluate(_TAKE)))
        return "\n".join(line.rstrip() for line in self._screen.display)

    async def wait_for(self, wanted: str, deadline_s: float = 15.0) -> str:
        """Wait until a text is on the terminal; the terminal then."""
        deadline = time.monotonic() + deadline_s
        while wanted not in (text := await self.text()):
            assert time.monotonic() < deadline, f"waited {deadline_s:.0f} s for {wanted!r}:\n{text.rstrip()}"
            await asyncio.sleep(0.05)
        return text


@contextlib.asynccontextmanager
async def chromium_page(home: Path) -> AsyncIterator[Page]:
    """A tab of a fresh browser whose profile is below ``home``; both end with the context."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "Chromium is missing: make tools"
    profile = home / "profile"
    browser = await asyncio.create_subprocess_exec(
        program,
        *_FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port, path = await _devtools(profile / "DevToolsActivePort", browser)
        async with aiohttp.ClientSession() as client, client.ws_connect(f"ws://127.0.0.1:{port}{path}") as socket:
            made = await _call(socket, 1, "Target.createTarget", {"url": "about:blank"})
            joined = await _call(socket, 2, "Target.attachToTarget", {"targetId": made["targetId"], "flatten": True})
            page = Page(socket, joined["sessionId"])
            await page.call("Page.enable")
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=_HOOK)
            yield page
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()


async def _devtools(file: Path, browser: asyncio.subprocess.Process) -> tuple[int, str]:
    """Where a browser that is starting can be driven."""
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text().count("\n") == 1):
        assert browser.returncode is None, f"Chromium ended with {browser.returncode}"
        assert time.monotonic() < deadline, "Chromium does not start"
        await asyncio.sleep(0.05)
    port, path = file.read_text().split("\n")
    return int(port), path


async def _call(
    socket: aiohttp.ClientWebSocketResponse, number: int, method: str, parameters: dict[str, Any], session: str = ""
) -> dict[str, Any]:
    message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
    await socket.send_json(message)
    async with asyncio.timeout(15):
        while True:  # events, and nobody's answers but ours: calls wait for one another
            answer = json.loads(await socket.receive_str())
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
