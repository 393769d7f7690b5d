"""Files that a checkout would alter, by git's attributes.

The gate and every verification read git's objects. An engine reads a checkout: a line in ``.gitattributes`` that asks
for other line ends, a filter or another encoding makes it load other bytes than those that were verified.
"""

from __future__ import annotations

from collections.abc import Iterator

from ml.promotion.attributes import above, altered
from ml.promotion.clone import Clone
from ml.promotion.gate.guard import artifact_folders, named_folders
from ml.promotion.paths import Places
from ml.promotion.repository import Objects
from ml.registry.codec import Document
from ml.registry.doctor import Finding
from ml.registry.schema import located
from ml.text import visible

_REMEDY = "Take the line out of .gitattributes (or of info/attributes in this clone), then check the engines' files."


def altered_files(
    objects: Objects, clone: Clone, commit: str, document: Document, places: Places, artifact_base: str
) -> Iterator[Finding]:
    """The registry and the files of every artifact that it names which a checkout of a commit would alter.

    One finding for each artifact, with the first of its files.
    """
    folders = artifact_folders(document, artifact_base)
    homes: dict[str, str] = {}
    for entry in objects.tree(commit):
        home = next((folder for folder in above(entry.path) if folder in folders), "")
        if home or entry.path == places.registry:
            homes[entry.path] = home
    attributes = clone.attributes(commit, list(homes))
    reported: set[str] = set()
    for path, home in homes.items():
        why = altered(path, attributes.get(path, {}))
        if why and home not in reported:
            reported.add(home)
            what = f"A checkout does not give {visible(path)} as it was committed: git {why}."
            model = _model_of(document, home, artifact_base)
            yield Finding("bytes-change-at-checkout", model, visible(path), True, what, _REMEDY)


def _model_of(document: Document, home: str, artifact_base: str) -> str:
    """The first model that names an artifact's directory; for the registry itself the first of all."""
    named = (
        name
        for name, model in document.registry.models.items()
        if not home or home in {located(folder, artifact_base) for folder in named_folders(model)}
    )
    return next(named, "")
