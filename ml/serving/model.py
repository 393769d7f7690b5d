"""One artifact, loaded: digests checked first, then one onnxruntime session on one thread."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ml.contract import FEATURES, OUTPUT_NAME
from ml.errors import Invalid
from ml.serving.registry_file import Deployment
from ml.text import visible


class ModelRefused(Invalid):
    """An artifact that the engine does not load. Its cause begins with the event that the runbook names."""


class LoadedModel:
    """An artifact that matches the registry's digest, ready to infer."""

    def __init__(self, deployment: Deployment, base: Path) -> None:
        """Check and load ``base / deployment.artifact_dir``.

        Raises:
            Invalid: a file is missing or differs from its digest, or onnxruntime refuses the model.
        """
        self.deployment = deployment
        directory = base / deployment.artifact_dir
        path = _pinned(directory, deployment.model_sha256)
        try:
            self._session = onnxruntime.InferenceSession(path, _one_thread(), providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
            self.infer(np.zeros((1, len(FEATURES)), np.float32))  # warms up, and proves width and output name
        except Exception as error:  # onnxruntime's own errors share no base class but Exception
            raise _refused("ONNX_LOAD_FAILED", f"{deployment.artifact_id}: {error}") from error

    def infer(self, snapshot: NDArray[np.float32]) -> NDArray[np.float32]:
        """Regime probabilities of a snapshot of shape (n, 15); shape (n, 3), each row sums to one.

        Raises:
            ValueError: the model answered something that is no probability.
        """
        (probabilities,) = self._session.run([OUTPUT_NAME], {self._input: snapshot})
        row_sums = probabilities.sum(axis=1)
        if not all(math.isclose(total, 1.0, abs_tol=1e-3) for total in row_sums):
            raise ValueError("the model's probabilities do not sum to one")
        return np.asarray(probabilities, np.float32)


def _pinned(directory: Path, model_sha256: str) -> Path:
    """The model file, after every file that the manifest lists has proven its digest."""
    try:
        manifest = json.loads((directory / "manifest.json").read_bytes())
        name, digests = str(manifest["model_file"]), dict(manifest["sha256"])
        found = {listed: _sha256(directory / listed) for listed in {name, *digests}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refused("ONNX_ARTIFACT_UNREADABLE", f"{directory.name}: {error}") from error
    wrong = sorted(listed for listed in digests if found[listed] != digests[listed])
    if wrong or found[name] != (model_sha256 or digests.get(name)):
        raise _refused("ONNX_DIGEST_MISMATCH", f"{directory.name}: {', '.join(wrong) or name}")
    return directory / name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _refused(code: str, what: str) -> ModelRefused:
    return ModelRefused(f"{code} {visible(what, limit=400)}", "Run `mlconsole verify` on the artifact.")
