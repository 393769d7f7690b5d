"""``mlconsole status --short`` without slow imports, for shell prompts that ask every few seconds.

While another process polls the board, the line comes from its snapshot and gives the snapshot's age. All other cases go
to the full command line, which judges again.
"""

import sys
import time

from console.config import load
from console.flags import SWITCHES, VALUED, split_flags
from console.short import code_of, short_line
from console.snapshot import fresh
from console.untrusted import untrusted
from ml.errors import ConsoleError
from ml.text import visible

_SHORT = {"--short": "short"}


def run_short(argv: list[str]) -> int | None:
    """Print the line of a fresh snapshot and return its exit code; ``None`` when the status must be judged again."""
    parsed = split_flags(argv, VALUED, SWITCHES | _SHORT)
    if parsed is None:
        return None
    words, options = parsed
    if words != ["status"] or "short" not in options or "as_json" in options:
        return None
    try:
        settings = load(
            repo=_text(options.get("repo")),
            config=_text(options.get("config")),
            read_only="read_only" in options,
            kill_allowed="no_kill" not in options,
        )
        snapshot = fresh(settings, time.time())
    except (ConsoleError, OSError):
        return None  # the full command line reports the error
    if snapshot is None:
        return None
    line = short_line(snapshot.kill, snapshot.models, f"{int(snapshot.age_s)}s", untrusted=bool(untrusted(settings)))
    try:
        sys.stdout.write(visible(line, limit=1 << 20) + "\n")
        sys.stdout.flush()
    except OSError as error:
        from console.verbs import code_of_end  # noqa: PLC0415 it brings the parser

        return code_of_end(error, argv)
    return code_of(snapshot.verdict)


def _text(value: str | bool | None) -> str | None:
    return value if isinstance(value, str) else None
