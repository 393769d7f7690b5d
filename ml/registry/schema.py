"""The content of `models.json` as frozen pydantic models: pointers, events, models (contract §2).

Reading is lenient, because existing files vary: only indispensable fields are required, and unknown keys are kept.
Writing is strict; its rules are further down in this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

from ml.stage import Stage

# Paths of the registry, relative to the repository root, with ``/``.

REGISTRY_PATH = "ml/registry/models.json"
POLICY_PATH = "ml/registry/policy.toml"
ARTIFACTS_PATH = "artifacts/onnx"

MAX_HISTORY = 50
"""Most events that the engine accepts in a model's history; older ones move to `archive_path`."""


def archive_path(model: str) -> str:
    """The JSON Lines file that keeps a model's events beyond the newest `MAX_HISTORY`, oldest first."""
    return f"ml/registry/archive/{model}.jsonl"


def located(artifact_dir: str, artifact_base: str) -> str:
    """A pointer's directory from the repository root; ``artifact_base`` is ``.`` or a folder below the root."""
    return str(PurePosixPath(artifact_base, artifact_dir))


@lru_cache(maxsize=4096)
def plain_directory(artifact_dir: str) -> str:
    """A pointer's directory in its one form, without ``./`` before it or ``/`` behind it."""
    return str(PurePosixPath(artifact_dir))


# The trading engine's rules for a file (contract §2). All our writing keeps them.

_GIT_SHA = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

TIME_KEYS = ("created_at_utc", "promoted_at_utc")
ACTIVE_KEYS = ("git_sha", "dataset_id", "promoted_at_utc")


def is_git_sha(value: object) -> bool:
    """True if this is a commit as the engine takes it: 40 lowercase hex digits."""
    return isinstance(value, str) and bool(_GIT_SHA.fullmatch(value))


def is_digest(value: object) -> bool:
    """True if this is a SHA-256 in 64 lowercase hex digits."""
    return isinstance(value, str) and bool(_DIGEST.fullmatch(value))


def pointer_faults(pointer: Mapping[str, object], *, active: bool) -> tuple[tuple[str, str], ...]:
    """Each key of a pointer that the engine refuses, with the reason in words. Path and id are the schema's matter."""
    found = []
    sha = pointer.get("git_sha")
    if sha is not None and not is_git_sha(sha):
        found.append(("git_sha", "git_sha is neither null nor 40 lowercase hex digits"))
    for key in TIME_KEYS:
        value = pointer.get(key)
        if value is not None and not str(value).endswith("Z"):
            found.append((key, f"{key} does not end in Z"))
    if active:
        found += [(key, f"an active pointer needs {key}") for key in ACTIVE_KEYS if not pointer.get(key)]
    return tuple(found)


# The two vocabularies of events, the runbook's and the engine's, in one table (contract §2).
#
# Reading takes the first word that is there; writing adds all of them. Words without an alias are the same in both.

ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "at": ("timestamp_utc", "ts_utc"),
        "action": ("action",),
        "from_stage": ("from_stage",),
        "to_stage": ("to_stage",),
        "artifact_id": ("artifact_id", "pointer.artifact_id"),
        "by": ("by", "actor"),
        "source": ("source",),
        "reason": ("reason", "notes"),
        "pointer": ("pointer",),
        "registry_git_sha": ("registry_git_sha",),
    }
)
"""Our word for each part of an event → the keys that carry it, the runbook's before the engine's.

A dot leads into the pointer, where the engine keeps the artifact's id.
"""

RUNBOOK_KEYS = ("timestamp_utc", "action", "from_stage", "to_stage", "artifact_id", "by", "reason")
ENGINE_KEYS = ("ts_utc", "from_stage", "to_stage", "actor", "source", "reason", "notes", "pointer", "registry_git_sha")


def spelled_out(words: Mapping[str, object]) -> dict[str, object]:
    """An event in both vocabularies, from our words, in the order of the table; keys inside the pointer are its own."""
    return {key: words[word] for word, keys in ALIASES.items() if word in words for key in keys if "." not in key}


_SEGMENT = r"\.?[^./\\\x00-\x1f][^/\\\x00-\x1f]*"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$"
DIRECTORY_PATTERN = rf"^(?:\./)*(?:{_SEGMENT}/)*{_SEGMENT}/?$"
MODEL_NAME_PATTERN = r"^[a-z0-9_]+$"
_TIME_PATTERN = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$"


class _Moment:
    """An RFC 3339 text with a zone, or an aware datetime; one schema inside pydantic-core, so that it costs nothing."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.chain_schema(
            [core_schema.str_schema(pattern=_TIME_PATTERN), core_schema.datetime_schema(tz_constraint="aware")]
        )
        ready = core_schema.datetime_schema(strict=True, tz_constraint="aware")
        return core_schema.union_schema(
            [text, ready],
            mode="left_to_right",
            custom_error_type="moment",
            custom_error_message="is no time like 2026-02-16T10:00:00Z",
        )


Moment = Annotated[datetime, _Moment()]
ArtifactName = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Directory = Annotated[str, StringConstraints(pattern=DIRECTORY_PATTERN, max_length=1024)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Pointer(_Frozen):
    """The pointer to a stage's artifact. Only ``artifact_id`` and ``artifact_dir`` are always present."""

    artifact_id: ArtifactName
    artifact_dir: Directory
    model_sha256: str | None = None
    git_sha: str | None = None
    dataset_id: str | None = None
    created_at_utc: Moment | None = None
    promoted_at_utc: Moment | None = None
    notes: str | None = None
    actor: str | None = None
    source: str | None = None
    feature_order_hash: str | None = None


def _spelled(word: str) -> AliasChoices:
    paths = [key.split(".") for key in ALIASES[word]]
    return AliasChoices(*(path[0] if len(path) == 1 else AliasPath(path[0], *path[1:]) for path in paths))


class Event(_Frozen):
    """One line of a model's history, in whichever vocabulary it was written. A word that is missing is ``None``."""

    at: Moment | None = Field(None, validation_alias=_spelled("at"))
    action: str | None = None
    from_stage: str | None = None
    to_stage: str | None = None
    artifact_id: ArtifactName | None = Field(None, validation_alias=_spelled("artifact_id"))
    by: str | None = Field(None, validation_alias=_spelled("by"))
    reason: str | None = Field(None, validation_alias=_spelled("reason"))
    pointer: Pointer | None = None


class Model(_Frozen):
    """One model: a pointer or nothing in each stage, and its events in the order of the file."""

    staging: Pointer | None = None
    shadow: Pointer | None = None
    active: Pointer | None = None
    history: tuple[Event, ...] = ()

    def pointer(self, stage: Stage) -> Pointer | None:
        """The pointer in one stage."""
        return {Stage.STAGING: self.staging, Stage.SHADOW: self.shadow, Stage.ACTIVE: self.active}[stage]


class Registry(_Frozen):
    """The whole file. ``models`` is in the order of the file."""

    schema_version: Literal["v1"]
    models: Mapping[str, Model]
