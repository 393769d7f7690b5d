"""The one place that starts processes: deadlines hold, nothing is left, nothing blocks."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ml.adapters.processes import run
from ml.errors import Unavailable


def gone(pid: int, within_s: float = 10.0) -> bool:
    """Whether a process ends within a time; a zombie that nobody reaps has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        listed = run(["ps", "-o", "stat=", "-p", str(pid)], deadline_s=5).out.strip()
        if not listed or listed.startswith(b"Z"):
            return True
    return False


def python(code: str) -> list[str | Path]:
    return [sys.executable, "-c", code]


def test_input_output_and_exit_code_come_back_whole() -> None:
    payload = os.urandom(300_000)
    code = "import sys; d=sys.stdin.buffer.read(); sys.stdout.buffer.write(d); sys.stderr.write('e'); sys.exit(3)"
    finished = run(python(code), stdin=payload, deadline_s=20)
    assert (finished.code, finished.out, finished.err) == (3, payload, b"e")
    assert not finished.timed_out


def test_a_child_past_its_deadline_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import subprocess,sys,time;"
        "c=subprocess.Popen([sys.executable,'-c','import time; time.sleep(600)']);"
        f"open({str(note)!r},'w').write(str(c.pid)); time.sleep(600)"
    )
    started = time.monotonic()
    finished = run(python(code), deadline_s=1.5)
    assert finished.timed_out
    assert time.monotonic() - started < 10
    assert gone(int(note.read_text()))


def test_a_child_past_its_deadline_may_put_its_things_away(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = f"touch {lock}; trap 'rm {lock}; exit 1' TERM; while :; do sleep 0.05; done"
    assert run(["sh", "-c", script], deadline_s=0.5, grace_s=10).timed_out
    assert not lock.exists()
    run(["sh", "-c", script], deadline_s=0.5)
    assert lock.exists()


def test_a_grandchild_that_holds_the_pipe_neither_blocks_us_nor_stays() -> None:
    finished = run(["sh", "-c", "sleep 600 & echo $!"], deadline_s=30)
    assert not finished.timed_out
    assert finished.seconds < 20
    assert gone(int(finished.out))


def test_endless_output_is_cut_and_the_child_ended() -> None:
    finished = run(["yes"], deadline_s=30, max_output=200_000)
    assert finished.truncated
    assert not finished.timed_out
    assert finished.seconds < 20


def test_a_child_that_does_not_read_its_input_is_no_problem() -> None:
    assert run(python("pass"), stdin=b"x" * 1_000_000, deadline_s=20).code == 0


def test_a_child_has_no_terminal_of_ours() -> None:
    assert run(python("import os; print(os.getsid(0) == os.getpid())"), deadline_s=20).out == b"True\n"


def test_output_is_passed_on_while_it_comes() -> None:
    seen: list[bytes] = []
    run(python("print('a', flush=True); print('b')"), deadline_s=20, on_output=seen.append)
    assert b"".join(seen) == b"a\nb\n"


def test_a_program_that_does_not_exist_is_a_sentence() -> None:
    with pytest.raises(Unavailable, match="cannot be started"):
        run(["/nowhere/at-all"], deadline_s=5)
