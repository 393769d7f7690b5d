"""The kill switch as the configuration describes it; light, because the kill key waits for nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.config import Actuator, Settings
from console.pins import changed_programs, names_changed
from ml.clock import SystemClock
from ml.emergency.switch import KillSwitch
from ml.errors import Unavailable, Usage
from ml.records.audit import AuditLog
from ml.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.emergency.actuators import CommandActuator, Credential, HttpActuator
    from ml.ports import Finished, Runner


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


def _actuators(settings: Settings, configured: Actuator) -> list[CommandActuator | HttpActuator]:
    """One actuator, or one for each host of a command template."""
    # Imported here: most kill switches are a file alone.
    from ml.emergency.actuators import CommandActuator, HttpActuator  # noqa: PLC0415

    if configured.type == "command":
        run = _as_trusted(settings, configured)
        hosts = configured.hosts or ("",)
        return [CommandActuator(configured.argv, run, configured.deadline_seconds, host) for host in hosts]
    if configured.type == "http":
        return [HttpActuator(configured.url, actuator_headers(settings, configured), configured.deadline_seconds)]
    raise Usage(f"There is no actuator of type {configured.type}.", "Use file, command or http.")


def _as_trusted(settings: Settings, configured: Actuator) -> Runner:
    """Runs a command; one that runs a program of the repository only while that is, byte for byte, what was trusted.

    An interface may be open for days, so that this is looked at when the switch is thrown.
    """
    from ml.adapters.processes import run  # noqa: PLC0415 - see above

    here = settings.standing
    pins = here.record.pins if here is not None and here.record is not None else ""
    if here is None or not pins:
        return run

    def checked(argv: Sequence[str | Path], **told: Any) -> Finished:
        changed = changed_programs(pins, here.root)
        if names_changed(configured.argv, changed):
            what = f"{visible(', '.join(changed), limit=200)} is not what was trusted, so it was not run."
            raise Unavailable(what, "Look at the program, then run `mlconsole trust`.")
        return run(argv, **told)

    return checked


def actuator_headers(settings: Settings, configured: Actuator) -> dict[str, str | Credential]:
    """What an ``http`` actuator sends besides its body, files resolved."""
    from ml.emergency.actuators import Credential  # noqa: PLC0415 - see above

    headers = dict(configured.headers)
    if configured.bearer_token_file:
        headers["Authorization"] = Credential(configured.bearer_token_file, prefix="Bearer ")
    return {
        name: told._replace(file=str(settings.resolve(told.file)))
        if isinstance(told, Credential) and told.file
        else told
        for name, told in headers.items()
    }


# Who is at the keyboard: the git identity, and beside it the login: ``ann@example.com (root@host)``.
#
# The same words stand in every record: kill file, audit log, watches, notifications. Nothing here waits for git before
# the kill file is written: `Person.at_once` tells what is known, `Person.full` is asked afterwards.

_ASK_GIT_S = 1.0
_KNOWN_FOR_S = 60.0
_MOST = 1 << 16


def login() -> str:
    """The login name behind sudo if there is one, and the host, as far as the machine knows."""
    environ = os.environ
    name = environ.get("SUDO_USER") or environ.get("USER") or environ.get("LOGNAME") or f"uid{os.getuid()}"
    return visible(f"{name}@{os.uname().nodename}", limit=120)


class Person:
    """The person of one session on one repository; threads may share it."""

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._known = ""
        self._asked_at = float("-inf")

    def at_once(self) -> str:
        """Who it is as far as that is known by now; waits for nothing, not even for a disk."""
        return self._known or login()

    def full(self) -> str:
        """Git identity and login; the login alone where git has no identity, or does not answer within a second."""
        now = time.monotonic()
        if now - self._asked_at > _KNOWN_FOR_S:
            email = _email(self._root)
            self._known = f"{visible(email, limit=200)} ({login()})" if email else login()
            self._asked_at = now
        return self._known


def _email(root: str) -> str:
    """``user.email`` as git sees it: read from the files in the plain case, else told by git itself.

    Starting git costs the kill key more than everything else that it does. The file that counts most is therefore read
    here, as long as it holds nothing but plain sections; at the first sign of anything else (an include, a quotation,
    a continued line, a linked worktree), git is asked. ``GIT_*`` variables do not count, as for our commits.
    """
    try:
        told = _plain_email(root)
    except (OSError, UnicodeDecodeError, _NotPlain):
        return _told_by_git(root)
    return told if told is not None else _told_by_git(root)


class _NotPlain(Exception):
    """The configuration holds what only git itself reads rightly."""


def _plain_email(root: str) -> str | None:
    """The e-mail of the most particular file that has one; ``None`` where none of the usual files has."""
    git = os.path.join(root, ".git")
    home = os.environ.get("HOME", "")
    particular_first = (
        os.path.join(git if os.path.exists(git) else root, "config"),
        os.path.join(home, ".gitconfig"),
        os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "git", "config"),
    )
    for path in particular_first:
        try:
            # Non-blocking: a FIFO in its place must not hold up a kill.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            raw = os.read(handle, _MOST)
        finally:
            os.close(handle)
        if len(raw) == _MOST:
            raise _NotPlain
        found = _email_in(raw.decode())
        if found is not None:
            return found
    return None


def _email_in(text: str) -> str | None:
    found, section = None, ""
    for line in map(str.strip, text.split("\n")):
        if line.startswith("["):
            section = line.lower()
            if not line.endswith("]") or section.startswith("[include") or "worktree" in section:
                raise _NotPlain
        elif line.endswith("\\") or line.lower().startswith("worktreeconfig"):
            raise _NotPlain
        elif section == "[user]" and line[:5].lower() == "email":
            name, equals, value = line.partition("=")
            if name.strip().lower() != "email" or not equals or any(sign in value for sign in '"\\#;'):
                raise _NotPlain
            found = value.strip()
    return found if found is None or _names_somebody(found) else ""


def _names_somebody(email: str) -> bool:
    return "@" in email and email.isprintable() and not any(sign in email for sign in "<>")


def _told_by_git(root: str) -> str:
    # Imported here: the plain case starts no process.
    from ml.adapters.processes import run  # noqa: PLC0415
    from ml.errors import ConsoleError  # noqa: PLC0415

    try:
        ended = run(
            ("git", "-C", root, "config", "--get", "user.email"),
            deadline_s=_ASK_GIT_S,
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"},
            max_output=_MOST,
        )
    except ConsoleError:
        return ""
    email = ended.out.decode("utf-8", "replace").strip()
    return email if ended.code == 0 and not ended.timed_out and _names_somebody(email) else ""
