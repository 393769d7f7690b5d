"""The kill switch as the configuration describes it; light, because the kill key waits for nothing."""

from typing import TYPE_CHECKING

from console.config import Actuator, Settings
from ml.clock import SystemClock
from ml.emergency.switch import KillSwitch
from ml.errors import Usage
from ml.records.audit import AuditLog

if TYPE_CHECKING:
    from ml.emergency.actuators import CommandActuator, HttpActuator
    from ml.emergency.credentials import Credential

AUDIT_NAME = "audit.jsonl"


def audit_log(settings: Settings) -> AuditLog:
    """The audit log of this user for this repository."""
    return AuditLog(settings.state / AUDIT_NAME)


def kill_switch(settings: Settings) -> KillSwitch:
    """The env file first, then the configured actuators in their order."""
    further = [
        made for each in settings.kill_switch.actuator if each.type != "file" for made in _actuators(settings, each)
    ]
    return KillSwitch(settings.resolve(settings.kill_switch.file), further, audit_log(settings), SystemClock())


def _actuators(settings: Settings, configured: Actuator) -> "list[CommandActuator | HttpActuator]":
    """One actuator, or one for each host of a command template."""
    # Imported here: most kill switches are a file alone.
    from ml.emergency.actuators import CommandActuator, HttpActuator  # noqa: PLC0415

    if configured.type == "command":
        from ml.adapters.processes import run  # noqa: PLC0415

        hosts = configured.hosts or ("",)
        return [CommandActuator(configured.argv, run, configured.deadline_seconds, host) for host in hosts]
    if configured.type == "http":
        return [HttpActuator(configured.url, actuator_headers(settings, configured), configured.deadline_seconds)]
    raise Usage(f"There is no actuator of type {configured.type}.", "Use file, command or http.")


def actuator_headers(settings: Settings, configured: Actuator) -> "dict[str, str | Credential]":
    """What an ``http`` actuator sends besides its body, files resolved."""
    from ml.emergency.credentials import Credential  # noqa: PLC0415 - see above

    headers = dict(configured.headers)
    if configured.bearer_token_file:
        headers["Authorization"] = Credential(configured.bearer_token_file, prefix="Bearer ")
    return {
        name: told._replace(file=str(settings.resolve(told.file)))
        if isinstance(told, Credential) and told.file
        else told
        for name, told in headers.items()
    }
