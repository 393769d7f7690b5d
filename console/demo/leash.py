"""Becomes another program that is sent a signal when its parent dies.

``python -I -S leash.py SIGNAL PARENT PROGRAM …``. Run as a script and before anything is imported, because it is
in the way of every process of the demo. The kernel's promise (prctl PR_SET_PDEATHSIG) survives exec; where there is
none (macOS), only the orderly end remains.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal, then exec."""
    number, parent = int(sys.argv[1]), int(sys.argv[2])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - it is the point of this file


if __name__ == "__main__":
    main()
