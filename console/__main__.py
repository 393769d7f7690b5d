"""Entry point of ``mlconsole`` and ``python -m console``.

``kill``, ``status --short``, a server's hook and the interface start before the command-line parser is imported.
"""

from __future__ import annotations

import os
import sys

from console.flags import SWITCHES, VALUED, split_flags

COMPLETE = "_MLCONSOLE_COMPLETE"
"""Shell completion sets this variable when it runs the program without arguments to ask for the next word."""


def main() -> None:
    """Run one verb, or the interface without one, and exit with its code."""
    argv = sys.argv[1:]
    if "kill" in argv:
        from console.kill import run_kill  # noqa: PLC0415

        code = run_kill(argv)
    elif "--short" in argv:
        from console.prompt import run_short  # noqa: PLC0415

        code = run_short(argv)
    elif any(word.startswith("--pre-receive") for word in argv):
        from console.hook import run_hook  # noqa: PLC0415

        code = run_hook(argv)
    else:
        code = run_bare(argv)
    if code is not None:
        sys.exit(code)
    from console.verbs import run  # noqa: PLC0415

    sys.exit(run(argv))


def run_bare(argv: list[str]) -> int | None:
    """Run the interface without the command-line parser, which would delay the first frame.

    Returns ``None`` when the full command line must handle the arguments.
    """
    if COMPLETE in os.environ:
        return None
    parsed = split_flags(argv, VALUED, SWITCHES)
    if parsed is None or parsed[0]:
        return None
    from console.interface import run_interface  # noqa: PLC0415 only this path needs it
    from console.invocation import Invocation  # noqa: PLC0415

    try:
        return run_interface(Invocation(**parsed[1]))  # type: ignore[arg-type]
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 whatever ends it becomes an exit code
        from console.verbs import code_of_end  # noqa: PLC0415 it brings the parser

        return code_of_end(error, argv)


if __name__ == "__main__":
    main()
