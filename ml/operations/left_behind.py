"""What consoles left that died at work: told in sentences, and recorded where they could not record it themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ml.emergency.aftermath import explain
from ml.errors import ConsoleError
from ml.operations.context import Context
from ml.promotion.desk import Desk
from ml.promotion.reconcile import Reconciled, reconcile
from ml.records.audit import AuditLog


def left_behind(context: Context, desk: Callable[[], Desk]) -> Iterator[str]:
    """A kill half recorded, and changes half done; each is settled by being told, unless it is unknown for now."""
    try:
        yield from explain(context.place.kill_file, context.audit)
        for change in settle_changes(context.audit, desk()):
            yield change.why
    except ConsoleError as error:
        yield str(error)


def settle_changes(audit: AuditLog, desk: Desk) -> tuple[Reconciled, ...]:
    """What became of interrupted changes; one that took effect is in the audit log afterwards.

    Raises: Unavailable when it cannot be recorded; it is then settled the next time.
    """

    def record(told: Mapping[str, str]) -> None:
        branch, commit = told.get("branch", ""), told.get("commit", "")
        # Landings and pushes are recorded by what they changed: the base, and the change's own line.
        if "action" in told and not _recorded(audit, branch, commit):
            record_change(audit, told, branch, commit, pushed=True)

    return reconcile(desk, record)


def record_change(audit: AuditLog, told: Mapping[str, str], branch: str, commit: str, *, pushed: bool) -> None:
    """One line of the audit log for one change that was committed. Raises Unavailable when it cannot be written."""
    audit.append(
        told["action"],
        by=told["by"],
        model=told["model"],
        artifact_id=told["artifact_id"],
        to_stage=told["to_stage"],
        branch=branch,
        commit=commit,
        pushed=pushed,
    )


def _recorded(audit: AuditLog, branch: str, commit: str) -> bool:
    change = (branch, commit, True)
    told = (line.fields for line in audit.read())
    return any((each.get("branch"), each.get("commit"), each.get("pushed")) == change for each in told)
