"""Programs inside the repository that a trusted configuration runs: their bytes are trusted with it.

Whoever pushes can rewrite such a program without touching the configuration. So a trust record holds the digest of
each, and one that is another now is not run until a person has looked again. The kill key reads this module, so it is
made of the standard library's light parts only.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from console.paths import lies_in

_NONE = "none"
_PIECE = 1 << 20


def programs_of(content: bytes, root: Path) -> tuple[str, ...]:
    """The words of a configuration's commands that lead, or could lead, to a file of the working tree."""
    import tomllib  # noqa: PLC0415 a configuration without commands of its own needs no second reading

    try:
        switch = tomllib.loads(content.decode("utf-8")).get("kill_switch", {})
        arguments = [word for actuator in switch.get("actuator", ()) for word in actuator.get("argv", ())]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ()  # what cannot be read configures nothing
    words = dict.fromkeys(word for word in arguments if isinstance(word, str) and word)
    return tuple(word for word in words if _inside(word, root) and (_path_like(word) or _is_file(root / word)))


def pins_of(content: bytes, root: Path) -> str:
    """The digests of a configuration's programs, as one line for its record; empty where it has none."""
    import json  # noqa: PLC0415 as above

    named = programs_of(content, root)
    return json.dumps({word: _pin(root / word) for word in named}) if named else ""


def changed_programs(pins: str, root: Path) -> tuple[str, ...]:
    """The pinned programs that are not, byte for byte, what was trusted; all of them where the pins are damaged."""
    if not pins:
        return ()
    import json  # noqa: PLC0415 as above

    try:
        known = json.loads(pins)
        return tuple(word for word, pin in known.items() if not _as_pinned(root / word, pin))
    except (ValueError, AttributeError, TypeError):
        return ("every program of the repository",)


def known_programs(content: bytes, root: Path, pins: str) -> bool:
    """Every program of a new content was pinned with the old one and is the same still; so nobody must look at it."""
    import json  # noqa: PLC0415 as above

    named = pins_of(content, root)
    return not named or (bool(pins) and json.loads(named).items() <= json.loads(pins).items())


def names_changed(argv: Iterable[str], changed: tuple[str, ...]) -> bool:
    """A command runs, or reads, one of the changed programs."""
    return any(word in changed for word in argv)


def _as_pinned(path: Path, pin: str) -> bool:
    # The size is compared first: a huge file in its place must not hold up the kill key.
    size = _size(path)
    return str(size) == pin.partition(":")[0] and (size == _NONE or _pin(path) == pin)


def _pin(path: Path) -> str:
    import hashlib  # noqa: PLC0415 it loads OpenSSL

    size, digest = _size(path), hashlib.sha256()
    if size == _NONE:
        return _NONE
    try:
        for piece in _pieces(path):
            digest.update(piece)
    except OSError:
        return _NONE
    return f"{size}:{digest.hexdigest()}"


def _pieces(path: Path) -> Iterator[bytes]:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _size(path: Path) -> str:
    try:
        about = path.stat()
    except (OSError, ValueError):
        return _NONE
    return str(about.st_size) if stat.S_ISREG(about.st_mode) else _NONE


def _is_file(path: Path) -> bool:
    return _size(path) != _NONE


def _path_like(word: str) -> bool:
    """A word that an interpreter would read as a file, so that one which appears later is a change too."""
    return "/" in word and "://" not in word and "{" not in word


def _inside(word: str, root: Path) -> bool:
    return lies_in(root / word, root)
