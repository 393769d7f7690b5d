"""Trust in a configuration from the repository: like direnv, it counts only after a person has read it.

Everybody who pushes to the repository can write its console.toml. Its settings for secrets, programs, addresses, the
kill switch and keys count only while the file is identical, byte for byte, to the trusted one. Until then the last
trusted content holds; the state folder keeps it whole (contract §14). The kill key reads this module first, so it uses
only the light parts of the standard library.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from console.paths import lies_in
from ml.errors import Refused, Unavailable, Usage
from ml.text import visible

MOST_BYTES = 1 << 16
"""Size limit of a configuration file: reading a larger file would delay the kill key."""

HARMLESS = frozenset({"environment", "registry", "interface.theme", "interface.ascii"})
"""Sections and settings that count before the repository's configuration is trusted for the first time."""

Layer = dict[str, dict[str, Any]]
Parse = Callable[[bytes, str], Layer]
"""Parser of a content into settings by section. The second argument is the name for errors. Raises Usage."""

_MAGIC = b"mlconsole trust 1"
_NAME = "trusted"
_ACTUATORS = "kill_switch.actuator"
_PARTS = 8
_MOST_HEAD = 1 << 16
_MOST_DOTS = 40


class Record(NamedTuple):
    """The last trusted configuration: whole content, time, person, and method (``asked``, ``signed`` or ``demo``).

    ``base`` is the commit of the registry's branch when a person was asked: the rules that were trusted before.
    ``accepted`` is its commit when a change was last accepted, by asking or by signature. Older changes never count
    again.
    ``pins`` are the digests of the programs inside the repository that the content runs (`pins_of`).
    """

    content: bytes
    at: str = ""
    by: str = ""
    how: str = "asked"
    base: str = ""
    accepted: str = ""
    pins: str = ""


class Standing(NamedTuple):
    """A configuration file from a repository, read once, and the record of trust for it.

    ``content`` is what the file holds now (empty: there is no such file), ``unread`` says why it could not be read.
    ``barred`` says why no record of trust can be believed here. ``store`` is the record's file. ``changed`` are the
    programs inside the repository, below ``root``, that are not what was trusted with the content.
    """

    path: Path
    store: Path
    content: bytes = b""
    unread: str = ""
    record: Record | None = None
    barred: str = ""
    root: Path = Path()
    changed: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """The file counts as it stands: it is what was trusted last, or there is nothing in it to trust."""
        if self.unread or self.changed:
            return False
        return self.content == (self.record.content if self.record else b"")

    @property
    def digest(self) -> str:
        """The SHA-256 of the current content."""
        return digest(self.content)


def digest(content: bytes) -> str:
    """Return the SHA-256 of a content in hexadecimal."""
    import hashlib  # noqa: PLC0415 it loads OpenSSL; where nothing is to be trusted, nobody waits for it

    return hashlib.sha256(content).hexdigest()


