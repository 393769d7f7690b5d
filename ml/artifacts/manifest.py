"""Strict readers of the two documents beside a model: ``manifest.json`` and ``train_report.json`` (contract §3).

Unknown keys are allowed, because trainers in use write more than we read. Everything that we do read has
one type and one form, and a key that stands twice is refused, since readers disagree about which one counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr, ValidationError, model_validator

from ml.clock import parse_utc
from ml.errors import Invalid
from ml.text import visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Inputs and outputs of every regime model: 15 features in one order, three probabilities (contract §3).

FEATURES = (
    "price_mid",
    "price_bid",
    "price_ask",
    "spread_bps",
    "volume_24h",
    "volume_1h",
    "volatility_1h_bps",
    "volatility_24h_bps",
    "position_size",
    "position_notional",
    "position_pnl_bps",
    "grid_levels_active",
    "grid_utilization_pct",
    "trend_strength",
    "momentum_1h",
)
REGIMES = ("LOW", "MID", "HIGH")
INPUT_NAME = "input"
OUTPUT_NAME = "regime_probs"


def feature_order_hash(features: Sequence[str] = FEATURES) -> str:
    """SHA-256 (hex) of a feature order, as pointers in the registry carry it."""
    return hashlib.sha256(json.dumps(list(features), separators=(",", ":")).encode()).hexdigest()


def market_features(seed: int, rows: int) -> NDArray[np.float32]:
    """Plausible market states: (rows, 15), in the order of `FEATURES`; the same seed gives the same bits.

    One hidden level of turbulence drives volatility, spread, volume and momentum together, so that the
    rows cover calm, ordinary and violent markets.
    """
    import numpy as np  # noqa: PLC0415 - the constants above are imported by screens that must start fast

    rng = np.random.default_rng(seed)
    turbulence = rng.normal(0.0, 0.7, rows)
    mid = 60_000.0 * np.exp(rng.normal(0.0, 0.05, rows))
    volatility_24h = 50.0 * np.exp(turbulence)
    volatility_1h = volatility_24h * np.exp(rng.normal(0.0, 0.25, rows))
    spread = 0.5 + 0.03 * volatility_1h * np.exp(rng.normal(0.0, 0.3, rows))
    volume_24h = 25_000.0 * np.exp(0.4 * turbulence + rng.normal(0.0, 0.3, rows))
    volume_1h = volume_24h / 24.0 * np.exp(0.2 * turbulence + rng.normal(0.0, 0.4, rows))
    position = rng.normal(0.0, 1.5, rows)
    levels = rng.integers(0, 21, rows).astype(np.float64)
    columns = (
        mid,
        mid * (1.0 - spread / 20_000.0),
        mid * (1.0 + spread / 20_000.0),
        spread,
        volume_24h,
        volume_1h,
        volatility_1h,
        volatility_24h,
        position,
        position * mid,
        rng.normal(0.0, 1.0, rows) * volatility_1h / 2.0,
        levels,
        np.clip(5.0 * levels + rng.normal(0.0, 5.0, rows), 0.0, 100.0),
        np.tanh(rng.normal(0.0, 0.8, rows)),
        rng.normal(0.0, 1.0, rows) * volatility_1h,
    )
    return np.stack(columns, axis=1).astype(np.float32)


MANIFEST_FILE = "manifest.json"
TRAIN_REPORT_FILE = "train_report.json"
GOLDEN_FILE = "golden.json"
MODEL_FILE = "model.onnx"
UNLISTED = frozenset({MANIFEST_FILE, TRAIN_REPORT_FILE})
"""The files that a manifest may leave out, as trainers in use do."""
MAX_DOCUMENT_BYTES = 1 << 20


def _plain_name(name: str) -> str:
    if name in ("", ".", "..") or re.search(r"[/\\\x00-\x1f\x7f]", name) or len(name.encode()) > 255:
        raise ValueError("must be the plain name of a file in the artifact, not a path")
    return name


def _utc(text: str) -> str:
    parse_utc(text)
    return text


Sha256 = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
GitSha = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{40}$")]
FileName = Annotated[StrictStr, AfterValidator(_plain_name)]
UtcText = Annotated[StrictStr, AfterValidator(_utc)]
_Inputs = Annotated[list[float], Field(min_length=len(FEATURES), max_length=len(FEATURES))]
_Outputs = Annotated[list[float], Field(min_length=len(REGIMES), max_length=len(REGIMES))]
_MOST_VECTORS = 256


class Manifest(BaseModel):
    """``manifest.json``: which file is the model, and the SHA-256 of every file that counts.

    ``v1`` has no ``feature_order``; its models take the features of `ml.artifacts.manifest` all the same.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    schema_version: Literal["v1", "v1.1"]
    model_file: FileName
    sha256: Mapping[FileName, Sha256]
    created_at: StrictStr
    created_at_utc: UtcText | None = None
    git_sha: GitSha | None = None
    dataset_id: StrictStr | None = None
    feature_order: tuple[StrictStr, ...] = Field(default=FEATURES, strict=False)
    notes: StrictStr | None = None

    @property
    def model_sha256(self) -> str:
        """The digest that the manifest gives for its model file; empty when it lists none."""
        return self.sha256.get(self.model_file, "")


class TrainReport(BaseModel):
    """``train_report.json``: which model the training made. Everything else in it is for people."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    model_sha256: Sha256


class GoldenVectors(BaseModel):
    """``golden.json``: inputs (n, 15) and the probabilities (n, 3) that the trainer expects for them."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    inputs: list[_Inputs] = Field(min_length=1, max_length=_MOST_VECTORS)
    outputs: list[_Outputs] = Field(min_length=1, max_length=_MOST_VECTORS)

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.inputs) != len(self.outputs):
            raise ValueError(f"{len(self.inputs)} inputs for {len(self.outputs)} outputs")
        return self


_Document = TypeVar("_Document", bound=BaseModel)


def parse_manifest(raw: bytes) -> Manifest:
    """Read a manifest. Raises `ml.errors.Invalid` naming the field that is wrong."""
    return _parse(MANIFEST_FILE, raw, Manifest)


def parse_train_report(raw: bytes) -> TrainReport:
    """Read a train report. Raises `ml.errors.Invalid` naming the field that is wrong."""
    return _parse(TRAIN_REPORT_FILE, raw, TrainReport)


def parse_golden(raw: bytes) -> GoldenVectors:
    """Read golden vectors. Raises `ml.errors.Invalid` naming the field that is wrong."""
    return _parse(GOLDEN_FILE, raw, GoldenVectors)


def encode(document: Mapping[str, object]) -> bytes:
    """Write a document the way all of ours are written: indented, keys as given, one final newline."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _parse(name: str, raw: bytes, schema: type[_Document]) -> _Document:
    try:
        return schema.model_validate(_strict_json(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        raise Invalid(
            f"{name}: {visible(field, limit=120)}: {visible(first['msg'].removeprefix('Value error, '), limit=200)}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{name} is not valid JSON: {visible(str(error), limit=200)}.") from None


def _strict_json(raw: bytes) -> Any:
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"it is larger than {MAX_DOCUMENT_BYTES} bytes")
    return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice")
        found[key] = value
    return found


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a number")
