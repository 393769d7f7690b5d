"""Writing to standard output, including a full disk. A finished action stands even when its output is lost."""

from __future__ import annotations

import contextlib
import os
import sys


def write_out(text: str) -> bool:
    """Write an answer to standard output as a whole. Returns True when it was written.

    When the write fails, for example on a full disk, stderr says so and gets the text. A closed pipe raises
    BrokenPipeError, as usual.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            # Discard the buffer. Otherwise the interpreter fails again at exit and changes the exit code.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        why = error.strerror or "it cannot be written"
        notice = f"Standard output did not accept the answer: {why}. Completed changes stand. The answer is:\n{text}"
        with contextlib.suppress(OSError):
            sys.stderr.write(notice)
        return False
    return True
