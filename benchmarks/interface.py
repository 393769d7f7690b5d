"""Measure the interface on a real pseudo-terminal: keys with 10 models and with 1,000."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyte

from benchmarks.measure import Result

_KEYS = 120
_FILTERS = 60
_TYPED_S = 0.1
_BACKSPACE = "\x7f"
_START_S = 30.0
_END_S, _GLANCE_S = 30.0, 0.05
_FOR_KITTY = re.compile(rb"\x1b\[[<>][0-9]*u")
_TICKS = os.sysconf("SC_CLK_TCK")


class Session:
    """A module with its arguments on a pseudo-terminal of 80 × 24, driven by keys.

    It is open when it has drawn something and then nothing for ``silence_s``; where that is 0, with the first bytes: a
    scene that never rests is never silent, and on a busy machine it draws faster than this process reads.
    """

    def __init__(
        self, *module: str, cwd: Path | None = None, env: Mapping[str, str] = os.environ, silence_s: float = 1.0
    ) -> None:
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = os.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        argv = ["setsid", "--ctty", sys.executable, "-m", *module]
        environ = {**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environ)
        os.close(slave)
        if silence_s:
            drawn = self.read_until_quiet(_START_S, silence_s)[0]
        else:
            drawn = self._read() if select.select([self._master], [], [], _START_S)[0] else 0
        assert drawn, "nothing was drawn"

    @property
    def pid(self) -> int:
        """The process, which leads a session of its own."""
        return self._process.pid

    def close(self) -> None:
        """End it, after 30 s by force.

        What it still writes is read: a process with a full terminal waits for its reader before it ends.
        """
        self._process.terminate()
        ends = time.monotonic() + _END_S
        while self._process.poll() is None:
            if time.monotonic() > ends:
                self._process.kill()
            with contextlib.suppress(OSError):  # its end of the terminal is closed
                if select.select([self._master], [], [], _GLANCE_S)[0]:
                    os.read(self._master, 65_536)
        os.close(self._master)

    def read_until_quiet(self, patience_s: float, quiet_s: float) -> tuple[int, float]:
        """Read until nothing came for ``quiet_s``; return the number of bytes and the time of the last one."""
        count, last, patience = 0, time.perf_counter(), patience_s
        while select.select([self._master], [], [], patience)[0]:
            count += self._read()
            last, patience = time.perf_counter(), quiet_s
        return count, last

    def _read(self) -> int:
        data = os.read(self._master, 65_536)
        self._stream.feed(_FOR_KITTY.sub(b"", data))
        return len(data)

    def type(self, keys: str) -> None:
        """Send keys as a terminal encodes them."""
        os.write(self._master, keys.encode())

    def press(self, key: str, wanted: str) -> float:
        """Milliseconds from a key until the header shows the expected text."""
        begun = time.perf_counter()
        self.type(key)
        while wanted not in self.screen.display[0]:
            assert time.perf_counter() - begun < _START_S, self.screen.display
            self.read_until_quiet(_START_S, 0.0)
        return (time.perf_counter() - begun) * 1000

    def rest(self, seconds: float) -> tuple[float, float]:
        """Measure an idle console: bytes per second, and percent of a processor."""
        until, count, before = time.perf_counter() + seconds, 0, self._ticks()
        while (left := until - time.perf_counter()) > 0:
            if select.select([self._master], [], [], left)[0]:
                count += len(os.read(self._master, 65_536))
        return count / seconds, (self._ticks() - before) / _TICKS / seconds * 100

    def rest_and_draw(self, seconds: float) -> None:
        """Take what comes for some time onto the screen."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            self.read_until_quiet(left, 0.0)

    def memory(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _ticks(self) -> int:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


@contextmanager
def session(*scene: str) -> Iterator[Session]:
    """A scene that is ended afterwards."""
    opened = Session("benchmarks.scenes", *scene)
    try:
        yield opened
    finally:
        opened.close()


def run() -> tuple[Result, ...]:
    """The same keys in both sessions, in turns: first to move, then to filter."""
    with session("models", "10") as few, session("models", "1000") as many:
        times: dict[Session, list[float]] = {few: [], many: []}
        for number in range(1, _KEYS + 1):
            key, model = ("j", number % 16) if number % 16 <= 8 and number % 16 else ("k", (16 - number) % 16)
            for each in (few, many):
                times[each].append(each.press(key, f"model_{model:04}"))
        filtered = list(zip(_filtering(many, 1000), _filtering(few, 10), strict=True))
    return (
        *_results("key to paint", times[many], times[few]),
        *_results("key of a filter to paint", *map(list, zip(*filtered, strict=True))),
    )


def _filtering(opened: Session, models: int) -> Iterator[float]:
    """Milliseconds from the last of four letters until the one model that they leave is shown."""
    opened.type("/")
    for number in range(1, _FILTERS + 1):
        opened.read_until_quiet(_START_S, _TYPED_S)
        # Never one that ends in 0, which three letters would show already, and never the same twice in a row.
        name = f"{number * 7 % (models // 10) * 10 + number % 9 + 1:04}"
        opened.type(name[:-1])
        opened.read_until_quiet(_START_S, _TYPED_S)
        yield opened.press(name[-1], f"model_{name}")
        opened.type(_BACKSPACE * len(name))


def _results(what: str, many: list[float], few: list[float]) -> tuple[Result, ...]:
    ours, floor = statistics.median(many), statistics.median(few)
    slow = statistics.quantiles(many, n=100)[98]
    return (
        Result(f"{what}, 1,000 models", "10 models", ours, floor, 2.0),
        Result(f"{what}, 1,000 models, 99th of 100", "50 ms", slow, 50.0, 1.0),
    )
