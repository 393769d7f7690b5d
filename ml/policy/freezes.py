"""Freeze windows: times in which nothing is promoted. Rollback and kill are exempt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from ml.policy.fields import Section, Text


class FreezeWindow(Section):
    """A time in which nothing is promoted, from ``start`` to before ``end``, both in UTC.

    In the file they are ``from`` and ``to``, local in ``timezone`` unless they carry an offset themselves (or a ``Z``).
    Where clocks are changed, a local time may name two moments, or none. The window then takes the wider reading: it
    starts at the earlier one and ends at the later one.
    """

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    timezone: str = "UTC"
    reason: Text

    @field_validator("timezone")
    @classmethod
    def _existing(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"there is no time zone {timezone}") from error
        return timezone

    @field_validator("start", "end", mode="before")
    @classmethod
    def _moment(cls, value: object) -> object:
        try:
            return datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError("this is no date and time like 2026-12-24T18:00:00") from error

    @model_validator(mode="after")
    def _in_utc(self) -> Self:
        zone = ZoneInfo(self.timezone)
        start, end = min(_readings(self.start, zone)), max(_readings(self.end, zone))
        if start >= end:
            raise ValueError("the window ends before it begins")
        # The only change of a value that nobody has seen yet.
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)
        return self


def _readings(moment: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Both moments in UTC that a local time may name: before and after a change of the clocks; else twice the same."""
    if moment.tzinfo:
        return (moment.astimezone(UTC),) * 2
    before, after = (moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after
