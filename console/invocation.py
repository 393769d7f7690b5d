"""State of one command-line run: the global flags, and the settings and session made from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from console.config import load
from console.paths import outside
from console.settings import Settings
from console.snapshot import keep
from ml.adapters import processes
from ml.adapters.git_first import glance
from ml.session import Session

if TYPE_CHECKING:
    from ml.session.artifacts import FolderArtifacts
    from ml.session.context import Context


@dataclass
class Invocation:
    """The global flags, and the settings and session, which are created on first use."""

    repo: str | None = None
    config: str | None = None
    read_only: bool = False
    no_kill: bool = False
    ascii_only: bool = False
    debug: bool = False
    as_json: bool = False

    @cached_property
    def settings(self) -> Settings:
        """The effective configuration. Raises `ml.errors.Usage`."""
        settings = self._load()
        here = settings.standing
        if here is None or here.trusted or here.record is None:
            return settings
        # Imported here: it runs git, and only a changed configuration needs it.
        from console.vouching import vouched  # noqa: PLC0415

        return self._load() if vouched(settings) else settings

    def _load(self) -> Settings:
        return load(
            repo=self.repo,
            config=self.config,
            read_only=self.read_only,
            kill_allowed=not self.no_kill,
            ascii_only=self.ascii_only,
        )

    @cached_property
    def session(self) -> Session:
        """The session on the repository. Raises `ml.errors.Usage`."""

        return open_session(self.settings)

    @cached_property
    def artifacts(self) -> FolderArtifacts:
        """The part that verifies, builds and compares artifacts. Outside a repository, a version that needs none.

        A repository that was named must exist. Raises `ml.errors.Usage`.
        """
        if self.repo is not None or not outside():
            return self.session.artifacts
        # Imported here: most verbs do not need it.
        from console.wiring import loose_artifacts  # noqa: PLC0415

        return loose_artifacts(Path.cwd(), read_only=self.read_only)


def open_session(settings: Settings) -> Session:
    """Create the session on the configured repository. It is cheap: heavy parts are imported on first use."""
    registry = settings.registry
    return Session(
        partial(_context, settings),
        partial(glance, processes.run, settings.root, registry.ref, registry.path),
        partial(keep, settings),
    )


def _context(settings: Settings) -> Context:
    # Imported on first use: it brings git, Prometheus and the records.
    from console.wiring import context  # noqa: PLC0415

    return context(settings)
