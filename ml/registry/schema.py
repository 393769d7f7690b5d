"""What `models.json` holds, as frozen pydantic models: pointers, events, models (SPEC §2).

Reading is lenient, because files in use are: only what nothing could be done without is required, and keys that
we do not know are kept. Writing is strict; its rules are in `ml.registry.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

from ml.registry.vocabulary import ALIASES
from ml.stage import Stage

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
    """Which artifact stands in a stage. Only ``artifact_id`` and ``artifact_dir`` are sure to be there."""

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
