"""A kill switch on temporary files, with a clock that stands still and actuators that remember."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml.emergency.actuators import Actuator
from ml.emergency.killformats import KillFormat
from ml.emergency.switch import KillSwitch
from ml.errors import Unavailable
from ml.records.audit import AuditLog

PRESSED = datetime(2026, 2, 17, 14, 2, 11, 250_000, tzinfo=UTC)


class StillClock:
    """Shows ``moment`` until a test sets another."""

    def __init__(self, moment: datetime = PRESSED) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


class RememberingActuator:
    """Notes what it was told; fails when it was given an error."""

    def __init__(self, name: str = "command restart", error: Exception | None = None) -> None:
        self.name = name
        self.told: list[bool] = []
        self._error = error

    def deliver(self, *, engage: bool) -> None:
        self.told.append(engage)
        if self._error:
            raise self._error

    def by_hand(self, *, engage: bool) -> str:
        return f"{self.name} {int(engage)}"


def unwritable(folder: Path) -> AuditLog:
    """An audit log that no line can be written to: its folder is a file."""
    (folder / "blocked").write_text("")
    return AuditLog(folder / "blocked" / "audit.jsonl")


class Bench:
    """A switch with its parts at hand, all below one folder."""

    def __init__(
        self,
        folder: Path,
        actuators: Sequence[Actuator] = (),
        audit: AuditLog | None = None,
        form: KillFormat | None = None,
    ) -> None:
        self.clock = StillClock()
        self.file = folder / "var" / f"kill_switch.{form.kind if form else 'env'}"
        self.audit = audit or AuditLog(folder / "state" / "audit.jsonl", now=self.clock.monotonic)
        self.switch = KillSwitch(self.file, actuators, self.audit, self.clock, form)

    def leftovers(self) -> list[str]:
        """Whatever lies beside the kill file."""
        return sorted(path.name for path in self.file.parent.glob("*") if path != self.file) + sorted(
            path.name for path in self.file.parent.glob(".*")
        )

    def kinds(self) -> list[str]:
        return [line.kind for line in self.audit.read()]


def release_keeps_it_engaged(bench: Bench) -> None:
    """Check that a release that cannot be written says so, and leaves the kill and its folder as they are."""
    whole = bench.file.read_bytes()
    with pytest.raises(Unavailable):
        bench.switch.release("ann@example.com", "fixed")
    assert bench.file.read_bytes() == whole
    assert bench.leftovers() == []
