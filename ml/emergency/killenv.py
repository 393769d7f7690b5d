"""The env file as a kill file: its content, and what readers of env files read differently.

Its last line is ``ML_KILL_SWITCH=1`` or ``ML_KILL_SWITCH=0``, so that systemd's ``EnvironmentFile``, ``docker compose``
and ``kubectl create configmap --from-env-file`` take it as it is. The comments above say who asked, when and why.

Readers of env files differ: systemd and compose remove quotes and blanks, a shell script accepts ``export``, the engine
of the runbook compares the bytes. If the meaning of a file depends on the reader, the file is *unclear*, a state of its
own and never off.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ml.clock import parse_utc
from ml.text import visible

VARIABLE = "ML_KILL_SWITCH"
ASSIGNED = f"{VARIABLE}=".encode()
_NAME = VARIABLE.encode()
_MOST = 1 << 16
_BOM = b"\xef\xbb\xbf"


def document(at: datetime, by: str, reason: str, *, engage: bool) -> bytes:
    """Return our own lines, with the switch as the last of them."""
    moment = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    header = (f"# {'engaged' if engage else 'released'} {moment}", _comment("by", by), _comment("reason", reason))
    return "\n".join((*header, f"{VARIABLE}={int(engage)}", "")).encode()


def _comment(key: str, text: str) -> str:
    """One comment line. systemd joins a line that ends in a backslash to the next one, which is the switch itself."""
    line = f"# {key} {visible(text)}"
    return f"{line}." if line.endswith("\\") else line


def oddity(raw: bytes) -> str:
    """Say why readers of env files may disagree about the switch; empty where all agree.

    A file without the variable leaves the switch off for every reader.
    """
    if len(raw) >= _MOST:
        return f"it is larger than {_MOST >> 10} KiB"
    for found, why in _ODD_BYTES.items():
        if found in raw:
            return why
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8 text"
    lines = raw.split(b"\n")
    assigned = [line for line in lines if _concerns(line)]
    return _odd_line(lines) or _odd_assignment(assigned)


_ODD_BYTES = {
    b"\0": "it holds a NUL byte",
    b"\r": "it has Windows line ends (CR)",
    b"\xef\xbb\xbf": "it holds a byte order mark",
}


def _odd_line(lines: list[bytes]) -> str:
    """A line that some readers join with the next one."""
    for number, line in enumerate(lines, start=1):
        if line.endswith(b"\\"):
            return f"line {number} ends in a backslash"
        comment = line.lstrip().startswith(b"#")
        if not comment and (line.count(b'"') % 2 or line.count(b"'") % 2) and not _concerns(line):
            return f"line {number} opens a quotation that it does not close"
    return ""


def _odd_assignment(assigned: list[bytes]) -> str:
    if len(assigned) > 1:
        return f"it names {VARIABLE} {len(assigned)} times"
    if assigned and assigned[0] not in (ASSIGNED + b"0", ASSIGNED + b"1"):
        return f"it says {visible(assigned[0].decode(), limit=60)}"
    return ""


def _concerns(line: bytes) -> bool:
    """True if a line other than a comment names the variable, in upper or lower case."""
    bare = line.strip().upper()
    if _NAME not in bare or bare.startswith(b"#"):
        return False
    # Letters of a longer name do not count: NOT_ML_KILL_SWITCH is another variable.
    words = bytes(byte if chr(byte).isalnum() or byte == ord("_") else ord(" ") for byte in bare)
    return _NAME in words.split()


def said(raw: bytes) -> tuple[bool, datetime | None, str, str]:
    """Return what a file that all readers read alike says: the switch, and of its request when, who and why.

    The time is ``None`` where the file was written by hand, or by its one digit.
    """
    comments: dict[bytes, str] = {}
    value = b""
    for line in raw.split(b"\n"):
        if line.startswith(ASSIGNED):
            value = line.removeprefix(ASSIGNED)
        elif line.startswith(b"# "):
            key, _, rest = line[2:].partition(b" ")
            comments[key] = visible(rest.decode("utf-8", "replace"))
    engaged = value == b"1"
    try:
        at = parse_utc(comments[b"engaged" if engaged else b"released"])
    except (KeyError, ValueError):
        return engaged, None, "", ""
    return engaged, at, comments.get(b"by", ""), comments.get(b"reason", "")


# --- files that hold something else, or more -------------------------------------------------------------------------
_HEADS = ((b"# engaged ", b"# released "), (b"# by ",), (b"# reason ",))


def others(raw: bytes) -> bytes:
    """The lines of an env file that are not ours: its other variables and comments, to be kept byte for byte.

    Empty where they are such that readers would disagree about the whole file.
    """
    if len(raw) >= _MOST:
        return b""
    lines = raw.split(b"\n")
    kept: list[bytes] = []
    number = 0
    while number < len(lines):
        ours = lines[number : number + len(_HEADS)]
        if len(ours) == len(_HEADS) and all(map(bytes.startswith, ours, _HEADS)):
            number += len(_HEADS)
            continue
        if not _concerns(lines[number]):
            kept.append(lines[number])
        number += 1
    rest = b"\n".join(kept)
    if not rest.strip() or oddity(rest):
        return b""
    return rest if rest.endswith(b"\n") else rest + b"\n"


_STRUCTURE = re.compile(rb"\[[^]]*\]|[\w.\"'-]+\s*:(?:\s.*)?")
"""A line that no env file has: the head of a section, or a name with a colon, as in INI, TOML and YAML."""


def foreign(raw: bytes) -> str:
    """Say why a content is that of another format than an env file; empty for an env file, however odd or damaged.

    A file that a power cut left full of zeros, or in which some lines are torn beside ours, is damaged: a kill makes it
    anew. Without our variable, anything but assignments is somebody else's file.
    """
    text = raw.decode("utf-16", "replace").encode() if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else raw
    text = text.removeprefix(_BOM)
    for sign, of in ((rb"\{", "JSON"), (rb"\[", "JSON or TOML"), (rb"<[!?\w]", "XML")):
        if re.match(sign, text.lstrip()):
            return f"it is no env file but looks like {of}"
    if not text.strip(b"\0 \t\r\n"):
        return ""
    quote = b""
    # A huge file must not hold up the kill key: its beginning says what it is.
    lines = text[:_MOST].split(b"\n")[: None if len(text) <= _MOST else -1]
    ours = any(map(_concerns, lines))
    for number, line in enumerate(lines, start=1):
        bare = line.strip()
        if quote:
            quote = b"" if bare.count(quote) % 2 else quote
        elif bare and not bare.startswith((b"#", b";")) and not _concerns(line):
            if _STRUCTURE.fullmatch(bare) if ours else not _assigns(bare):
                return f"it is no env file, see line {number}"
            quote = next((each for each in (b'"', b"'") if bare.count(each) % 2), b"")
    return ""


def _assigns(line: bytes) -> bool:
    """True for ``NAME=VALUE``, ``export NAME=VALUE`` or ``NAME``, without blanks around the sign."""
    name, sign, value = line.removeprefix(b"export ").partition(b"=")
    if sign and (name != name.rstrip() or value[:1].isspace()):
        return False
    bare = name.strip().replace(b".", b"_").replace(b"-", b"_")
    return bool(bare) and bare.replace(b"_", b"a").isalnum()
