"""The training of ``model.onnx`` from rows: a scaled linear model, the same bytes every time.

A regime model is a multinomial logistic regression. A spacing model is a ridge regression with bounds, so that the
multiplier is always positive. Either problem is convex, so that any solver that converges finds the one optimum;
rounding the coefficients afterwards removes what is left of the solver's path, of threads and of the processor
(scikit-learn user guide, 1.1.2 and 1.1.11). The graph gets fixed names in place of skl2onnx's random ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.artifacts.answers import NOISE
from ml.contract import FEATURES, INPUT_NAME, OUTPUT_NAME, REGIMES, SPACING_NAME
from ml.training.dataset import Dataset, ModelType

_DECIMALS = 4
_OPSETS = {"": 17, "ai.onnx.ml": 3}
_HOLD_OUT = 5
"""Every fifth row is kept from training and judges it."""
_BOUNDS = (0.05, 20.0)
"""The bounds of a multiplier, whatever the market."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The model's quality on held-out rows; ``confusion[truth][answer]`` counts them, LOW to HIGH."""

    rows: int
    accuracy: float
    log_loss: float
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Error:
    """A multiplier's error on held-out rows: mean absolute error, its 90th percentile, and the share explained."""

    rows: int
    mean_absolute_error: float
    p90_absolute_error: float
    r2: float


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model: its ONNX bytes, its quality, and golden vectors computed by scikit-learn itself."""

    onnx: bytes
    quality: Quality | Error
    golden_inputs: NDArray[np.float32]
    golden_outputs: NDArray[np.float64]


def train(dataset: Dataset, golden_inputs: NDArray[np.float32]) -> Trained:
    """Fit and convert. The golden outputs come from scikit-learn, so that they also check the conversion.

    Args:
        dataset: the rows; every fifth one is held out.
        golden_inputs: (n, 15) inputs for the recorded answers; rows of the dataset replace them if the model gives
            all of them one answer.
    """
    train_one = _train_regime if dataset.model_type is ModelType.REGIME else _train_spacing
    return train_one(dataset, golden_inputs)


def _train_regime(dataset: Dataset, golden_inputs: NDArray[np.float32]) -> Trained:
    held = np.arange(len(dataset.labels)) % _HOLD_OUT == 0
    pipeline = _fit(dataset.features[~held], dataset.labels[~held])
    inputs = _lively(pipeline.predict_proba, golden_inputs, dataset.features[held])
    return Trained(
        onnx=convert(pipeline),
        quality=_judge(pipeline, dataset.features[held], dataset.labels[held]),
        golden_inputs=inputs,
        golden_outputs=pipeline.predict_proba(inputs),
    )


def _lively(
    answer: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    inputs: NDArray[np.float32],
    rows: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The inputs, or rows of the dataset where all of the inputs get one answer, which would prove nothing."""
    return inputs if np.ptp(answer(inputs), axis=0).max() > NOISE else rows[: len(inputs)]


def _train_spacing(dataset: Dataset, golden_inputs: NDArray[np.float32]) -> Trained:
    held = np.arange(len(dataset.labels)) % _HOLD_OUT == 0
    pipeline = _fit_spacing(dataset.features[~held], dataset.labels[~held].astype(np.float64))

    def answer(features: NDArray[np.float32]) -> NDArray[np.float64]:
        multipliers = pipeline.predict(features.astype(np.float64)).reshape(-1, 1)
        return np.asarray(np.clip(multipliers, *_BOUNDS), dtype=np.float64)

    inputs = _lively(answer, golden_inputs, dataset.features[held])
    return Trained(
        onnx=convert_spacing(pipeline),
        quality=_error(answer(dataset.features[held])[:, 0], dataset.labels[held].astype(np.float64)),
        golden_inputs=inputs,
        golden_outputs=answer(inputs),
    )


def _fit_spacing(features: NDArray[np.float32], labels: NDArray[np.float64]) -> Any:
    from sklearn.linear_model import Ridge  # noqa: PLC0415 - the extra may be missing
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    regression = Ridge(alpha=1.0, solver="cholesky")
    pipeline = make_pipeline(StandardScaler(), regression)
    with threadpool_limits(limits=1):
        pipeline.fit(features.astype(np.float64), labels)
    regression.coef_ = np.round(regression.coef_, _DECIMALS)
    regression.intercept_ = float(np.round(regression.intercept_, _DECIMALS))
    return pipeline


def _error(found: NDArray[np.float64], truth: NDArray[np.float64]) -> Error:
    apart = np.abs(found - truth)
    spread = float(((truth - truth.mean()) ** 2).sum())
    return Error(
        rows=len(truth),
        mean_absolute_error=round(float(apart.mean()), 6),
        p90_absolute_error=round(float(np.percentile(apart, 90)), 6),
        r2=round(1.0 - float((apart**2).sum()) / spread, 6) if spread else 0.0,
    )


def _fit(features: NDArray[np.float32], labels: NDArray[Any]) -> Any:
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
    model = _converted(pipeline, "regime_classifier", {"zipmap": False})
    _keep_probabilities(model.graph)
    return _finished(model, "regime_classifier")


def convert_spacing(pipeline: Any) -> bytes:
    """A fitted scikit-learn regression of the multiplier as ONNX, with its bounds."""
    model = _converted(pipeline, "spacing", {})
    _bound(model.graph)
    return _finished(model, "spacing")


def _converted(pipeline: Any, name: str, options: Mapping[str, bool]) -> Any:
    from skl2onnx import convert_sklearn  # noqa: PLC0415
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415

    return convert_sklearn(
        pipeline,
        name=name,
        initial_types=[(INPUT_NAME, FloatTensorType([None, len(FEATURES)]))],
        options={id(pipeline): dict(options)} if options else None,
        target_opset=_OPSETS,
    )


def _finished(model: Any, name: str) -> bytes:
    """The model's bytes, without anything that differs from run to run."""
    del model.opset_import[:]
    for domain, version in _OPSETS.items():
        model.opset_import.add(domain=domain, version=version)
    model.producer_name, model.producer_version, model.graph.name = "mlconsole", "", name
    return bytes(model.SerializeToString(deterministic=True))


def _bound(graph: Any) -> None:
    """Keep the one output within the bounds, under the name that the engine reads."""
    from onnx import helper, numpy_helper  # noqa: PLC0415

    (output,) = graph.output
    for name, bound in zip(("lowest", "highest"), _BOUNDS, strict=True):
        graph.initializer.append(numpy_helper.from_array(np.array(bound, dtype=np.float32), name))
    graph.node.append(helper.make_node("Clip", [output.name, "lowest", "highest"], [SPACING_NAME], name="Clip"))
    output.name = SPACING_NAME


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


def _judge(pipeline: Any, features: NDArray[np.float32], labels: NDArray[Any]) -> Quality:
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
