"""The first frame's look at the registry: one ref, one blob, standard library only."""

from __future__ import annotations

from ml.board import Glance
from ml.errors import ConsoleError
from ml.operations.context import Place
from ml.promotion.repository import Reader
from ml.registry.glance import glance_models


def glance(repository: Reader, place: Place) -> Glance:
    """Which artifacts stand where at the base, not judged. Never raises for what is missing or broken."""
    try:
        ref = repository.base(place.ref)
        raw = repository.read(ref.commit, place.places.registry)
    except ConsoleError as error:
        return Glance(place.ref, "", (), str(error))
    if raw is None:
        return Glance(ref.ref, ref.commit, (), f"{ref.ref} has no registry at {place.places.registry}.")
    models, problem = glance_models(raw)
    return Glance(ref.ref, ref.commit, models, problem)
