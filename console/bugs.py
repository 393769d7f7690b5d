"""Reports of unexpected errors: a file on disk, two sentences on stderr, and exit code 70."""

from __future__ import annotations

import platform
import sys
import traceback
from datetime import UTC, datetime

from console.paths import state_directory
from console.version import __version__
from ml.text import whole_lines

EXIT_CODE = 70


def report(bug: BaseException, argv: list[str]) -> int:
    """Write the traceback to the state directory, print its path, and return the exit code."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    text = "".join(
        [
            f"mlconsole {__version__}, Python {platform.python_version()}, {platform.platform()}\n",
            f"arguments: {argv!r}\n\n",
            *traceback.format_exception(bug),
        ]
    )
    path = state_directory() / "reports" / f"{moment}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        where = f"The report is in {path}."
    except OSError:
        where = f"The report could not be saved:\n{text}"
    notice = f"mlconsole has a bug: {type(bug).__name__}.\n{where}\n"
    sys.stderr.write(whole_lines(notice))
    return EXIT_CODE
