"""One timeline of audit lines and registry events, for the review after an incident. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ml.board import HistoryRow
from ml.clock import format_utc, parse_utc, span
from ml.records.audit import AuditLine
from ml.text import visible


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline.

    ``kind`` is the audit line's (a receipt's is what was proven, such as ``kill CONFIRMED``), the registry event's
    action, or the caller's own word.
    """

    at: datetime
    kind: str
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Incident:
    """Everything between two moments, oldest first, and the spans in seconds that a review asks for.

    ``spans`` are measured from the first breach, or from the first kill where no breach was recorded.
    """

    since: datetime
    until: datetime
    moments: tuple[Moment, ...]
    spans: tuple[tuple[str, float], ...]

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody who acted, in order of appearance."""
        return tuple(dict.fromkeys(moment.who for moment in self.moments if moment.who))

    def document(self) -> dict[str, Any]:
        """The report for ``--json``."""
        return {
            "since": format_utc(self.since),
            "until": format_utc(self.until),
            "people": list(self.people),
            "spans": dict(self.spans),
            "timeline": [
                {"at": format_utc(each.at), "kind": each.kind, "who": each.who, "what": each.what}
                for each in self.moments
            ],
        }

    def markdown(self) -> str:
        """The report to be pasted into a post-incident review; text from outside stays text."""
        lines = [f"# Incident, {format_utc(self.since)} to {format_utc(self.until)}", ""]
        lines += [f"- {name}: {span(seconds)}" for name, seconds in self.spans]
        lines += [f"- people: {', '.join(map(_plain, self.people)) or 'nobody'}", ""]
        lines += ["| time (UTC) | what | who | details |", "|---|---|---|---|"]
        lines += [
            f"| {format_utc(each.at)} | {_plain(each.kind)} | {_plain(each.who)} | {_plain(each.what)} |"
            for each in self.moments
        ]
        return "\n".join(lines) + "\n"


def incident(
    lines: Iterable[AuditLine],
    histories: Mapping[str, Sequence[HistoryRow]],
    since: datetime,
    until: datetime,
    more: Iterable[Moment] = (),
) -> Incident:
    """Put a timeline together.

    Args:
        lines: the audit log.
        histories: each model's registry events.
        more: moments from elsewhere, such as when alerts fired.
    """
    found = [*map(_audited, lines), *_registered(histories), *more]
    within = sorted((each for each in found if since <= each.at <= until), key=lambda each: each.at)
    return Incident(since, until, tuple(within), _spans(within))


def _audited(line: AuditLine) -> Moment:
    fields = line.fields
    what = str(fields.get("what") or "") or line.told
    kind = f"{fields.get('of')} {fields.get('rung')}" if line.kind == "receipt" else line.kind
    return Moment(parse_utc(line.at), visible(kind), visible(str(fields.get("by") or "")), visible(what))


def _registered(histories: Mapping[str, Sequence[HistoryRow]]) -> Iterable[Moment]:
    for model, rows in histories.items():
        for row in rows:
            if row.at is not None:
                way = f"{row.from_stage} → {row.to_stage}" if row.from_stage else row.to_stage
                what = f"{model}: {row.artifact_id}, {way}: {row.reason}"
                yield Moment(row.at, row.action, visible(row.by), visible(what))


def _spans(moments: Sequence[Moment]) -> tuple[tuple[str, float], ...]:
    """From the beginning of the incident to each step of its end."""
    breach = _first(moments, "breach")
    kill = _first(moments, "kill")
    start = breach or kill
    if start is None:
        return ()
    after = [each for each in moments if each.at >= start.at]
    steps = {
        "to kill": kill if breach else None,
        "to confirmed": _first(after, "kill CONFIRMED"),
        "to rollback": _first(after, "rollback"),
        "to release": _first(after, "release"),
    }
    return tuple((name, (each.at - start.at).total_seconds()) for name, each in steps.items() if each)


def _first(moments: Sequence[Moment], kind: str) -> Moment | None:
    return next((each for each in moments if each.kind == kind), None)


def _plain(text: str) -> str:
    """Text that Markdown leaves alone."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>|#" else char for char in text)
