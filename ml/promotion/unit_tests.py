"""The gate ``unit_tests``: the policy's test command on a clean export of the base commit (runbook, procedure 2)."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml.clock import span
from ml.errors import ConsoleError
from ml.ports import Finished, Runner
from ml.promotion.repository import Reader
from ml.text import visible
from ml.verdict import Code, Finding, Gate, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Checks

TESTS_GATE = "unit_tests"

_LONGEST = 1 << 16
_CARRIED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestBench:
    """Where and how the unit tests run: on a clean export of ``commit``, with the policy's command and deadline."""

    __test__ = False

    repository: Reader
    commit: str
    checks: Checks
    run: Runner
    environ: Mapping[str, str]


def unit_tests_gate(bench: TestBench, on_output: Callable[[str], None] | None = None) -> Gate:
    """Run the policy's test command on a clean export; ``on_output`` takes its lines, already made visible.

    The tests see neither secrets nor settings of the operator's session: only a few variables are carried over. The
    gate's evidence is the SHA-256 of the whole log.
    """
    command, deadline = bench.checks.unit_tests, bench.checks.deadline_seconds
    lines = _Lines(on_output)
    env = {key: bench.environ[key] for key in _CARRIED if key in bench.environ}
    try:
        with tempfile.TemporaryDirectory(prefix="mlconsole-tests-") as folder:
            bench.repository.export(bench.commit, Path(folder))
            ended = bench.run(command, deadline_s=deadline, cwd=Path(folder), env=env, on_output=lines.take)
    except (ConsoleError, OSError) as error:
        why = f"the tests could not run: {visible(str(error))}"
        return finding(Verdict.ERROR, Code.TESTS_UNRUN, why).gate(TESTS_GATE)
    lines.end()
    log = hashlib.sha256(ended.out + ended.err).hexdigest()
    return _outcome(ended, deadline, lines.last).gate(TESTS_GATE, evidence=log)


def _outcome(ended: Finished, deadline_s: float, last: str) -> Finding:
    if ended.timed_out:
        why = f"the tests did not end within {span(deadline_s)}"
        return finding(Verdict.ERROR, Code.TESTS_UNRUN, why, deadline_s=deadline_s)
    if ended.truncated:
        return finding(Verdict.ERROR, Code.TESTS_UNRUN, "the tests printed more than a log may hold")
    if ended.code != 0:
        why = f"the tests ended with {ended.code}: {last or 'no output'}"
        return finding(Verdict.FAIL, Code.TESTS_FAILED, why, exit=ended.code)
    return finding(Verdict.PASS, Code.TESTS_PASSED, last or "the tests ended with 0", exit=0)


class _Lines:
    """Cuts output into lines as it comes, and remembers the last one that says something."""

    def __init__(self, take: Callable[[str], None] | None) -> None:
        self._take = take
        self._rest = b""
        self.last = ""

    def take(self, chunk: bytes) -> None:
        """Take some more output."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > _LONGEST:
            self.end()

    def end(self) -> None:
        """The output is over."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def _line(self, raw: bytes) -> None:
        line = visible(raw.decode("utf-8", "replace").rstrip(), limit=500)
        self.last = line or self.last
        if self._take:
            self._take(line)
