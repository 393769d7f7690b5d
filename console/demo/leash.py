"""Replaces itself with another program that gets a signal when its parent dies.

Usage: ``python -I -S leash.py SIGNAL PARENT PROGRAM …``. Every process of the demo starts through this script, so it
imports almost nothing. The kernel's parent-death signal (prctl PR_SET_PDEATHSIG) survives exec. macOS has none; there,
only an orderly exit stops the processes.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal, then replace this process with the program."""
    number, parent = int(sys.argv[1]), int(sys.argv[2])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # the parent died before the request
        sys.exit(1)
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - it is the point of this file


if __name__ == "__main__":
    main()
