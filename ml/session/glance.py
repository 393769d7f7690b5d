"""The first frame's registry: one ref, one blob, one git process, standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.adapters.git_first import first_found
from ml.board import Glance
from ml.errors import ConsoleError
from ml.registry.glance import glance_models

if TYPE_CHECKING:
    from pathlib import Path

    from ml.ports import Runner


def glance(run: Runner, root: Path, ref: str, registry: str) -> Glance:
    """Read the artifacts of each stage at the base, not judged. Never raises for missing or broken data.

    ``ref`` is the base as configured, such as ``origin/main``; ``registry`` the path of ``models.json`` in it.
    """
    try:
        found = first_found(run, root, ref, registry)
    except ConsoleError as error:
        return Glance(ref, "", (), str(error))
    if found.content is None:
        return Glance(found.ref, found.commit, (), f"{found.ref} has no registry at {registry}.")
    models, problem = glance_models(found.content)
    return Glance(found.ref, found.commit, models, problem)
