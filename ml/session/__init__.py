"""The session: everything that the interface and the command line can ask for, by named parts.

``session.boards.poll()`` looks, ``session.changes.plan(…)`` plans, ``session.kill.engage()`` stops models. Methods
block, so callers run them off the event loop; each may be called from any thread.

Read-only is enforced by `ml.session.context.require_write`, which each part calls before a change. Role and freeze are
gates (`ml.promotion.gates.permission_gates`): no plan is made while one is closed.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ml.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.board import Board, Glance, KillView
    from ml.clock import Clock
    from ml.records.audit import AuditLog
    from ml.session.artifacts import CommitArtifacts, FolderArtifacts
    from ml.session.boards import Boards
    from ml.session.changes import Changes
    from ml.session.checklists import Checklists
    from ml.session.context import Context
    from ml.session.details import Details
    from ml.session.doctor import Doctor
    from ml.session.gate import ChangeGate
    from ml.session.ladders import Ladders
    from ml.session.metrics_doctor import MetricsDoctor
    from ml.session.registries import Registries
    from ml.session.rollbacks import Rollbacks
    from ml.session.rung_news import RungNews
    from ml.session.soaks import Soaks
    from ml.session.watches import Watches

RELEASE_WORD = "RELEASE"

T = TypeVar("T")


class Kill:
    """The kill switch, by this session's person. It needs no other part, so that F9 waits for none."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.view = context.kill_control.view
        """The switch, and what the engines prove, read from file and metrics at this moment. Never raises."""

    def engage(self, *, by_key: bool = False) -> KillView:
        """Engage now; returns once the actuators ran (WRITTEN, or a problem in words). Never raises."""
        person = self._context.person
        view = self._context.kill_control.kill(person.at_once(), "key" if by_key else "mlconsole", person.full)
        self._context.notifier.tell("kill", f"{person.at_once()} engaged the kill switch: {view.rung.value}.")
        return view

    def release(self, typed: str, reason: str) -> KillView:
        """Release. Raises Refused in a read-only session, and unless ``typed`` is ``RELEASE`` and a reason is given."""
        self._context.require_write()
        if typed != RELEASE_WORD:
            raise Refused("The release was not confirmed.", f"Type {RELEASE_WORD} exactly.")
        if not reason.strip():
            raise Refused("A release needs a reason.", "Say in one sentence why models may act again.")
        person = self._context.person.full()
        view = self._context.kill_control.release(person, reason.strip())
        self._context.notifier.tell("release", f"{person} released the kill switch: {reason.strip()}.")
        return view


