"""One training run: dataset, model, golden vectors, train report and manifest, as one new artifact directory."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml.artifacts.manifest import GOLDEN_FILE, MODEL_FILE, TRAIN_REPORT_FILE, encode
from ml.artifacts.questions import market_features
from ml.artifacts.writing import (
    golden_document,
    manifest_document,
    new_directory,
    require_free,
    sha256,
    write_documents,
)
from ml.clock import format_utc
from ml.contract import FEATURES, REGIMES
from ml.errors import Unavailable, Usage

if TYPE_CHECKING:
    from ml.training.dataset import Dataset
    from ml.training.model import Trained

_GOLDEN_ROWS = 16
_LIBRARIES = ("numpy", "scikit-learn", "skl2onnx", "onnx")
_MODULES = ("sklearn", "skl2onnx", "onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The training request of the command line. ``n_samples`` of ``None``: the default, or all rows."""

    out_dir: Path
    dataset_id: str
    seed: int
    n_samples: int | None = None
    notes: str = ""
    dataset_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a training: the directory, the model's digest and size in bytes, its accuracy on held-out rows."""

    directory: Path
    model_sha256: str
    model_bytes: int
    accuracy: float


def train_artifact(order: Order, *, git_sha: str | None, now: datetime) -> Result:
    """Train a regime model and write its artifact.

    The bytes of ``model.onnx`` depend on seed, dataset id, sample count (and the dataset file, if any) alone.

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
    rows = order.n_samples
    if order.dataset_path is not None:
        data = dataset.load(order.dataset_path, dataset.seed_for(order.dataset_id, order.seed, rows or 0), rows)
    else:
        rows = rows or dataset.DEFAULT_SAMPLES
        data = dataset.synthetic(dataset.seed_for(order.dataset_id, order.seed, rows), rows)
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
    )
    with new_directory(order.out_dir) as workshop:
        write_documents(workshop, files, manifest)
    return Result(order.out_dir, digest, len(trained.onnx), trained.quality.accuracy)


def _report(order: Order, data: Dataset, trained: Trained, digest: str, git_sha: str | None, now: datetime) -> bytes:
    counts = {regime: int((data.labels == index).sum()) for index, regime in enumerate(REGIMES)}
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
            "algorithm": "StandardScaler, LogisticRegression (multinomial)",
            "feature_order": list(FEATURES),
            "classes": counts,
            "held_out": asdict(trained.quality),
            "versions": {"python": platform.python_version()}
            | {library: importlib.metadata.version(library) for library in _LIBRARIES},
        }
    )


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
