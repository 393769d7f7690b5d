"""Strict readers of the two documents beside a model: ``manifest.json`` and ``train_report.json`` (contract §3).

Unknown keys are allowed, because trainers in use write more than we read. Everything that we do read has
one type and one form, and a key that stands twice is refused, since readers disagree about which one counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from ml.artifacts.protocol import Golden, Rows
from ml.clock import parse_utc
from ml.contract import FEATURES, FREE, REGIME, Contract, Input, Output
from ml.contract_reader import parse_contract
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


def _contract(given: object) -> Contract | None:
    return None if given is None else parse_contract(given)


def _utc(text: str) -> str:
    parse_utc(text)
    return text


Sha256 = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
GitSha = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{40}$")]
FileName = Annotated[StrictStr, AfterValidator(_plain_name)]
UtcText = Annotated[StrictStr, AfterValidator(_utc)]
_Row = Annotated[list[StrictFloat | StrictInt | StrictBool | StrictStr], Field(min_length=1, max_length=1 << 16)]
_MOST_VECTORS = 256
_Rows = Annotated[list[_Row], Field(min_length=1, max_length=_MOST_VECTORS)]


class Manifest(BaseModel):
    """``manifest.json``: which file is the model, and the SHA-256 of every file that counts.

    ``v1`` has no ``feature_order``; its models take the runbook's features, or those of their ``contract``.
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
    contract: Annotated[Contract | None, BeforeValidator(_contract)] = None

    @property
    def stated_features(self) -> tuple[str, ...] | None:
        """The feature order that the manifest itself states; ``None`` where it states none."""
        return self.feature_order if "feature_order" in self.model_fields_set else None

    @property
    def features(self) -> tuple[str, ...]:
        """The feature order of the model: as stated, else as its contract has it, else the runbook's."""
        if self.contract is not None and self.stated_features is None:
            return self.contract.features
        return self.feature_order

    @property
    def model_sha256(self) -> str:
        """The digest that the manifest gives for its model file; empty when it lists none."""
        return self.sha256.get(self.model_file, "")


class TrainReport(BaseModel):
    """``train_report.json``: which model the training made. Everything else in it is for people."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    model_sha256: Sha256


class _GoldenDocument(BaseModel):
    """``golden.json``: questions, and the answers that the trainer expects to them.

    Each is a list of rows for the only input and the first required output, or a table of such lists by name.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    inputs: _Rows | dict[str, _Rows]
    outputs: _Rows | dict[str, _Rows]


_Document = TypeVar("_Document", bound=BaseModel)


def parse_manifest(raw: bytes) -> Manifest:
    """Read a manifest. Raises `ml.errors.Invalid` naming the field that is wrong."""
    return _parse(MANIFEST_FILE, raw, Manifest)


def parse_train_report(raw: bytes) -> TrainReport:
    """Read a train report. Raises `ml.errors.Invalid` naming the field that is wrong."""
    return _parse(TRAIN_REPORT_FILE, raw, TrainReport)


def parse_golden(raw: bytes, contract: Contract = REGIME) -> Golden:
    """Read the golden vectors of a model. Raises `ml.errors.Invalid` naming the field that is wrong."""
    document = _parse(GOLDEN_FILE, raw, _GoldenDocument)
    inputs, outputs = document.inputs, document.outputs
    golden = Golden(
        inputs=_by_name(inputs if isinstance(inputs, dict) else {contract.inputs[0].name: inputs}),
        outputs=_by_name(outputs if isinstance(outputs, dict) else {contract.required[0].name: outputs}),
    )
    why = _misfit(golden, contract)
    if why:
        raise Invalid(f"{GOLDEN_FILE}: {why}.")
    return golden


def _by_name(rows: Mapping[str, list[_Row]]) -> dict[str, tuple[tuple[float | str, ...], ...]]:
    return {name: tuple(map(tuple, each)) for name, each in rows.items()}


def _misfit(golden: Golden, contract: Contract) -> str:
    """Say in one clause why some vectors are not of a contract; empty where they may be."""
    if set(golden.inputs) != {one.name for one in contract.inputs}:
        return "its inputs are not those of the model's contract"
    if not {one.name for one in contract.required[:1]} <= set(golden.outputs):
        return f"its outputs lack {contract.required[0].name}"
    numbers = {len(rows) for rows in (*golden.inputs.values(), *golden.outputs.values())}
    if len(numbers) != 1:
        return f"{max(numbers)} rows stand beside {min(numbers)}"
    tensors: list[tuple[Input | Output, Rows]] = [(one, golden.inputs[one.name]) for one in contract.inputs]
    tensors += [(one, golden.outputs[one.name]) for one in contract.outputs if one.name in golden.outputs]
    return next(filter(None, (_misfit_of(one, rows) for one, rows in tensors)), "")


def _misfit_of(one: Input | Output, rows: Rows) -> str:
    shown, text = visible(one.name, limit=60), one.datatype == "BYTES"
    if any(isinstance(value, str) is not text for row in rows for value in row):
        return f"{shown} holds values that are not {one.datatype}"
    inner = one.shape[1:] if one.shape is not None else ()
    width = prod(inner)
    if one.shape is not None and FREE not in inner and any(len(row) != width for row in rows):
        return f"{shown} has rows that are not {width} wide"
    return ""


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
