"""``make bench``: run every benchmark, or those named, and print one line each."""

from __future__ import annotations

import importlib
import sys

_ALL = (
    "start",
    "kill",
    "kill_key",
    "kill_proof",
    "prompt",
    "registry",
    "interface",
    "quiet",
    "digests",
    "soak",
    "many_models",
    "rollback",
    "gate",
    "journeys",
)


def main() -> int:
    """Measure; returns how many results are out of reach, at most 1."""
    over = 0
    for name in sys.argv[1:] or _ALL:
        for result in importlib.import_module(f"benchmarks.{name}").run():
            print(result.line(), flush=True)
            over |= not result.reached
    return over


if __name__ == "__main__":
    sys.exit(main())
