"""One training run: dataset, model, golden vectors, train report and manifest, as one new artifact directory."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml.artifacts.ids import is_artifact_id
from ml.artifacts.manifest import (
    GOLDEN_FILE,
    MODEL_FILE,
    TRAIN_REPORT_FILE,
    encode,
    golden_document,
    manifest_document,
    new_directory,
    require_free,
    sha256,
    write_documents,
)
from ml.artifacts.questions import market_features
from ml.clock import SystemClock, format_utc
from ml.contract import FAMILIES, FEATURES, REGIMES, family_of
from ml.errors import ConsoleError, Unavailable, Usage
from ml.ports import Runner
from ml.text import visible
from ml.training.dataset import synthetic
from ml.training.model import convert

if TYPE_CHECKING:
    from ml.training.dataset import Dataset
    from ml.training.model import Error, Quality, Trained


_GOLDEN_ROWS = 16
_LIBRARIES = ("numpy", "scikit-learn", "skl2onnx", "onnx")
_MODULES = ("sklearn", "skl2onnx", "onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The training request of the command line. ``n_samples`` of ``None``: the default, or all rows.

    ``model_type`` is a family of the runbook: ``regime`` or ``spacing``.
    """

    out_dir: Path
    dataset_id: str
    seed: int
    n_samples: int | None = None
    notes: str = ""
    dataset_path: Path | None = None
    model_type: str = "regime"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a training: the directory, the model's digest and size in bytes, its quality on held-out rows."""

    directory: Path
    model_sha256: str
    model_bytes: int
    quality: str


def train_artifact(order: Order, *, git_sha: str | None, now: datetime) -> Result:
    """Train a model and write its artifact.

    The bytes of ``model.onnx`` depend on model type, seed, dataset id, sample count (and the dataset file, if any).

    Raises:
        Usage: the directory is taken, or a number is out of range.
        Unavailable: the extra ``train`` is not installed.
        Invalid: the dataset is unusable.
    """
    require_free(order.out_dir)
    _require_extra()
    from ml.training import dataset, model  # noqa: PLC0415 - both need the extra

    _require_range("--seed", order.seed, 0, 2**63 - 1)
    if order.n_samples is not None:
        _require_range("--n-samples", order.n_samples, dataset.MIN_SAMPLES, dataset.MAX_SAMPLES)
    rows, kind = order.n_samples, dataset.ModelType(order.model_type)
    if order.dataset_path is not None:
        data = dataset.load(order.dataset_path, dataset.seed_for(order.dataset_id, order.seed, rows or 0), rows, kind)
    else:
        rows = rows or dataset.DEFAULT_SAMPLES
        data = dataset.synthetic(dataset.seed_for(order.dataset_id, order.seed, rows), rows, kind)
    trained = model.train(data, market_features(order.seed, _GOLDEN_ROWS))
    return _write(order, data, trained, git_sha, now)


def _write(order: Order, data: Dataset, trained: Trained, git_sha: str | None, now: datetime) -> Result:
    digest = sha256(trained.onnx)
    files = {
        MODEL_FILE: trained.onnx,
        GOLDEN_FILE: golden_document(
            trained.golden_inputs.astype(float).tolist(), trained.golden_outputs.round(9).tolist()
        ),
        TRAIN_REPORT_FILE: _report(order, data, trained, digest, git_sha, now),
    }
    manifest = manifest_document(
        {name: sha256(content) for name, content in files.items()},
        created_at=now,
        git_sha=git_sha,
        dataset_id=order.dataset_id,
        notes=order.notes,
        contract=FAMILIES[order.model_type],
    )
    with new_directory(order.out_dir) as workshop:
        write_documents(workshop, files, manifest)
    return Result(order.out_dir, digest, len(trained.onnx), _said(trained.quality))


