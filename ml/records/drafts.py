"""The text typed for a promotion that has not been submitted, kept over a lost connection (contract §10).

A draft belongs to one artifact and one step: it is not used for another artifact there. The ACK is no part of it,
because an ACK is typed anew each time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ml.errors import Unavailable
from ml.records.durable import replace_file
from ml.stage import Stage
from ml.text import visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The typed answers of one step. ``waivers`` are pairs of gate and reason."""

    model: str
    to_stage: Stage
    model_sha256: str
    reason: str = ""
    finding: str = ""
    waivers: tuple[tuple[str, str], ...] = ()


class Drafts:
    """The drafts in one folder, one file per model and stage."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, draft: Draft) -> None:
        """Keep a draft in place of the one before. Raises Unavailable when it cannot be written."""
        path = self._path(draft.model, draft.to_stage)
        try:
            replace_file(path, json.dumps(asdict(draft)).encode())
        except OSError as error:
            raise Unavailable(
                f"The draft cannot be kept: {error.strerror or error}.", "What you typed stays on the screen only."
            ) from error

    def find(self, model: str, to_stage: Stage, model_sha256: str) -> Draft | None:
        """Find the draft of exactly this artifact and step; ``None`` where there is none, or an unreadable one."""
        try:
            values = json.loads(self._path(model, to_stage).read_bytes())
            draft = Draft(
                model=str(values["model"]),
                to_stage=Stage(values["to_stage"]),
                model_sha256=str(values["model_sha256"]),
                reason=visible(str(values["reason"])),
                finding=visible(str(values["finding"])),
                waivers=tuple((visible(str(gate)), visible(str(why))) for gate, why in values["waivers"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        mine = (draft.model, draft.to_stage, draft.model_sha256)
        return draft if mine == (model, to_stage, model_sha256) else None

    def drop(self, model: str, to_stage: Stage) -> None:
        """Forget a draft, because it was submitted or given up."""
        self._path(model, to_stage).unlink(missing_ok=True)

    def _path(self, model: str, to_stage: Stage) -> Path:
        return self._folder / f"{model}-{to_stage}.json"
