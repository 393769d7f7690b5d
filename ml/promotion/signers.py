"""The list of allowed signers (ssh-keygen(1), ALLOWED SIGNERS), read strictly. Pure.

ssh-keygen believes more than the gate may: a pattern such as ``*@example.com`` stands for whoever a commit names, and a
``cert-authority`` hands out identities that no reviewer of the list sees. Only lines that name people one by one, each
with a key of their own, are believed here; `unbelieved` names the others.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

GIT_NAMESPACE = "git"
MAX_BYTES = 1 << 20

_OPTION = re.compile(r'(?P<name>[A-Za-z-]+)(?:="(?P<value>[^"]*)")?')
_KEY_TYPE = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9-]+(?:@openssh\.com)?")
_PERSON = re.compile(r"[^\s*?!,\"'\\#]+")
_TIME = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?(Z?)")


@dataclass(frozen=True, slots=True)
class Signer:
    """One believed line: who, which key, and from when until when (``None``: without end).

    ``key`` is the key as the line has it, its type and its Base64 text.
    """

    line: int
    people: tuple[str, ...]
    key: str
    valid_after: datetime | None = None
    valid_before: datetime | None = None
    options: str = ""

    def valid_at(self, moment: datetime) -> bool:
        """True if the key may sign at a moment, both ends included as ssh-keygen includes them."""
        after, before = self.valid_after, self.valid_before
        return not (after and moment < after) and not (before and moment > before)

    def text(self, person: str) -> str:
        """The line as ssh-keygen reads it, for one of its people alone."""
        return " ".join(part for part in (person, self.options, self.key) if part)


@dataclass(frozen=True, slots=True)
class Unbelieved:
    """A line that is not believed, and why: one clause."""

    line: int
    why: str


def read_signers(raw: bytes) -> tuple[Signer | Unbelieved, ...]:
    """Every line of a list that says something, in order. Never raises: what cannot be read is `Unbelieved`."""
    if len(raw) > MAX_BYTES:
        return (Unbelieved(0, f"the list has {len(raw)} bytes, more than {MAX_BYTES}"),)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return (Unbelieved(0, "the list is no UTF-8 text"),)
    return tuple(_signer(number, line) for number, line in enumerate(text.split("\n"), 1) if _says(line))


def unbelieved(raw: bytes) -> tuple[Unbelieved, ...]:
    """The lines that are ignored."""
    return tuple(each for each in read_signers(raw) if isinstance(each, Unbelieved))


def people_of(raw: bytes) -> frozenset[str]:
    """Everybody who has a believed line."""
    return frozenset(person for each in read_signers(raw) if isinstance(each, Signer) for person in each.people)


def hands_of(raw: bytes, person: Callable[[str], str]) -> Mapping[str, str]:
    """For each person with a line, the first name of all who share a key with them, directly or in turn.

    Such people may be one human being: whoever holds a key of two people can sign as both. Keys that are not valid any
    more, or not yet, tell as much about that as others.

    Args:
        person: the person behind an address (the policy's ``[people]``).
    """
    hands: dict[str, str] = {}
    holder: dict[bytes, str] = {}
    for each in read_signers(raw):
        if not isinstance(each, Signer):
            continue
        for who in map(person, each.people):
            mine = hands.setdefault(who, who)
            theirs = hands[holder.setdefault(base64.b64decode(each.key.split()[1]), who)]
            hands |= {name: theirs for name, hand in hands.items() if hand == mine}
    return hands


def believed(raw: bytes, now: datetime | None = None, only: str = "") -> bytes:
    """The list with its believed lines alone, one person each.

    Args:
        now: leaves out keys that are not valid at that moment; ``None``: validity is judged at the commit's date alone.
        only: leaves out everybody else.
    """
    return "".join(f"{line}\n" for line in _lines(read_signers(raw), now, only)).encode()


def _lines(read: Sequence[Signer | Unbelieved], now: datetime | None, only: str) -> Iterator[str]:
    for each in read:
        if isinstance(each, Signer) and (now is None or each.valid_at(now)):
            yield from (each.text(person) for person in each.people if only in ("", person))


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _signer(number: int, line: str) -> Signer | Unbelieved:
    try:
        return _read(number, line.strip())
    except ValueError as error:
        return Unbelieved(number, str(error))


def _read(number: int, line: str) -> Signer:
    if not line.isprintable() and not all(char.isprintable() or char == "\t" for char in line):
        raise ValueError("it holds a character that cannot be seen")
    words = _words(line)
    people = tuple(words[0].split(","))
    if not all(_PERSON.fullmatch(person) for person in people):
        raise ValueError("its first word must name people one by one, without * ? ! or quotes")
    at = next((index for index, word in enumerate(words[1:], 1) if _KEY_TYPE.fullmatch(word)), 0)
    if not at or at > 2 or len(words) < at + 2:
        raise ValueError("it has no SSH key behind its people and at most one word of options")
    options = words[1] if at == 2 else ""
    valid = dict(_options(options))
    key_type, key = words[at], words[at + 1]
    _require_plain_key(key_type, key)
    namespaces = valid.get("namespaces")
    if namespaces is not None and GIT_NAMESPACE not in namespaces.split(","):
        raise ValueError(f'its key is for other namespaces than "{GIT_NAMESPACE}"')
    after, before = (_moment(valid[name]) if name in valid else None for name in ("valid-after", "valid-before"))
    if after and before and after > before:
        raise ValueError("its key ends to be valid before it begins")
    return Signer(number, people, f"{key_type} {key}", after, before, options)


def _words(line: str) -> list[str]:
    """The words of a line, split at blanks outside of quotes."""
    words = re.findall(r'(?:"[^"]*"|[^\s"])+', line)
    if line.count('"') % 2 or not words:
        raise ValueError("a quote in it is left open")
    return words


def _options(text: str) -> Iterator[tuple[str, str]]:
    rest = text
    while rest:
        found = _OPTION.match(rest)
        name = found["name"].lower() if found else ""
        if found is None or name not in ("namespaces", "valid-after", "valid-before"):
            raise ValueError(
                f"the option {name or rest[:20]} is not believed; a line may limit namespaces and validity"
            )
        if found["value"] is None:
            raise ValueError(f"the option {name} has no value in quotes")
        yield name, found["value"]
        rest = rest[found.end() :]
        if rest and (not rest.startswith(",") or len(rest) == 1):
            raise ValueError("its options are not separated by single commas")
        rest = rest[1:]


def _require_plain_key(key_type: str, key: str) -> None:
    if "-cert-" in key_type:
        raise ValueError("it names a certificate, and only plain keys are believed")
    try:
        blob = base64.b64decode(key, validate=True)
        (length,) = struct.unpack(">I", blob[:4])
        inside = blob[4 : 4 + length].decode("ascii")
    except (ValueError, struct.error):
        raise ValueError("its key is not readable") from None
    if inside != key_type:
        raise ValueError("its key is of another type than it says")


def _moment(text: str) -> datetime:
    """A time as ssh-keygen reads it: ``YYYYMMDD[HHMM[SS]]``, local to this machine unless it ends in ``Z``."""
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError("a time in it is not written YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with or without Z")
    try:
        local = datetime(*(int(part or 0) for part in found.groups()[:6]))  # type: ignore[arg-type]
    except ValueError:
        raise ValueError("a time in it does not exist") from None
    return local.replace(tzinfo=UTC) if found[7] else local.astimezone(UTC)
