"""Standard output, which may be full: what was done stands whether or not anybody can read of it."""

from __future__ import annotations

import contextlib
import os
import sys


def write_out(text: str) -> bool:
    """Write an answer to standard output, whole; whether it went.

    Where it did not, such as on a full disk, stderr says so, and the text follows there. Whoever has closed the pipe
    has enough: then BrokenPipeError is raised, as ever.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            # What is left in the buffer must not fail once more, and change the exit code, when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        why = error.strerror or "it cannot be written"
        told = f"Standard output did not take the answer: {why}. What was done stands. The answer is:\n{text}"
        with contextlib.suppress(OSError):
            sys.stderr.write(told)
        return False
    return True
