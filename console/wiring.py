"""Assembly of a session from settings and adapters. Only this module creates concrete parts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from console.kill_form import kill_format
from console.settings import Settings
from console.switch import Person, audit_log, kill_switch
from console.untrusted import untrusted
from console.version import __version__
from ml.adapters import processes
from ml.adapters.forge import CommandForge
from ml.adapters.forge_requests import ForgeRequests
from ml.adapters.git import open_repository
from ml.adapters.http_deadline import Access
from ml.adapters.prometheus import Prometheus
from ml.board import Problem
from ml.clock import SystemClock
from ml.emergency.kill import KillControl, KnownContracts
from ml.emergency.notify import Notifier
from ml.promotion.paths import Places
from ml.promotion.trailers import Wording
from ml.records.journal import Journal
from ml.session.context import Context, Place

if TYPE_CHECKING:
    from ml.artifacts.verify import Verifier
    from ml.emergency.switch import KillSwitch
    from ml.promotion.repository import Repository
    from ml.records.audit import AuditLog
    from ml.session.artifacts import FolderArtifacts
    from ml.slo.source import Metrics


def context(settings: Settings) -> Context:
    """Build the session's context for the configured repository.

    Raises Usage when the settings contradict each other.
    """
    clock, audit, metrics = SystemClock(), audit_log(settings), prometheus(settings)
    return Context(
        place=_place(settings),
        clock=clock,
        run=processes.run,
        repository=_repository(settings),
        metrics=metrics,
        verifier=cache(partial(_verifier, settings)),
        journal=Journal(settings.state / "journal"),
        audit=audit,
        forge=CommandForge(processes.run, settings.root, settings.pull_request.tool),
        kill_control=kill_control(settings, kill_switch(settings), metrics, audit, clock),
        notifier=Notifier(settings.notify.url, settings.notify.style, settings.state / "notify"),
        person=Person(settings.root),
        environ=dict(os.environ),
        problems=tuple(_not_trusted(settings)),
        requests=ForgeRequests(processes.run, settings.root, settings.pull_request.tool),
    )


def _not_trusted(settings: Settings) -> Iterator[Problem]:
    """Return a problem for settings that do not count; severe when F9 may write to another place than the file says."""
    for each in untrusted(settings):
        yield Problem("configuration", each.what, each.remedy, severe=False)
        if each.kill:
            names = ", ".join(name for name in each.names if name.startswith("kill_switch."))
            what = f"The kill switch ignores untrusted settings: {names or 'it is not known which'}."
            yield Problem("kill target", what, each.remedy)


def _repository(settings: Settings) -> Repository:
    return open_repository(
        settings.root, wording=Wording(*settings.commit), follow_head="registry.ref" not in settings.sources
    )


def kill_control(
    settings: Settings, switch: KillSwitch, metrics: Metrics | None, audit: AuditLog, clock: SystemClock
) -> KillControl:
    """Return the switch with its receipt; the policy's metrics contracts are read when engines are looked at."""

    def contracts() -> KnownContracts:
        # Imported here: the policy needs pydantic, which neither the first frame nor a kill waits for.
        from ml.session.registries import contracts_in_force  # noqa: PLC0415

        return contracts_in_force(_repository(settings), _place(settings))

    return KillControl(switch, metrics, audit, clock, settings.kill_switch.confirm_seconds, contracts)


def prometheus(settings: Settings) -> Metrics | None:
    """Return the metrics source; ``None`` without a configured one."""
    configured = settings.prometheus
    if not configured.url:
        return None

    def file(name: str) -> Path | None:
        return settings.resolve(name) if name else None

    access = Access(
        bearer_token=configured.bearer_token,
        bearer_token_file=file(configured.bearer_token_file),
        username=configured.username,
        password=configured.password,
        password_file=file(configured.password_file),
        ca_file=file(configured.ca_file),
        cert_file=file(configured.cert_file),
        key_file=file(configured.key_file),
        headers=configured.headers,
    )
    return Prometheus(
        configured.url,
        fallback_url=configured.fallback_url,
        timeout_s=configured.timeout_seconds,
        access=access,
        alertmanager_url=settings.alertmanager.url,
    )


def _place(settings: Settings) -> Place:
    return Place(
        root=settings.root,
        environment=settings.environment.name,
        production=settings.environment.production,
        places=Places(settings.registry.path),
        ref=settings.registry.ref,
        artifact_base=settings.registry.artifact_base,
        state=settings.state,
        stale_s=settings.prometheus.stale_seconds,
        kill_file=settings.resolve(settings.kill_switch.file),
        kill_format=kill_format(settings.kill_switch),
        read_only=settings.read_only,
        tool_version=__version__,
        ref_configured="registry.ref" in settings.sources,
    )


def loose_artifacts(folder: Path, *, read_only: bool) -> FolderArtifacts:
    """Return the part that verifies, builds and compares artifacts without a repository."""
    from ml.artifacts.verify import Verifier  # noqa: PLC0415 - as below
    from ml.session.artifacts import FolderArtifacts  # noqa: PLC0415

    read_only = read_only or os.environ.get("MLCONSOLE_READ_ONLY", "") not in ("", "0")
    return FolderArtifacts(folder, cache(partial(Verifier, processes.run)), SystemClock(), read_only)


def _verifier(settings: Settings) -> Verifier:
    # Imported on the first verification, so that the first frame does not wait for it.
    from ml.artifacts.cache import VerificationCache  # noqa: PLC0415
    from ml.artifacts.verify import Verifier  # noqa: PLC0415

    return Verifier(processes.run, cache=VerificationCache(settings.state / "verified.json"))
