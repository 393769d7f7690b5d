"""Measure one board round over 10, 50, 200 and 1,000 models on a real Prometheus, filled from OpenMetrics.

Each model has an active artifact, and every fifth one a second artifact in shadow, on one engine each. The history is a
day and an hour long.

    python -m benchmarks.many_models             the table
    python -m benchmarks.many_models 200 rules   one line of it, with the recording rules loaded
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Result
from ml.adapters.prometheus import Prometheus
from ml.policy import Policy, parse_policy
from ml.slo.batch import BoardMemory
from ml.slo.readings import StageRead, board_readings
from ml.slo.recordings import rule_file
from ml.slo.roster import serving
from ml.slo.source import Answer
from ml.stage import Stage
from ml.verdict import Verdict

if TYPE_CHECKING:
    from support.prometheus import RealPrometheus

SIZES = (10, 50, 200, 1_000)
STEP_S = 60.0
"""Seconds between two scrapes in the history. Each model's day then has 1,440 samples in each of its series."""
_BOUNDS = ("10.0", "25.0", "50.0", "100.0", "250.0", "500.0")
_HISTORY_S = 26 * 3600
_AHEAD_S = 3_600
_TIMEOUT_S = 60.0


@dataclass(slots=True)
class Counted:
    """A Prometheus that counts what it is asked and what it answers."""

    source: Prometheus
    at_once: int = 1
    requests: int = 0
    sent: int = 0
    received: int = 0

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        """See `ml.slo.source.Metrics`."""
        return self._counted(self.source.query(promql, at), promql)

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: int) -> Answer:
        """See `ml.slo.source.Metrics`."""
        return self._counted(self.source.query_range(promql, start, end, step_s), promql)

    def rules(self) -> Answer:
        """See `ml.slo.source.Metrics`."""
        return self.source.rules()

    def alerts(self) -> Answer:
        """See `ml.slo.source.Metrics`."""
        return self.source.alerts()

    def silences(self) -> Answer | None:
        """See `ml.slo.source.Metrics`."""
        return self.source.silences()

    def _counted(self, answer: Answer, promql: str) -> Answer:
        self.requests += 1
        self.sent += len(promql)
        self.received += len(answer.raw)
        return answer


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``seconds`` is the median of three rounds, ``memory`` the peak that a round allocates.

    ``work`` and ``ours`` are the processor seconds of Prometheus and of this process in one round: other work on the
    machine does not change them much.
    """

    models: int
    requests: int
    sent: int
    received: int
    seconds: float
    work: float
    ours: float
    memory: int

    def line(self) -> str:
        """The line for the report."""
        return (
            f"{self.models:>6} | {self.requests:>8} | {self.sent / 1000:>8.1f} | {self.received / 1000:>8.0f}"
            f" | {self.seconds:>7.2f} | {self.work:>8.2f} | {self.ours:>6.2f} | {self.memory / 1e6:>9.1f}"
        )


HEADER = "models | requests | sent, kB | got, kB | seconds | its CPU | my CPU | memory, MB"


def policy_of(models: int) -> Policy:
    """The default policy, with a selector for each model."""
    return parse_policy("".join(f"[model.{name}]\nselector = 'model=\"{name}\"'\n" for name in _names(models)).encode())


def wanted(models: int, now: datetime) -> tuple[StageRead, ...]:
    """The stages that a board reads: active of each model, and shadow of every fifth."""
    since = now - timedelta(hours=24, minutes=30)
    read = [StageRead(name, Stage.ACTIVE, since, f"{name}_v2026_02_16_001") for name in _names(models)]
    read += [StageRead(name, Stage.SHADOW, since, f"{name}_v2026_02_20_001") for name in _names(models)[::5]]
    return tuple(read)


def _names(models: int) -> list[str]:
    return [f"model_{number:04}" for number in range(models)]


def _engines(models: int) -> Iterator[tuple[str, Stage, str]]:
    for number, name in enumerate(_names(models)):
        yield name, Stage.ACTIVE, f"{name}_v2026_02_16_001"
        if number % 5 == 0:
            yield name, Stage.SHADOW, f"{name}_v2026_02_20_001"


def write_history(file: Path, models: int, now: float) -> None:
    """Write the day of every engine as OpenMetrics text: 60 inferences a minute, nearly all within 25 ms."""
    steps = int((_HISTORY_S + _AHEAD_S) / STEP_S)
    moments = [f"{now - _HISTORY_S + index * STEP_S:.3f}" for index in range(steps)]
    rises = {le: [] for le in (*_BOUNDS, "+Inf")}  # type: dict[str, list[str]]
    for le, texts in rises.items():
        texts += [f" {index * (40 if le == '10.0' else 60)} {at}\n" for index, at in enumerate(moments)]
    ones, zeros = ([f" {value} {at}\n" for at in moments] for value in "10")
    with file.open("w") as out:
        for number, (name, stage, artifact) in enumerate(_engines(models)):
            engine = f'instance="engine-{number:04}:8000",job="ml-engine",model="{name}"'
            timed = f'{engine},mode="{stage}"'
            latency = "grinder_ml_inference_latency_ms"
            series = [(f'{latency}_bucket{{{timed},le="{le}"}}', texts) for le, texts in rises.items()]
            series += [
                (f"{latency}_count{{{timed}}}", rises["+Inf"]),
                (f"grinder_ml_inference_total{{{timed}}}", rises["+Inf"]),
                (f"grinder_ml_inference_errors_total{{{timed}}}", zeros),
                (f"grinder_ml_active_on{{{engine}}}", ones if stage is Stage.ACTIVE else zeros),
                (f'grinder_ml_model_info{{{timed},artifact_id="{artifact}",registry_commit="c0ffee"}}', ones),
                (f"up{{{engine}}}", ones),
            ]
            for head, texts in series:
                out.write("".join(head + text for text in texts))
        out.write("# EOF\n")


@contextmanager
def server(models: int, *, rules: bool = False) -> Iterator[RealPrometheus]:
    """A real Prometheus with the history of so many models; ``rules``: with the recording rules loaded."""
    with tempfile.TemporaryDirectory(prefix="mlconsole-bench-") as folder:
        yield from _serve(Path(folder), models, rules=rules)


def _serve(folder: Path, models: int, *, rules: bool) -> Iterator[RealPrometheus]:
    sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]
    try:
        from support.prometheus import running  # noqa: PLC0415 the tests' own server
    finally:
        sys.path.pop(0)
    text = folder / "history.openmetrics"
    write_history(text, models, time.time())
    blocks = folder / "blocks"
    blocks.mkdir()
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "--quiet", "--max-block-duration=54h", "openmetrics", text, blocks],
        check=True,
        capture_output=True,
        timeout=1200,
    )
    text.unlink()
    loaded = rule_file(policy_of(models)) if rules else ""
    with running(folder / "server", data=blocks, rules=loaded, interval_s=15.0) as prometheus:
        if rules:
            prometheus.rules_evaluated(deadline_s=300.0)
        yield prometheus
    shutil.rmtree(blocks, ignore_errors=True)


def measure(models: int, prometheus: RealPrometheus) -> Row:
    """Ask for three rounds; verdicts must all be PASS, or the numbers would be of something else."""
    policy, names = policy_of(models), _names(models)
    spent = []
    for number in range(4):
        if number == 3:  # counting memory makes Python slow, so the last round is not timed
            tracemalloc.start()
        source, now = Counted(Prometheus(prometheus.url, timeout_s=_TIMEOUT_S)), datetime.now(UTC)
        started, work, ours = time.perf_counter(), _processor_s(prometheus.process.pid), time.process_time()
        readings = board_readings(source, policy, wanted(models, now), now, memory=BoardMemory())
        seen = serving(source, policy, names)
        if number < 3:
            worked = _processor_s(prometheus.process.pid) - work
            spent.append((time.perf_counter() - started, worked, time.process_time() - ours))
        verdicts = {reading.verdict for found in readings.values() for reading in found}
        assert verdicts == {Verdict.PASS}, verdicts
        assert all(seen[name] for name in names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Row(models, source.requests, source.sent, source.received, *sorted(spent)[1], peak)


def table(sizes: tuple[int, ...] = SIZES, *, rules: bool = False) -> Iterator[Row]:
    """The table, one server for each size."""
    for models in sizes:
        with server(models, rules=rules) as prometheus:
            yield measure(models, prometheus)


def _processor_s(pid: int) -> float:
    """The processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run() -> tuple[Result, ...]:
    """Compare a round over 200 models with one grouped query over the same day, and with a round over 10."""
    rows = {row.models: row for row in table((10, 200))}
    many, few = rows[200], rows[10]
    return (
        Result("board round over 200 models, requests", "over 10", many.requests, few.requests, 1.0, "requests"),
        Result("board round over 200 models, text sent", "over 10", many.sent, few.sent, 1.5, "bytes"),
        Result("board round over 200 models", "20 rounds over 10", many.seconds, 20 * few.seconds, 1.0, "s"),
        Result("board round over 200 models, all bytes", "1 MB", many.sent + many.received, 1e6, 1.0, "bytes"),
    )


if __name__ == "__main__":
    print(HEADER)
    words = sys.argv[1:]
    for each in table(tuple(int(word) for word in words if word.isdigit()) or SIZES, rules="rules" in words):
        print(each.line(), flush=True)
    print(f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