def _report(order: Order, data: Dataset, trained: Trained, digest: str, git_sha: str | None, now: datetime) -> bytes:
    return encode(
        {
            "schema_version": "v1",
            "model_sha256": digest,
            "created_at_utc": format_utc(now),
            "git_sha": git_sha,
            "dataset_id": order.dataset_id,
            "dataset_file": order.dataset_path.name if order.dataset_path else None,
            "dataset_sha256": data.sha256,
            "seed": order.seed,
            "n_samples": len(data.labels),
            "notes": order.notes,
            **_algorithm(order.model_type, data),
            "held_out": asdict(trained.quality),
            "versions": {"python": platform.python_version()}
            | {library: importlib.metadata.version(library) for library in _LIBRARIES},
        }
    )


def _algorithm(model_type: str, data: Dataset) -> dict[str, object]:
    if model_type == "regime":
        counts = {regime: int((data.labels == index).sum()) for index, regime in enumerate(REGIMES)}
        algorithm = "StandardScaler, LogisticRegression (multinomial)"
        return {"algorithm": algorithm, "feature_order": list(FEATURES), "classes": counts}
    ordered = sorted(data.labels.tolist())
    target = {"lowest": ordered[0], "median": ordered[len(ordered) // 2], "highest": ordered[-1]}
    return {
        "algorithm": "StandardScaler, Ridge, Clip",
        "model_type": model_type,
        "feature_order": list(FEATURES),
        "target": {name: round(value, 6) for name, value in target.items()},
    }


def _said(quality: Quality | Error) -> str:
    """A model's quality in words."""
    accuracy = getattr(quality, "accuracy", None)
    if accuracy is not None:
        return f"accuracy {accuracy:.3f}"
    return f"mean absolute error {getattr(quality, 'mean_absolute_error', float('nan')):.3f}"


def _require_range(flag: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise Usage(f"{flag} {value} is not between {least} and {most}.")


def _require_extra() -> None:
    missing = [module for module in _MODULES if importlib.util.find_spec(module) is None]
    if missing:
        raise Unavailable(
            f"Training needs the extra 'train'; not installed: {', '.join(missing)}.",
            "Install it with: pip install 'mlconsole[train]'",
        )


# The command line of the trainer, with the runbook's flags (runbook, step 1).


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


# The golden artifact: one model of each family that we serve, in a voting ensemble, to check the runtime.
#
# It is not for trading. Linear, neural and tree operators all take part in every answer, and scikit-learn's own
# probabilities are recorded beside it (`golden_document`).

_SEED = 1
_TRAINING_ROWS = 4000
_VECTORS = 64
_DATASET_ID = "synthetic_market"


def make_golden(out_dir: Path, now: datetime) -> None:
    """Write the golden artifact to a new directory. Raises `ml.errors.Usage` when it is taken."""
    from sklearn.ensemble import RandomForestClassifier, VotingClassifier  # noqa: PLC0415 - extra
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    families = [
        ("linear", LogisticRegression(max_iter=1000)),
        ("neural", MLPClassifier((16,), max_iter=200, early_stopping=True, random_state=_SEED)),
        ("trees", RandomForestClassifier(10, max_depth=4, random_state=_SEED)),
    ]
    pipeline = make_pipeline(StandardScaler(), VotingClassifier(families, voting="soft", flatten_transform=False))
    data = synthetic(_SEED, _TRAINING_ROWS)
    pipeline.fit(data.features, data.labels)
    inputs = market_features(_SEED + 1, _VECTORS)
    model = convert(pipeline)
    files = {
        MODEL_FILE: model,
        GOLDEN_FILE: golden_document(inputs.astype(float).tolist(), pipeline.predict_proba(inputs).round(9).tolist()),
        TRAIN_REPORT_FILE: encode(
            {"schema_version": "v1", "model_sha256": sha256(model), "created_at_utc": format_utc(now), "seed": _SEED}
        ),
    }
    manifest = manifest_document(
        {name: sha256(content) for name, content in files.items()},
        created_at=now,
        git_sha=None,
        dataset_id=_DATASET_ID,
        notes="Guards the runtime; never served.",
    )
    with new_directory(out_dir) as workshop:
        write_documents(workshop, files, manifest)
