"""The training of ``model.onnx`` from rows: a scaled multinomial logistic regression, the same bytes every time.

The problem is convex, so that any solver that converges finds the one optimum; rounding the coefficients
afterwards removes what is left of the solver's path, of threads and of the processor (scikit-learn
user guide, 1.1.11 Logistic regression). The graph gets fixed names in place of skl2onnx's random ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.contract import FEATURES, INPUT_NAME, OUTPUT_NAME, REGIMES
from ml.training.dataset import Dataset

_DECIMALS = 4
_OPSETS = {"": 17, "ai.onnx.ml": 3}
_HOLD_OUT = 5
"""Every fifth row is kept from training and judges it."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The model's quality on held-out rows; ``confusion[truth][answer]`` counts them, LOW to HIGH."""

    rows: int
    accuracy: float
    log_loss: float
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model: its ONNX bytes, its quality, and golden vectors computed by scikit-learn itself."""

    onnx: bytes
    quality: Quality
    golden_inputs: NDArray[np.float32]
    golden_outputs: NDArray[np.float64]


def train(dataset: Dataset, golden_inputs: NDArray[np.float32]) -> Trained:
    """Fit and convert. The golden outputs come from scikit-learn, so that they also check the conversion.

    Args:
        dataset: the rows; every fifth one is held out.
        golden_inputs: (n, 15) inputs for the recorded probabilities.
    """
    held = np.arange(len(dataset.labels)) % _HOLD_OUT == 0
    pipeline = _fit(dataset.features[~held], dataset.labels[~held])
    return Trained(
        onnx=convert(pipeline),
        quality=_judge(pipeline, dataset.features[held], dataset.labels[held]),
        golden_inputs=golden_inputs,
        golden_outputs=pipeline.predict_proba(golden_inputs),
    )


def _fit(features: NDArray[np.float32], labels: NDArray[np.int64]) -> Any:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - the extra may be missing
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    classifier = LogisticRegression(tol=1e-10, max_iter=10_000)
    pipeline = make_pipeline(StandardScaler(), classifier)
    with threadpool_limits(limits=1):
        pipeline.fit(features.astype(np.float64), labels)
    classifier.coef_ = np.round(classifier.coef_, _DECIMALS)
    classifier.intercept_ = np.round(classifier.intercept_, _DECIMALS)
    return pipeline


def convert(pipeline: Any) -> bytes:
    """A fitted scikit-learn classifier of the 15 features as ONNX, giving its probabilities alone."""
    from skl2onnx import convert_sklearn  # noqa: PLC0415
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415

    model = convert_sklearn(
        pipeline,
        name="regime_classifier",
        initial_types=[(INPUT_NAME, FloatTensorType([None, len(FEATURES)]))],
        options={id(pipeline): {"zipmap": False}},
        target_opset=_OPSETS,
    )
    _keep_probabilities(model.graph)
    del model.opset_import[:]
    for domain, version in _OPSETS.items():
        model.opset_import.add(domain=domain, version=version)
    model.producer_name, model.producer_version, model.graph.name = "mlconsole", "", "regime_classifier"
    return bytes(model.SerializeToString(deterministic=True))


def _keep_probabilities(graph: Any) -> None:
    """Make the probabilities the one output, under the name that the engine reads; the label goes."""
    old = next(output for output in graph.output if output.name == "probabilities")
    kept = type(old).FromString(old.SerializeToString())
    kept.name = OUTPUT_NAME
    del graph.output[:]
    graph.output.append(kept)
    needed = {OUTPUT_NAME}
    for node in reversed(list(graph.node)):
        for names in (node.input, node.output):
            names[:] = [OUTPUT_NAME if name == old.name else name for name in names]
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            needed.update(node.input)


def _judge(pipeline: Any, features: NDArray[np.float32], labels: NDArray[np.int64]) -> Quality:
    probabilities = pipeline.predict_proba(features)
    answers = probabilities.argmax(axis=1)
    confusion = np.zeros((len(REGIMES), len(REGIMES)), dtype=int)
    np.add.at(confusion, (labels, answers), 1)
    likelihood = np.clip(probabilities[np.arange(len(labels)), labels], 1e-15, 1.0)
    return Quality(
        rows=len(labels),
        accuracy=round(float((answers == labels).mean()), 6),
        log_loss=round(float(-np.log(likelihood).mean()), 6),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )
