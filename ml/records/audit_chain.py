"""The lines of the audit log, and the chain that they form (see `ml.records.audit`). Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from ml.text import visible

FIRST = "0" * 64
"""What stands as ``prev`` on the first line."""
TORN = b" (torn)"
"""Put behind a line that a dying writer left unfinished, so that nobody takes it for a whole one."""
_MAX_LINE = 1 << 15
_SEAL = ',"hash":"'


class AuditLine(NamedTuple):
    """One whole line of the log. ``fields`` is what the writer told, such as ``by`` and ``reason``."""

    seq: int
    at: str
    kind: str
    fields: dict[str, Any]
    prev: str
    hash: str

    @property
    def sentence(self) -> str:
        """The line for a person: time, kind, who, and whatever else was told."""
        by, rest = self.fields.get("by", ""), self.told
        return visible(f"{self.at} {self.kind}{f' by {by}' if by else ''}{f': {rest}' if rest else ''}")

    @property
    def told(self) -> str:
        """What the writer told besides who it was, for a person."""
        told = {name: value for name, value in self.fields.items() if name != "by"}
        return ", ".join(f"{name} {_words(value)}" for name, value in told.items() if value not in ("", None, [], {}))


class AuditFinding(NamedTuple):
    """Something about the chain: at which line of the file (from 1), and what, as a sentence."""

    line: int
    what: str


class AuditReport(NamedTuple):
    """How many lines stand, what is wrong with the chain, and what is odd but explained."""

    lines: int
    findings: tuple[AuditFinding, ...]
    notes: tuple[AuditFinding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was cut or edited."""
        return not self.findings


def sealed(seq: int, at: str, kind: str, fields: dict[str, Any], prev: str) -> tuple[bytes, AuditLine]:
    """A new line: its bytes, newline included, and itself. Values too long for a line are cut, visibly."""
    text = _compact({"seq": seq, "at": at, "kind": kind, **fields, "prev": prev})
    if len(text) > _MAX_LINE:
        fields = {name: _cut(value) for name, value in fields.items()}
        text = _compact({"seq": seq, "at": at, "kind": kind, **fields, "prev": prev})
    body = text[:-1]
    seal = _digest(body)
    return f'{body}{_SEAL}{seal}"}}\n'.encode(), AuditLine(seq, at, kind, fields, prev, seal)


def parse(raw: bytes) -> AuditLine | None:
    """The line that some bytes hold, or ``None``. One without its newline was never finished."""
    if not raw.endswith(b"\n"):
        return None
    try:
        told = json.loads(raw)
        seq, at, kind, prev, seal = [told.pop(name) for name in ("seq", "at", "kind", "prev", "hash")]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    texts = all(isinstance(text, str) for text in (at, kind, prev, seal))
    return AuditLine(seq, at, kind, told, prev, seal) if texts and isinstance(seq, int) else None


def verify(rows: Iterable[bytes], written_last: tuple[int, str] | None) -> AuditReport:
    """Walk the chain and name each place where it is cut, edited or torn.

    Args:
        rows: the file's lines, newlines included.
        written_last: number and hash of the line that was written last, where that is known.
    """
    findings: list[AuditFinding] = []
    notes: list[AuditFinding] = []
    last: AuditLine | None = None
    number = 0
    torn = b""
    for number, raw in enumerate(rows, start=1):
        line = parse(raw)
        if line is None:
            torn = raw
            findings.append(AuditFinding(number, f"Line {number} is no audit line ({len(raw)} bytes)."))
            continue
        if torn and torn.endswith(TORN + b"\n") and line.fields.get("torn") == len(torn) - len(TORN) - 1:
            findings.pop()
            notes.append(AuditFinding(number - 1, f"Line {number - 1} is torn: its writer died while writing it."))
        findings += _broken_links(number, line, raw, last)
        last, torn = line, b""
    if torn and not torn.endswith(b"\n"):
        findings[-1] = AuditFinding(number, f"Line {number}, the last, is torn: its writer died while writing it.")
    findings += _cut_end(number, last, written_last)
    return AuditReport(number, tuple(findings), tuple(notes))


def _broken_links(number: int, line: AuditLine, raw: bytes, last: AuditLine | None) -> list[AuditFinding]:
    if _digest(raw.decode("utf-8", "replace").rpartition(_SEAL)[0]) != line.hash:
        return [AuditFinding(number, f"Line {number} was edited: it does not match its own hash.")]
    expected = last.seq + 1 if last else 1
    if line.seq > expected:
        return [AuditFinding(number, f"{_lines(line.seq - expected)} cut before line {number}.")]
    if line.seq < expected or line.prev != (last.hash if last else FIRST):
        return [AuditFinding(number, f"Line {number} does not follow the line before it: one of them was replaced.")]
    return []


def _cut_end(number: int, last: AuditLine | None, written_last: tuple[int, str] | None) -> list[AuditFinding]:
    if written_last is None:
        return []
    seq, seal = written_last
    held = last.seq if last else 0
    if held < seq:
        return [AuditFinding(number, f"{_lines(seq - held)} cut after line {number}, at the end.")]
    if last and held == seq and last.hash != seal:
        return [AuditFinding(number, f"Line {number} is not the one that was written last: it was replaced.")]
    return []


def _lines(count: int) -> str:
    return "One line was" if count == 1 else f"{count} lines were"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _compact(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), default=str)


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else _compact({"": value})
    return value if len(text) <= 1000 else f"{text[:1000]}…"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_words(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
