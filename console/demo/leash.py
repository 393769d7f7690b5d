"""Becomes another program that dies when its parent does: ``python -I -S leash.py PARENT_PID PROGRAM ARGUMENT…``.

Run as a script and before anything is imported, because it is in the way of every process of the demo. The
kernel's promise (prctl PR_SET_PDEATHSIG) survives exec; where there is none (macOS), only the orderly end remains.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for SIGKILL at the parent's death, then exec."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
