"""Two vocabularies for one event: the runbook's words and the engine's, in the one table that joins them (SPEC §2).

Reading takes the first word that is there; writing writes them all. Words without an alias are the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
