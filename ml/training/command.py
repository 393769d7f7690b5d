"""The command line of the trainer, with the runbook's flags (runbook, step 1)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ml.artifacts.ids import is_artifact_id
from ml.clock import SystemClock
from ml.contract import FAMILIES, family_of
from ml.errors import ConsoleError, Unavailable
from ml.ports import Runner
from ml.text import visible
from ml.training.run import Order, train_artifact


def main(argv: Sequence[str], run: Runner) -> int:
    """Train as the flags say; returns the exit code: 0 made, 1 dataset unusable, 2 usage, 3 extra missing."""
    order = _parse(argv)
    try:
        result = train_artifact(order, git_sha=_git_sha(order.out_dir, run), now=SystemClock().now())
    except ConsoleError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    directory = visible(str(result.directory))
    sys.stdout.write(
        f"{directory}: model.onnx {result.model_bytes} bytes, {result.quality} on held-out rows\n"
        f"model_sha256 {result.model_sha256}\n"
    )
    if not is_artifact_id(order.out_dir.name):
        sys.stderr.write(
            f"{visible(order.out_dir.name)} is not of the form model_vYYYY_MM_DD_NNN; it cannot be staged under it.\n"
        )
    family = family_of(order.out_dir.name)
    if family and family != order.model_type:
        sys.stderr.write(
            f"{visible(order.out_dir.name)} names a {family} model, and this is a {order.model_type} model; "
            "it does not verify under that name.\n"
        )
    return 0


def _parse(argv: Sequence[str]) -> Order:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.train_regime_model", description="Train a model and write its artifact."
    )
    parser.add_argument("--out-dir", type=Path, required=True, help="new directory, named by the artifact id")
    parser.add_argument("--dataset-id", required=True, help="name of the dataset, recorded in the artifact")
    parser.add_argument("--seed", type=int, default=42, help="seed of everything random (default 42)")
    parser.add_argument("--n-samples", type=int, help="rows to learn from (default 10000, or all of --dataset-path)")
    parser.add_argument("--notes", default="", help="free text, recorded in the artifact")
    parser.add_argument("--dataset-path", type=Path, help="CSV or Parquet with the 15 features and the label")
    parser.add_argument(
        "--model-type",
        choices=tuple(FAMILIES),
        default="regime",
        help="regime (label regime: LOW, MID, HIGH; default) or spacing (label spacing_multiplier: a positive number)",
    )
    return Order(**vars(parser.parse_args(argv)))


def _git_sha(out_dir: Path, run: Runner) -> str | None:
    """The commit checked out where the artifact will be, or ``None`` without a repository, git or a commit."""
    folder = next(parent for parent in out_dir.absolute().parents if parent.is_dir())
    try:
        finished = run(["git", "-C", folder, "rev-parse", "--verify", "--quiet", "HEAD"], deadline_s=10)
    except Unavailable:
        return None
    return finished.out.decode("ascii", "replace").strip() if finished.code == 0 else None
