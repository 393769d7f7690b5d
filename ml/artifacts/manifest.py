"""Strict readers of the two documents beside a model: ``manifest.json`` and ``train_report.json`` (contract §3).

Unknown keys are allowed, because trainers in use write more than we read. Everything that we do read has
one type and one form, and a key that stands twice is refused, since readers disagree about which one counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr, ValidationError, model_validator

from ml.clock import parse_utc
from ml.contract import FEATURES, REGIMES
from ml.errors import Invalid
from ml.text import visible


def feature_order_hash(features: Sequence[str] = FEATURES) -> str:
    """SHA-256 (hex) of a feature order, as pointers in the registry carry it."""
    return hashlib.sha256(json.dumps(list(features), separators=(",", ":")).encode()).hexdigest()


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

    ``v1`` has no ``feature_order``; its models take the features of `ml.contract` all the same.
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
