"""The common context of every operation: the session's settings in the domain's terms, and its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ml.board import Problem
from ml.clock import Clock
from ml.errors import Refused
from ml.ports import Runner

if TYPE_CHECKING:
    from ml.artifacts.verify import Verifier
    from ml.emergency.kill import KillControl
    from ml.emergency.killformats import KillFormat
    from ml.emergency.notify import Notifier
    from ml.promotion.paths import Places
    from ml.promotion.publish import Forge, Requests
    from ml.promotion.repository import Repository
    from ml.records.audit import AuditLog
    from ml.records.journal import Journal
    from ml.slo.source import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The repository and paths of this session. ``artifact_base`` is the base folder of pointers without a policy's.

    ``ref_configured`` is true if ``ref`` comes from the configuration and is no default. ``kill_format`` is the
    format of the engines' own kill file; ``None`` is the env file.
    """

    root: Path
    environment: str
    production: bool
    places: Places
    ref: str
    artifact_base: str
    state: Path
    stale_s: float
    kill_file: Path
    read_only: bool
    tool_version: str
    ref_configured: bool = False
    kill_format: KillFormat | None = None


class Person(Protocol):
    """The operator, in the words that every record uses: the git identity, with the login beside it."""

    def at_once(self) -> str:
        """The identity as far as it is known without waiting."""
        ...

    def full(self) -> str:
        """In full; may take a second."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The place and the concrete parts, put together once by ``console.wiring``.

    ``metrics`` is ``None`` when no Prometheus is configured: every gate that needs it then stays closed. ``verifier``
    is made with the first verification. ``person`` is the operator, for records of kills and watches.
    ``problems`` are those of the session's own settings; every board shows them. ``requests`` reads pull requests.
    """

    place: Place
    clock: Clock
    run: Runner
    repository: Repository
    metrics: Metrics | None
    verifier: Callable[[], Verifier]
    journal: Journal
    audit: AuditLog
    forge: Forge
    kill_control: KillControl
    notifier: Notifier
    person: Person
    environ: Mapping[str, str]
    problems: tuple[Problem, ...] = ()
    requests: Requests | None = None

    def require_write(self) -> None:
        """Raise Refused in a read-only session. Each part calls it before a change; a kill is always allowed."""
        require_write(read_only=self.place.read_only)


def require_write(*, read_only: bool) -> None:
    """Raise Refused if the session is read-only. Nothing else in `ml.session` enforces that.

    `mlconsole kill off` and `mlconsole trust` run without a session and check the flag themselves.
    """
    if read_only:
        raise Refused("This session is read-only.", "Start mlconsole without --read-only to change anything.")
