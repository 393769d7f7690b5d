"""The trailers that a repository wants in every commit message: a sign-off (DCO), a Change-Id, its own lines. Pure.

Our own trailers (`Model`, `To-Stage` …) stand in the last paragraph of a message, where the gate reads them. Lines that
a configuration or a hook adds go into the same paragraph and never replace ours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml.promotion.repository import Person, trailers

SIGN_OFF = "Signed-off-by"
RESERVED = (
    *("Model", "Artifact", "From-Stage", "To-Stage", "Evidence-SHA256"),
    *("Ack", "Ack-By", "Approves", "Approved-By", "Operators"),
)
"""The trailers by which the gate knows a change or an approval; nobody configures them."""

_LINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*: \S.*")
_PLACE = re.compile(r"\{([^{}]*)\}")
_PLACES = ("name", "email", "change_id")
_CRUD = " .,:;<>\"\\'" + "".join(map(chr, range(32)))
"""The characters that git removes from both ends of a person's name and address."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The lines that a configuration adds to every commit message.

    ``signoff`` adds the author's ``Signed-off-by``. ``trailers`` are lines ``Key: value``, in which ``{name}``,
    ``{email}`` and ``{change_id}`` stand for the author and for a new Gerrit id. ``hooks`` runs the clone's own hooks
    ``prepare-commit-msg`` and ``commit-msg``.
    """

    signoff: bool = False
    trailers: tuple[str, ...] = ()
    hooks: bool = False


PLAIN = Wording()
"""Messages as they are, but for git's own ``format.signOff``."""


def fault(line: str) -> str:
    """Say why a configured line cannot be a trailer: one clause, empty where it can."""
    key = line.partition(":")[0]
    unknown = [name for name in _PLACE.findall(line) if name not in _PLACES]
    reasons = (
        (not line.isprintable() or not _LINE.fullmatch(line), "is no line `Key: value` with a key of letters and -"),
        (key.lower() in {each.lower() for each in RESERVED}, f"sets {key}, by which the gate knows a change"),
        (bool(unknown), f"holds {{{unknown[0] if unknown else ''}}}; known are {{name}}, {{email}} and {{change_id}}"),
    )
    return next((why for wrong, why in reasons if wrong), "")


def completed(message: str, wording: Wording, author: Person, content: Sequence[str]) -> str:
    """A message with every line that the wording asks for, each once.

    Args:
        content: the ids of the commit's tree and parents, from which a Change-Id is made. The same commit made again
            has the same id.
    """
    name, email = author.name.strip(_CRUD), author.email.strip(_CRUD)
    seed = "\n".join((*content, name, email, message))
    known = {
        "name": name,
        "email": email,
        "change_id": "I" + hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest(),
    }
    lines = [_PLACE.sub(lambda found: known[found[1]], line) for line in wording.trailers]
    lines += [f"{SIGN_OFF}: {name} <{email}>"] if wording.signoff else []
    paragraphs = _paragraphs(message)
    present = set(paragraphs[-1].split("\n"))
    fresh = [line for at, line in enumerate(lines) if line not in present and line not in lines[:at]]
    if not fresh:
        return message
    own = [*paragraphs[-1].split("\n"), *fresh] if _is_block(paragraphs) else fresh
    kept = paragraphs[:-1] if _is_block(paragraphs) else paragraphs
    return "\n\n".join((*kept, "\n".join(own))) + "\n"


def joined(message: str, own: Mapping[str, str]) -> str:
    """A message in which trailers that a hook put into a paragraph of their own stand beside ours.

    Args:
        own: our trailers, which the last paragraph must hold.
    """
    paragraphs = _paragraphs(message)
    while len(paragraphs) > 2 and not own.items() <= trailers(paragraphs[-1]).items() and _is_block(paragraphs):
        paragraphs[-2:] = ["\n".join(paragraphs[-2:])]
    return "\n\n".join(paragraphs) + "\n"


def _paragraphs(message: str) -> list[str]:
    return re.split(r"\n{2,}", message.strip("\n"))


def _is_block(paragraphs: Sequence[str]) -> bool:
    """True if the last paragraph holds trailers alone; the first one is the title."""
    return len(paragraphs) > 1 and all(_LINE.fullmatch(line) for line in paragraphs[-1].split("\n"))