class _Part(Generic[T]):
    """An attribute of a session that is made with its first use, once, whichever thread comes first.

    Its imports are in the method, so that the first frame waits for none of them.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, session: None, owner: type) -> _Part[T]: ...
    @overload
    def __get__(self, session: Session, owner: type) -> T: ...
    def __get__(self, session: Session | None, owner: type) -> T | _Part[T]:
        if session is None:
            return self
        with session.making:
            parts = vars(session)
            if self._name not in parts:
                parts[self._name] = self._make(session)
            made: T = parts[self._name]
        return made


class Session:
    """One console session on one repository.

    Args:
        open_context: puts settings and adapters together. Called once, with the first question that needs them.
        glance: names and stages for the first frame: local object database only, no network, not judged.
        keep: gets every board, for later callers that do not judge; raises nothing.
    """

    def __init__(
        self,
        open_context: Callable[[], Context],
        glance: Callable[[], Glance],
        keep: Callable[[Board], None] | None = None,
    ) -> None:
        self._open_context = open_context
        self._opening = threading.Lock()
        self._opened: Context | None = None
        self._keep = keep
        self.glance = glance
        self.making = threading.RLock()
        """Held while a part is made; a part makes those that it needs."""

    @property
    def context(self) -> Context:
        """The place and the adapters. It has a lock of its own: the kill key needs it, and waits for no part."""
        with self._opening:
            if self._opened is None:
                self._opened = self._open_context()
            return self._opened

    @property
    def clock(self) -> Clock:
        """The session's clock."""
        return self.context.clock

    @property
    def audit(self) -> AuditLog:
        """This user's audit log of the repository."""
        return self.context.audit

    @cached_property
    def kill(self) -> Kill:
        """The kill switch."""
        return Kill(self.context)

    @_Part
    def boards(self) -> Boards:
        """One poll of everything; the remote."""
        from ml.session.boards import Boards  # noqa: PLC0415 - see `_Part`, here and below

        return Boards(
            self.context,
            self.registries,
            self.soaks,
            self.watches,
            desk=self.gate.desk,
            glance=self.glance,
            keep=self._keep,
        )

    @_Part
    def registries(self) -> Registries:
        """Registry, policy and history at the base branch."""
        from ml.session.registries import Registries  # noqa: PLC0415

        return Registries(self.context)

    @_Part
    def soaks(self) -> Soaks:
        """Soaks in shadow, and reviews of a day's dashboards."""
        from ml.session.soaks import Soaks  # noqa: PLC0415

        return Soaks(self.context, self.registries)

    @_Part
    def watches(self) -> Watches:
        """Watches over newly active models."""
        from ml.session.watches import Watches  # noqa: PLC0415

        return Watches(self.context)

    @_Part
    def checklists(self) -> Checklists:
        """The gates of a step."""
        from ml.session.checklists import Checklists  # noqa: PLC0415

        return Checklists(self.context, self.registries, self.commits, self.soaks)

    @_Part
    def changes(self) -> Changes:
        """Plans, submissions, landings."""
        from ml.session.changes import Changes  # noqa: PLC0415

        return Changes(self.context, self.registries, self.gate, self.checklists)

    @_Part
    def ladders(self) -> Ladders:
        """The receipt ladders of changes, up to serving."""
        from ml.session.ladders import Ladders  # noqa: PLC0415

        return Ladders(self.context, self.registries, self.gate, self.changes)

    @_Part
    def details(self) -> Details:
        """The inside of one change: difference, evidence, approvals, and the gate's lines."""
        from ml.session.details import Details  # noqa: PLC0415

        return Details(self.context, self.gate, self.ladders)

    @_Part
    def rungs(self) -> RungNews:
        """Notifications of the rungs that changes reach."""
        from ml.session.rung_news import RungNews  # noqa: PLC0415

        return RungNews(self.context)

    @_Part
    def rollbacks(self) -> Rollbacks:
        """Prepared rollbacks."""
        from ml.session.rollbacks import RollbackPlans, Rollbacks  # noqa: PLC0415

        plans = RollbackPlans(self.context, self.registries, self.commits, self.boards)
        return Rollbacks(self.context, self.registries, plans, self.changes)

    @_Part
    def gate(self) -> ChangeGate:
        """The gate of server and CI, run here."""
        from ml.session.gate import ChangeGate  # noqa: PLC0415

        return ChangeGate(self.context, self.registries)

    @_Part
    def artifacts(self) -> FolderArtifacts:
        """Artifact directories of the working tree."""
        from ml.session.artifacts import FolderArtifacts  # noqa: PLC0415

        context, repository = self.context, self.context.repository
        return FolderArtifacts(
            context.place.root,
            context.verifier,
            context.clock,
            context.place.read_only,
            policy=self.registries.policy,
            revision=lambda: repository.refs.resolve("HEAD"),
        )

    @_Part
    def commits(self) -> CommitArtifacts:
        """Artifacts as a commit has them."""
        from ml.session.artifacts import CommitArtifacts  # noqa: PLC0415

        return CommitArtifacts(self.context)

    @_Part
    def metrics_doctor(self) -> MetricsDoctor:
        """The series that gates and rungs need, and which are there."""
        from ml.session.metrics_doctor import MetricsDoctor  # noqa: PLC0415

        return MetricsDoctor(self.context, self.registries)

    @_Part
    def doctor(self) -> Doctor:
        """Checks of everything that the console depends on."""
        from ml.session.doctor import Doctor  # noqa: PLC0415

        return Doctor(self.context, self.registries, self.gate, self.commits, self.boards)
