"""A small service that is not ours: it reads its own JSON, TOML or text configuration, and says when it trades.

It is run as a process, ``python kill_reader.py FORMAT FILE``, and prints one line whenever its mind changes. It reads
as simple services do: the whole file with the standard parser, and the one value by plain subscripts.
"""

from __future__ import annotations

import json
import sys
import time
import tomllib
from pathlib import Path


def disabled(form: str, content: bytes) -> bool:
    """True while the configuration forbids to trade."""
    if form == "text":
        return content.decode() == "halted\n"
    document = json.loads(content) if form == "json" else tomllib.loads(content.decode())
    value = document["trading"]["ml"]["disabled"]
    assert document["trading"]["size"] == 3
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is no switch")
    return value


def main() -> None:
    """Read until the process is ended; a file that is torn or broken ends it with a traceback."""
    form, file = sys.argv[1], Path(sys.argv[2])
    before = None
    while True:
        now = disabled(form, file.read_bytes())
        if now is not before:
            sys.stdout.write("stopped\n" if now else "trades\n")
            sys.stdout.flush()
        before = now
        time.sleep(0.002)


if __name__ == "__main__":
    main()
