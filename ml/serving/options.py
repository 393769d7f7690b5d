"""The engine's command line, as one frozen value (contract §9)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one engine process. ``rate`` is inferences per second; ``port`` 0 means a free one.

    ``registry`` is the engine's ``ml_registry_path``, resolved against ``repo_root`` when relative, as every
    pointer's ``artifact_dir`` is. ``model`` and ``stage`` are its ``ml_model_name`` and ``ml_stage``.
    """

    registry: Path
    model: str
    stage: Stage
    repo_root: Path
    port: int
    rate: float
    port_file: Path | None
    kill_file: Path | None
    env_at_start: bool
    fault_file: Path | None
    commit_file: Path | None
    counters: Path | None
    seed: int


def parse_options(argv: Sequence[str] | None = None) -> Options:
    """Read the command line; exits with 2 and a usage line when it is wrong."""
    known = vars(_parser().parse_args(argv))
    root = known["repo_root"].resolve()
    return Options(**known | {"repo_root": root, "registry": root / known["registry"]})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.serving", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--registry", type=Path, required=True, metavar="FILE", help="ml_registry_path, relative to --repo-root")
    add("--model", required=True, metavar="NAME", help="ml_model_name")
    add("--stage", type=Stage, required=True, choices=(Stage.SHADOW, Stage.ACTIVE), help="ml_stage")
    add("--repo-root", type=Path, default=Path(), metavar="DIR", help="where artifact_dir begins (default: here)")
    add("--port", type=int, default=0, help="metrics port on 127.0.0.1; 0 takes a free one (default)")
    add("--port-file", type=Path, metavar="FILE", help="write the port here once it listens")
    add("--rate", type=_positive, default=10.0, metavar="HZ", help="inferences per second (default 10)")
    add("--kill-file", type=Path, metavar="FILE", help="env file read per snapshot for ML_KILL_SWITCH=1")
    add("--env-at-start", action="store_true", help="read the kill switch once, from the environment, at start")
    add("--fault-file", type=Path, metavar="FILE", help='drill faults: {"latency_ms": 300, "error_rate": 0.1}')
    add("--commit-file", type=Path, metavar="FILE", help="holds the commit that --registry was taken from")
    add("--counters", type=Path, metavar="FILE", help='start values: {"NAME{label=\\"v\\"}": value}')
    add("--seed", type=int, default=0, help="of the synthetic features and the injected errors")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 10000")
    return value
