"""What the history doctor says about one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd.

    ``code`` is stable, ``path`` the field, ``model`` the model's name (empty: the file as a whole). ``severe``:
    the engine refuses the file for it, or a rollback would go to the wrong place.
    """

    code: str
    model: str
    path: str
    severe: bool
    what: str
    remedy: str
