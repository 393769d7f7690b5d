"""What to say about a watch: one line for the audit log, and Markdown for a comment on the pull request. Pure."""

from __future__ import annotations

from ml.clock import format_utc, span
from ml.emergency.watch import Trouble, Watch
from ml.text import visible


def summary_line(watch: Watch) -> str:
    """How a watch went, in one sentence."""
    planned = (watch.ends_at - watch.began_at).total_seconds()
    seen = f"looked for {span(watch.watched_s)} of {span(planned)}"
    breaches = f"{len(watch.breaches)} breach{'es' if len(watch.breaches) != 1 else ''}"
    return f"The watch over {watch.artifact_id} ended, {watch.ending or 'not yet'}: {breaches}, {seen}."


def summary_markdown(watch: Watch) -> str:
    """The same at length, ready to be pasted; what came from outside is shown, never interpreted."""
    lines = [
        f"## Watch over `{_code(watch.artifact_id)}` ({_code(watch.model)})",
        "",
        f"- From {format_utc(watch.began_at)} to {format_utc(watch.ended_at or watch.looked_at or watch.began_at)}"
        f" ({watch.ending or 'still running'})",
        f"- Looked at for {span(watch.watched_s)} of {span((watch.ends_at - watch.began_at).total_seconds())}",
        f"- Kept by {', '.join(_code(name) for name in watch.keepers)}",
        f"- Breaches: {len(watch.breaches) or 'none'}",
    ]
    if watch.troubles:
        lines += ["", "| objective | from | to | worst | limit | breach |", "|---|---|---|---|---|---|"]
        lines += [_row(trouble) for trouble in sorted(watch.troubles, key=lambda each: each.since)]
    return "\n".join(lines) + "\n"


def _row(trouble: Trouble) -> str:
    until = format_utc(trouble.until) if trouble.until else "still"
    breached = format_utc(trouble.breached_at) if trouble.breached_at else "no"
    cells = (
        _code(trouble.objective),
        format_utc(trouble.since),
        until,
        _number(trouble.worst, trouble.unit),
        _number(trouble.limit, trouble.unit),
        breached,
    )
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:g} {_code(unit)}".strip()


def _code(text: str) -> str:
    return visible(text).replace("`", "'").replace("|", "\\|").replace("<", "&lt;")
