"""Recovery of a kill switch that an earlier session left behind, by crash or by hand.

The kill file is the truth about the switch, and the audit log about who has been informed. Where the two disagree, a
sentence says why, and the missing line is added to the log.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml.clock import format_utc, parse_utc
from ml.emergency.killfile import KillFile, KillState
from ml.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from ml.emergency.killformats import KillFormat
    from ml.records.audit import AuditLine, AuditLog

_KINDS = ("kill", "release", "kill_found", "release_found")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def explain(file: Path, audit: AuditLog, form: KillFormat | None = None) -> tuple[str, ...]:
    """Clean up after killed consoles and add missing records. Returns sentences; none when all agrees.

    ``form`` is the format of the engines' own kill file; ``None`` is the env file.
    """
    kill_file = KillFile(file, form)
    found = kill_file.read()
    said = []
    if kill_file.sweep():
        state = "engaged" if found.engaged else "not engaged"
        said.append(f"A console died while it wrote the kill file; the kill switch is {state}.")
    if found.engaged is None:
        return (*said, found.problem)
    try:
        last = next((line for line in reversed(audit.read()) if line.kind in _KINDS), None)
        said += _engaged(found, last, audit) if found.engaged else _released(last, audit)
    except Unavailable as error:
        said.append(str(error))
    return tuple(said)


def _engaged(found: KillState, last: AuditLine | None, audit: AuditLog) -> list[str]:
    if last is not None and last.kind in ("kill", "kill_found"):
        return []
    since = found.at or _LONG_AGO
    who = found.by or "somebody by hand"
    if last is not None and parse_utc(last.at) >= since.replace(microsecond=0):
        sentence = (
            f"The release that {last.fields.get('by') or 'somebody'} asked for at {last.at} never took effect: "
            f"the kill switch is still engaged, by {who}."
        )
    else:
        sentence = f"The kill switch was engaged at {format_utc(since)} by {who}, and no console lived to record it."
    audit.append("kill_found", by=found.by, reason=found.reason, since=format_utc(since))
    return [sentence]


def _released(last: AuditLine | None, audit: AuditLog) -> list[str]:
    if last is None or last.kind not in ("kill", "kill_found"):
        return []
    audit.append("release_found")
    if last.fields.get("written") is False:
        return [f"The kill of {last.at} could not be written to the kill file, and the switch is not engaged now."]
    return [f"The kill of {last.at} was released by hand, outside of any console."]
