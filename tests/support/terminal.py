"""Drives a program on a real pseudo-terminal: keys in, a screen (pyte) out, and deadlines instead of sleeps."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

KEYS = {
    "enter": "\r",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "escape": "\x1b",
    "space": " ",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "f1": "\x1bOP",
    "f9": "\x1b[20~",
} | {f"ctrl+{letter}": chr(ord(letter) - 96) for letter in "abcdefghijklmnopqrstuvwxyz"}

# What pyte 0.8 would print as text: CSI with a private prefix other than "?" (the kitty keyboard protocol and such).
_UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p")
# Makes the terminal on standard input the controlling one of a new session, then becomes the program.
_LOGIN = "import os, sys; os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"
_READ = 65_536
_BETWEEN_KEYS_S = 0.02
_TELLING = 3
"""From so many letters on, a text on the screen is the echo of what was typed, and not something else."""
_SETTLED_S = 0.3


class Terminal:
    """A program on a pseudo-terminal of its own, which it controls, and the screen that it has drawn.

    A thread reads all the time, so that the program never blocks on a full pipe while a test waits for
    something else. Leaving the context ends the program's whole session.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._drawn_at = 0.0
        self._master, slave = os.openpty()
        self.resize(columns, rows)
        self.output = bytearray()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LOGIN, *(os.fspath(part) for part in argv)],
                stdin=slave,
                cwd=cwd,
                env={**(os.environ if env is None else env), "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            )
        finally:
            os.close(slave)
        self._reader = threading.Thread(target=self._read, name="pty reader", daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the program gets its SIGWINCH from the kernel."""
        with self._lock:
            self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, *keys: str) -> None:
        """Press keys by name (see `KEYS`) or single characters."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())

    def type(self, text: str) -> None:
        """Type text as a person does: one key after the other, each once the one before is echoed.

        On a busy machine keys at fixed intervals arrive in bursts, which is what a paste looks like.
        """
        before = self.text()
        for end, character in enumerate(text, start=1):
            self.press(character)
            time.sleep(_BETWEEN_KEYS_S)
            so_far = text[:end].rstrip()
            if len(so_far) >= _TELLING:
                times = before.count(so_far)
                self.wait_until(lambda screen: screen.count(so_far) > times, f"{so_far!r} to be echoed")  # noqa: B023

    def go(self, *keys: str, deadline_s: float = 10.0) -> None:
        """Press keys one by one, each only when what the one before did is drawn; for keys that move the focus.

        A person sees where the focus is before they type. What is typed ahead goes to where the focus still is.
        """
        for key in keys:
            pressed = time.monotonic()
            self.press(key)
            while not pressed < self._drawn_at < time.monotonic() - _SETTLED_S:
                assert time.monotonic() < pressed + deadline_s, f"nothing is drawn after {key}:\n{self.dump()}"
                time.sleep(0.01)

    def text(self) -> str:
        """The screen as it is now, trailing blanks removed."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def wait_for(self, wanted: str | re.Pattern[str], deadline_s: float = 15.0) -> str:
        """Wait until a text or a pattern is on the screen; the screen then."""
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        return self.wait_until(lambda screen: bool(pattern.search(screen)), f"{pattern.pattern!r}", deadline_s)

    def wait_gone(self, unwanted: str, deadline_s: float = 15.0) -> str:
        """Wait until a text is no longer on the screen; the screen then."""
        return self.wait_until(lambda screen: unwanted not in screen, f"{unwanted!r} to go away", deadline_s)

    def wait_until(self, holds: Callable[[str], bool], what: str, deadline_s: float = 15.0) -> str:
        """Wait until a condition holds for the screen; the screen then.

        Raises:
            AssertionError: with the screen, when the deadline passes or the program has ended without it.
        """
        deadline = time.monotonic() + deadline_s
        while True:
            ended = self.process.poll()
            if ended is not None:
                self._reader.join(1.0)
            screen = self.text()
            if holds(screen):
                return screen
            if ended is not None:
                raise AssertionError(f"ended with {ended} while waiting for {what}:\n{self.dump()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {deadline_s} s for {what}:\n{self.dump()}")
            time.sleep(0.02)

    def wait_exit(self, deadline_s: float = 15.0) -> int:
        """Wait until the program ends; its exit code."""
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline_s} s:\n{self.dump()}") from None

    def dump(self) -> str:
        """The screen in a frame, for the message of a failed test."""
        rule = "+" + "-" * self._screen.columns + "+"
        lines = (f"|{line:<{self._screen.columns}}|" for line in self.text().split("\n"))
        return "\n".join((rule, *lines, rule))

    def hang_up(self) -> None:
        """Close our end, as a lost SSH connection does; the program gets SIGHUP."""
        if self._master >= 0:
            master, self._master = self._master, -1
            os.close(master)

    def close(self) -> None:
        """End the program and whatever it left in its session, politely at first, and free the terminal."""
        for signum, patience_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._reader.join(2.0)
        self.hang_up()

    def _read(self) -> None:
        master = self._master
        kept = b""
        while True:
            try:
                chunk = os.read(master, _READ)
            except OSError:  # EIO: the program has closed its side
                return
            if not chunk:
                return
            kept, whole = _split(kept + chunk)
            with self._lock:
                self.output += chunk
                self._stream.feed(_UNKNOWN_TO_PYTE.sub(b"", whole))
                self._drawn_at = time.monotonic()


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Hold back an escape sequence that is not complete yet; the held back part, and the rest."""
    start = data.rfind(b"\x1b")
    if start >= 0 and re.fullmatch(rb"\x1b(\[[<>=?0-9;$]*)?", data[start:]):
        return data[start:], data[:start]
    return b"", data
