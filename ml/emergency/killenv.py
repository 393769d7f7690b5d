"""The env file as a kill file: its content, and what readers of env files read differently.

Its last line is ``ML_KILL_SWITCH=1`` or ``ML_KILL_SWITCH=0``, so that systemd's ``EnvironmentFile``, ``docker compose``
and ``kubectl create configmap --from-env-file`` take it as it is. The comments above say who asked, when and why.

Readers of env files differ: systemd and compose remove quotes and blanks, a shell script accepts ``export``, the engine
of the runbook compares the bytes. If the meaning of a file depends on the reader, the file is *unclear*, a state of its
own and never off.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ml.text import visible

VARIABLE = "ML_KILL_SWITCH"
ASSIGNED = f"{VARIABLE}=".encode()
_NAME = VARIABLE.encode()
_MOST = 1 << 16


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
    if bare.startswith(b"#"):
        return False
    # Letters of a longer name do not count: NOT_ML_KILL_SWITCH is another variable.
    words = bytes(byte if chr(byte).isalnum() or byte == ord("_") else ord(" ") for byte in bare)
    return _NAME in words.split()
