"""The golden artifact: one model of each family that we serve, in a voting ensemble, to check the runtime.

It is not for trading. Linear, neural and tree operators all take part in every answer, and scikit-learn's
own probabilities are recorded beside it (see `ml.artifacts.golden`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ml.artifacts.manifest import GOLDEN_FILE, MODEL_FILE, TRAIN_REPORT_FILE, encode
from ml.artifacts.questions import market_features
from ml.artifacts.writing import golden_document, manifest_document, new_directory, sha256, write_documents
from ml.clock import format_utc
from ml.training.dataset import synthetic
from ml.training.model import convert

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
