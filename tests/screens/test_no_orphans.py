"""Every picture in ``snapshots/`` belongs to a test, and every picture test has its picture."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support.pictures import SNAPSHOTS, folder_of, picture_of


def test_pictures_and_tests_are_the_same_set() -> None:
    here = Path(__file__).parent
    files = sorted(here.glob("test_*_pictures.py"))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    collected = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=True, cwd=here)
    tests = re.findall(r"([^/\s]+\.py)::(\S+)", collected.stdout)
    wanted = {f"{folder_of(file)}/{picture_of(name)}.svg" for file, name in tests}
    assert wanted
    assert {str(path.relative_to(SNAPSHOTS)) for path in SNAPSHOTS.rglob("*.svg")} == wanted
