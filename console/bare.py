"""``mlconsole`` without a verb, on its short path: the first frame does not wait for the command line parser."""

import os

from console.flags import SWITCHES, VALUED, understood

COMPLETE = "_MLCONSOLE_COMPLETE"
"""What a shell's completion sets when it calls us without arguments to ask for the next word."""


def run_bare(argv: list[str]) -> int | None:
    """Run the interface; ``None`` when the arguments are for the whole command line to explain."""
    if COMPLETE in os.environ:
        return None
    found = understood(argv, VALUED, SWITCHES)
    if found is None or found[0]:
        return None
    from console.interface import run_interface  # noqa: PLC0415 only this path needs it
    from console.session import Session  # noqa: PLC0415

    try:
        return run_interface(Session(**found[1]))  # type: ignore[arg-type]
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 whatever ends it becomes an exit code
        from console.verbs import code_of_end  # noqa: PLC0415 it brings the parser

        return code_of_end(error, argv)
