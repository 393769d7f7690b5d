"""Strict readers of the two documents beside a model: ``manifest.json`` and ``train_report.json`` (contract §3).

Unknown keys are allowed, because trainers in use write more than we read. Everything that we do read has
one type and one form, and a key that stands twice is refused, since readers disagree about which one counts.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import prod
from pathlib import Path
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
from ml.clock import format_utc, parse_utc
from ml.contract import FAMILIES, FEATURES, FREE, REGIME, Contract, Input, Output
from ml.contract_reader import parse_contract
from ml.errors import Invalid, Unavailable, Usage
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


# Writer of an artifact directory: all of it or nothing, and never over another one.


def manifest_document(
    digests: Mapping[str, str],
    *,
    created_at: datetime,
    git_sha: str | None,
    dataset_id: str,
    notes: str,
    contract: Contract = REGIME,
) -> bytes:
    """A manifest ``v1.1`` that lists every file in ``digests`` (name to SHA-256).

    It states the features that the contract names, and no others. It states the contract itself where that is not one
    of the runbook's, so that an engine without the policy can follow it.
    """
    moment = format_utc(created_at)
    document: dict[str, object] = {
        "schema_version": "v1.1",
        "model_file": MODEL_FILE,
        "sha256": dict(sorted(digests.items())),
        "created_at": moment,
        "created_at_utc": moment,
        "git_sha": git_sha,
        "dataset_id": dataset_id,
    }
    if contract.features:
        document["feature_order"] = list(contract.features)
    document["notes"] = notes
    if contract not in FAMILIES.values():
        document["contract"] = replace(contract, left_open=()).document()
    return encode(document)


_Table = Sequence[Sequence[float | str]]


def golden_document(inputs: _Table, outputs: _Table) -> bytes:
    """Golden vectors, one pair of rows to a line, so that a difference can be read in a diff."""
    first, second = (_rows(part, 4) for part in (inputs, outputs))
    return f'{{\n  "schema_version": "v1",\n  "inputs": {first},\n  "outputs": {second}\n}}\n'.encode()


def named_golden_document(inputs: Mapping[str, _Table], outputs: Mapping[str, _Table]) -> bytes:
    """Golden vectors by the names of inputs and outputs, for a model with several of them."""
    first, second = (
        ",\n".join(f"    {json.dumps(name)}: {_rows(rows, 6)}" for name, rows in part.items())
        for part in (inputs, outputs)
    )
    head = '{\n  "schema_version": "v2",\n  "inputs": {\n'
    return f'{head}{first}\n  }},\n  "outputs": {{\n{second}\n  }}\n}}\n'.encode()


def _rows(rows: _Table, indent: int) -> str:
    lines = ",\n".join(f"{' ' * indent}{json.dumps(list(row))}" for row in rows)
    return f"[\n{lines}\n{' ' * (indent - 2)}]"


def sha256(data: bytes) -> str:
    """SHA-256 of bytes in memory, in hex."""
    return hashlib.sha256(data).hexdigest()


def require_free(directory: Path) -> None:
    """Refuse a directory that holds anything already. Raises `ml.errors.Usage`."""
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise _taken(directory)


@contextlib.contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """A private directory beside the wanted one, renamed into place when the block ends well, else removed.

    Raises:
        Usage: the wanted directory is taken, also when that happens while the block runs.
        Unavailable: the file system refuses.
    """
    require_free(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise _unwritable(directory, error) from error
    try:
        yield workshop
        _sync(workshop)
        workshop.chmod(0o755)
        workshop.rename(directory)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise _taken(directory) from error
        raise _unwritable(directory, error) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def write_documents(workshop: Path, files: Mapping[str, bytes], manifest: bytes) -> None:
    """Write an artifact's small files and its manifest into a directory from `new_directory`."""
    for name, data in {**files, MANIFEST_FILE: manifest}.items():
        (workshop / name).write_bytes(data)


def _sync(workshop: Path) -> None:
    """Bring the files to the disk before the rename makes them visible under their name."""
    for path in (*workshop.iterdir(), workshop):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _taken(directory: Path) -> Usage:
    return Usage(f"{visible(str(directory))} exists already.", "Nothing was overwritten; choose another directory.")


def _unwritable(directory: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{visible(str(directory))} cannot be written: {error.strerror}.", "Correct that or choose another directory."
    )