def standing(path: Path, root: Path, state: Path, *, default: bool) -> Standing:
    """Read a repository's configuration file and its record of trust. ``default``: it is the root's own file.

    Nothing is raised. An unreadable file is noted in the result, and a damaged record counts as no record.
    """
    store = state / (_NAME if default else f"{_NAME}-{digest(os.fsencode(os.path.abspath(path)))[:16]}")
    barred = "The state folder lies in the repository, where everybody who pushes can write." * lies_in(state, root)
    content, unread = b"", ""
    try:
        content = read_whole(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        unread = error.strerror or "it cannot be read"
    record = None if barred else read_record(store)
    changed = changed_programs(record.pins, root) if record else ()
    return Standing(path, store, content, unread, record, barred, root, changed)


def layer_of(here: Standing, parse: Parse, only: Collection[str] = ()) -> tuple[Layer, str]:
    """Return the part of a repository's configuration that counts, and the name of its source.

    The file counts as it is when it is trusted. Otherwise the last trusted content counts, or the file's harmless part.
    When ``only`` names no harmless section, an untrusted file is not parsed. Raises Usage for an invalid one.
    """
    shown = visible(str(here.path))
    if here.record is not None:
        origin = shown if here.trusted else f"{shown}, as trusted last"
        if not here.record.content:
            return {}, ""
        return _without(parse(here.record.content, origin), here.changed), origin
    if here.trusted or (only and not any(_counts(f"{name}.") for name in only)):
        return {}, ""
    return harmless(_parsed(here, parse))[0], shown


def left_out(here: Standing, parse: Parse) -> tuple[str, ...]:
    """List the settings that do not count because the file is not trusted as it is.

    Raises Usage for an invalid file.
    """
    if here.trusted:
        return ()
    now = _parsed(here, parse)
    if here.record is None:
        return harmless(now)[1]
    before = parse(here.record.content, visible(str(here.path)))
    names = {f"{section}.{field}" for layer in (now, before) for section, values in layer.items() for field in values}
    odd = {name for name in names if _at(now, name) != _at(before, name)}
    return tuple(sorted(odd | ({_ACTUATORS} if here.changed else set())))


def _without(layer: Layer, changed: tuple[str, ...]) -> Layer:
    """A layer without the commands that run a program which is not what was trusted."""
    section, _, field = _ACTUATORS.partition(".")
    if not changed or field not in layer.get(section, {}):
        return layer
    kept = tuple(each for each in layer[section][field] if not names_changed(each.argv, changed))
    return {**layer, section: {**layer[section], field: kept}}


def harmless(layer: Layer) -> tuple[Layer, tuple[str, ...]]:
    """Split a layer into the part that needs no trust and the names of the other settings."""
    rest = tuple(f"{section}.{field}" for section, values in layer.items() for field in values)
    rest = tuple(name for name in rest if not _counts(name))
    kept = {
        section: {field: value for field, value in values.items() if f"{section}.{field}" not in rest}
        for section, values in layer.items()
    }
    return kept, rest


def _parsed(here: Standing, parse: Parse) -> Layer:
    shown = visible(str(here.path))
    if here.unread:
        raise Usage(f"{shown} cannot be read: {here.unread}.", "Correct its permissions.")
    return parse(here.content, shown)


def _counts(name: str) -> bool:
    return name.partition(".")[0] in HARMLESS or any(each.startswith(name) for each in HARMLESS)


def _at(layer: Layer, name: str) -> object:
    section, _, field = name.partition(".")
    return layer.get(section, {}).get(field)


def read_whole(path: Path) -> bytes:
    """Read a small regular file. It is opened once, so the bytes that are judged are the bytes that are used.

    Raises:
        OSError: it cannot be read, is no regular file (a FIFO or a device would hang), or is too long.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        parts, left = [], MOST_BYTES + 1
        while left and (part := os.read(handle, left)):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(handle)
    if not left:
        raise OSError(errno.EFBIG, f"it is longer than {MOST_BYTES >> 10} KiB")
    return b"".join(parts)


def require_short_names(text: str, shown: str) -> None:
    """Refuse names with very many parts: the TOML reader needs quadratic time for them, which would delay the kill key.

    Raises:
        Usage: a line has more dots than anybody means, texts in quotes left aside.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS and re.sub(r"\"[^\"]*\"|'[^']*'", "", line).count(".") > _MOST_DOTS:
            raise Usage(f"{shown} has more than {_MOST_DOTS} dots in line {number}.", "Correct that line.")


def read_record(store: Path) -> Record | None:
    """Read the record of trust; ``None`` when it is missing, damaged or not ours."""
    try:
        handle = os.open(store, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            about = os.fstat(handle)
            whole = os.read(handle, MOST_BYTES + _MOST_HEAD)
        finally:
            os.close(handle)
    except OSError:
        return None
    if not stat.S_ISREG(about.st_mode) or about.st_uid not in (0, os.geteuid()) or about.st_mode & 0o022:
        return None
    head, _, content = whole.partition(b"\n")
    parts = head.decode("utf-8", "replace").split("\t")
    if len(parts) != _PARTS or parts[0].encode() != _MAGIC or parts[1] != digest(content):
        return None
    return Record(content, *parts[2:])


def write_record(here: Standing, record: Record) -> None:
    """Write the record of trust.

    Raises:
        Refused: the state folder lies in the repository. Unavailable: it could not be written.
    """
    from ml.records.durable import replace_file  # noqa: PLC0415 the kill key only reads

    if here.barred:
        raise Refused(here.barred, "Set XDG_STATE_HOME to a folder outside of the repository.")
    parts = [visible(part, limit=200) for part in record[1:-1]]
    head = "\t".join([_MAGIC.decode(), digest(record.content), *parts, pins_of(record.content, here.root)])
    if len(head) >= _MOST_HEAD:
        raise Refused("The configuration names too many programs of the repository.", "Keep them outside of it.")
    try:
        os.makedirs(here.store.parent, mode=0o700, exist_ok=True)
        replace_file(here.store, head.encode() + b"\n" + record.content)
    except OSError as error:
        raise _unwritable(here, error) from error


def remove_record(here: Standing) -> bool:
    """Delete the record of trust. Returns True if there was one. Raises Unavailable when it cannot be deleted."""
    try:
        os.unlink(here.store)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unwritable(here, error) from error
    return True


def _unwritable(here: Standing, error: OSError) -> Unavailable:
    shown = visible(str(here.store))
    return Unavailable(f"{shown} cannot be written: {error.strerror}.", "Correct the permissions of the state folder.")


# Programs inside the repository that a trusted configuration runs: their bytes are trusted with it.
#
# Whoever pushes can rewrite such a program without touching the configuration. So a trust record holds the digest of
# each, and one that is another now is not run until a person has looked again. The kill key reads this module, so it
# is made of the standard library's light parts only.

_NONE = "none"
_PIECE = 1 << 20
_BETWEEN_PATHS = re.compile(r"[\s=:;,&|<>()'\"`]+")


def programs_of(content: bytes, root: Path) -> tuple[str, ...]:
    """The words of a configuration's commands that lead, or could lead, to a file of the working tree."""
    import tomllib  # noqa: PLC0415 a configuration without commands of its own needs no second reading

    try:
        switch = tomllib.loads(content.decode("utf-8")).get("kill_switch", {})
        arguments = [word for actuator in switch.get("actuator", ()) for word in actuator.get("argv", ())]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ()  # what cannot be read configures nothing
    words = dict.fromkeys(piece for word in arguments if isinstance(word, str) for piece in _pieces_of(word))
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
    return any(piece in changed for word in argv for piece in _pieces_of(word))


def _pieces_of(word: str) -> Iterator[str]:
    """A word, and the parts of it that may be paths of their own, as in ``sh -c "ops/kill.sh now"`` or ``--file=x``."""
    if word:
        yield word
        parts = _BETWEEN_PATHS.split(word)
        yield from (part for part in parts if part and part != word)


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
