"""Every module of promotion can be imported first: no circle that only another order of imports hides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ml.promotion

_EACH_ALONE = """
import os, sys
failed = []
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            __import__(name)
        except BaseException as error:
            print(name, error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    failed += [name] if os.waitpid(child, 0)[1] else []
sys.exit(bool(failed))
"""


def test_each_module_can_be_imported_first() -> None:
    root = Path(ml.promotion.__path__[0])
    modules = [
        path.relative_to(root).with_suffix("") for path in sorted(root.rglob("*.py")) if "hooks" not in path.parts
    ]
    names = [".".join(("ml.promotion", *path.parts)).removesuffix(".__init__") for path in modules]
    assert len(names) > 20
    ended = subprocess.run(
        [sys.executable, "-c", _EACH_ALONE, *names], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
