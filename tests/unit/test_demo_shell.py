"""What a shell beside the demo's console sources."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from console.demo.layout import Layout
from console.demo.stack import environment, shell_lines


def test_a_sourced_shell_is_where_and_who_the_console_is(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "it's here")
    layout.make()
    layout.clone.mkdir(exist_ok=True)
    layout.shell.write_text(shell_lines(layout, environment(layout)), encoding="utf-8")
    script = '. "$1" && command -v mlconsole && printf "%s\\n" "$XDG_STATE_HOME" "$PWD"'
    bare = {"PATH": os.defpath}
    found = subprocess.run(
        ["/bin/sh", "-c", script, "sh", layout.shell], env=bare, capture_output=True, text=True, check=True
    )
    command, state, where = found.stdout.splitlines()
    assert Path(command).name == "mlconsole"
    assert (state, where) == (str(layout.state), str(layout.clone))
