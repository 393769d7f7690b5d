"""Kill switch built from the configuration. This module is light, because the kill key must not wait."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.kill_form import kill_format
from console.settings import Actuator, Settings
from console.trust import changed_programs, names_changed
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
    """Return this user's audit log for this repository."""
    return AuditLog(settings.state / AUDIT_NAME)


def kill_switch(settings: Settings) -> KillSwitch:
    """Return the switch: the kill file first, then the configured actuators in order."""
    further = [
        made for each in settings.kill_switch.actuator if each.type != "file" for made in _actuators(settings, each)
    ]
    configured = settings.kill_switch
    file, form = settings.resolve(configured.file), kill_format(configured)
    return KillSwitch(file, further, audit_log(settings), SystemClock(), form)


def _actuators(settings: Settings, configured: Actuator) -> list[CommandActuator | HttpActuator]:
    """Build one actuator, or one for each host of a command template."""
    # Imported here: most kill switches are only a file.
    from ml.emergency.actuators import CommandActuator, HttpActuator, HttpRequest  # noqa: PLC0415

    if configured.type == "command":
        run = _as_trusted(settings, configured)
        hosts = configured.hosts or ("",)
        return [CommandActuator(configured.argv, run, configured.deadline_seconds, host) for host in hosts]
    if configured.type == "http":
        headers = actuator_headers(settings, configured)
        request = HttpRequest(
            configured.method,
            configured.body,
            configured.on,
            configured.off,
            configured.expect,
            int(configured.expect_status),
        )
        return [HttpActuator(configured.url, headers, configured.deadline_seconds, request)]
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

    def checked(argv: Sequence[str | Path], **options: Any) -> Finished:
        changed = changed_programs(pins, here.root)
        if names_changed(configured.argv, changed):
            what = f"{visible(', '.join(changed), limit=200)} is not what was trusted, so it was not run."
            raise Unavailable(what, "Look at the program, then run `mlconsole trust`.")
        return run(argv, **options)

    return checked


def actuator_headers(settings: Settings, configured: Actuator) -> dict[str, str | Credential]:
    """Return the headers that an ``http`` actuator sends, with secrets read from their files."""
    from ml.emergency.actuators import Credential  # noqa: PLC0415 - see above

    headers = dict(configured.headers)
    if configured.bearer_token_file:
        headers["Authorization"] = Credential(configured.bearer_token_file, prefix="Bearer ")
    return {
        name: value._replace(file=str(settings.resolve(value.file)))
        if isinstance(value, Credential) and value.file
        else value
        for name, value in headers.items()
    }


# The person at the keyboard: git identity and login, such as ``ann@example.com (root@host)``.
#
# The same text stands in every record: kill file, audit log, watches, notifications. Nothing here waits for git before
# the kill file is written: `Person.at_once` returns what is known, and `Person.full` asks git afterwards.

_ASK_GIT_S = 1.0
_KNOWN_FOR_S = 60.0
_MOST = 1 << 16


def login() -> str:
    """Return the login name (the one before sudo, if any) and the host."""
    environ = os.environ
    name = environ.get("SUDO_USER") or environ.get("USER") or environ.get("LOGNAME") or f"uid{os.getuid()}"
    return visible(f"{name}@{os.uname().nodename}", limit=120)


class Person:
    """The person of one session on one repository. Safe to share between threads."""

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._known = ""
        self._asked_at = float("-inf")

    def at_once(self) -> str:
        """Return the identity as known so far, without waiting for git or the disk."""
        return self._known or login()

    def full(self) -> str:
        """Return git identity and login; only the login when git has no identity or does not answer in a second."""
        now = time.monotonic()
        if now - self._asked_at > _KNOWN_FOR_S:
            email = _email(self._root)
            self._known = f"{visible(email, limit=200)} ({login()})" if email else login()
            self._asked_at = now
        return self._known


def _email(root: str) -> str:
    """Return git's ``user.email``, read from plain files when possible, else by running git.

    Starting git takes longer than everything else that the kill key does, so the file with the highest priority is read
    here. That only works for plain sections. At the first sign of anything else (an include, a quotation, a continued
    line, a linked worktree), git is asked. ``GIT_*`` variables do not count, as for our commits.
    """
    try:
        email = _plain_email(root)
    except (OSError, UnicodeDecodeError, _NotPlain):
        return _told_by_git(root)
    return email if email is not None else _told_by_git(root)


class _NotPlain(Exception):
    """The configuration has content that only git itself reads correctly."""


def _plain_email(root: str) -> str | None:
    """Return the e-mail with the highest priority; ``None`` when none of the usual files has one."""
    git = os.path.join(root, ".git")
    home = os.environ.get("HOME", "")
    particular_first = (
        os.path.join(git if os.path.exists(git) else root, "config"),
        os.path.join(home, ".gitconfig"),
        os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "git", "config"),
    )
    for path in particular_first:
        try:
            # Non-blocking: a FIFO in the file's place must not delay a kill.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            raw = os.read(handle, _MOST)
        finally:
            os.close(handle)
        if len(raw) == _MOST:
            raise _NotPlain
        email = _email_in(raw.decode())
        if email is not None:
            return email
    return None


def _email_in(text: str) -> str | None:
    email, section = None, ""
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
            email = value.strip()
    return email if email is None or _names_somebody(email) else ""


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
