"""``mlconsole doctor``: check everything that the console depends on. Each result comes with its fix."""

from __future__ import annotations

import locale
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from console.invocation import Invocation
from console.kill_form import kill_format
from console.paths import lies_in
from console.settings import Actuator, Settings
from console.switch import actuator_headers
from console.untrusted import untrusted
from ml.emergency.killfile import KillFile
from ml.errors import ConsoleError
from ml.text import visible
from ml.verdict import Check, Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check, and the fix when the check is not good."""

    check: Check
    remedy: str = ""


def examine(invocation: Invocation, model: str | None) -> tuple[Finding, ...]:
    """Check everything, or follow the runbook's troubleshooting for one model.

    Raises Usage for an invalid configuration.
    """
    settings = invocation.settings
    if model is not None:
        return tuple(Finding(check, remedy) for check, remedy in invocation.session.doctor.model(model))
    findings = [_configuration(settings), *_trust(settings), _state(settings), _terminal(), *_actuators(settings)]
    return (*findings, *_session(invocation))


def _configuration(settings: Settings) -> Finding:
    sources = sorted(set(settings.sources.values())) or ["defaults only"]
    return _ok("configuration", f"valid, from {', '.join(sources)}")


def _trust(settings: Settings) -> Iterator[Finding]:
    messages = untrusted(settings)
    for each in messages:
        yield _bad("trust", each.what, each.remedy)
    here = settings.standing
    if here is not None and here.trusted and here.record is not None and not messages:
        yield _ok("trust", f"{visible(str(here.path))} is as {here.record.by} trusted it on {here.record.at}")


def _state(settings: Settings) -> Finding:
    folder = settings.state
    why = _not_writable(folder)
    if why:
        return _bad("state", f"{visible(str(folder))}: {why}", "Make it writable, or set XDG_STATE_HOME.")
    return _ok("state", f"{visible(str(folder))} is writable")


def _not_writable(folder: Path) -> str:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return ""
    except OSError as error:
        return error.strerror or "not writable"


def _terminal() -> Finding:
    if not sys.stdout.isatty():
        return Finding(Check("terminal", Verdict.PASS, "not a terminal; verbs work, the interface does not"))
    size = shutil.get_terminal_size()
    if "utf" not in (locale.getpreferredencoding() or "").lower():
        return _bad("terminal", "the locale is not UTF-8", "Set LANG to a UTF-8 locale, or set interface.ascii = true.")
    if size.columns < 60 or size.lines < 16:
        return _bad("terminal", f"{size.columns}x{size.lines} is below 60x16", "Enlarge it, or use `mlconsole status`.")
    return _ok("terminal", f"{os.environ.get('TERM', 'unknown')}, {size.columns}x{size.lines}")


def _actuators(settings: Settings) -> Iterator[Finding]:
    file = settings.resolve(settings.kill_switch.file)
    why = "it is not a regular file" if file.exists() and not file.is_file() else _not_writable(file.parent)
    shown = visible(str(file))
    if why:
        yield _bad("kill file", f"{shown}: {why}", "Correct kill_switch.file or its permissions: F9 depends on it.")
    elif leads := _leads_elsewhere(settings, file):
        why = f"{shown} leads to {leads} by a link in the repository, which everybody who pushes can set"
        yield _bad("kill file", why, "Give kill_switch.file as an absolute path in your own or a trusted file.")
    else:
        yield _kill_file(settings, file, shown)
    for actuator in settings.kill_switch.actuator:
        if actuator.type == "command" and shutil.which(actuator.argv[0]) is None:
            program = visible(actuator.argv[0])
            yield _bad("actuator", f"{program} is not found", "Correct its argv, or install the program.")
        if actuator.type == "http":
            yield _credentials(settings, actuator)


def _kill_file(settings: Settings, file: Path, shown: str) -> Finding:
    """Check that a kill could be written into the file as it is, and whether engines of other users can read it."""
    form = kill_format(settings.kill_switch)
    kill_file = KillFile(file, form)
    state = kill_file.read()
    if refused := kill_file.refusal():
        return _bad("kill file", refused.cause, refused.remedy)
    if state.engaged is None:
        remedy = "Press F9, or run `mlconsole kill on` or `kill off`: each rewrites it."
        if form is not None:
            remedy = f"{remedy} Or correct kill_switch.format, key, on and off."
        return _bad("kill file", state.problem, remedy)
    says = f"{shown} can be written; it says {'on' if state.engaged else 'off'}"
    if form is not None:
        says += f" ({form.kind}, {form.name})" if file.exists() else f"; a kill makes it, with {form.name} alone in it"
    closed = next((each for each in file.parents if each.is_dir() and not each.stat().st_mode & 0o001), None)
    if closed is not None:
        says += f"; engines of other users cannot pass through {visible(str(closed))}"
    return _ok("kill file", says)


def _leads_elsewhere(settings: Settings, file: Path) -> str:
    """Return the real folder of a kill file that a link moves out of the repository; empty without such a link."""
    root, folder = os.path.abspath(settings.root), os.path.dirname(os.path.abspath(file))
    inside = os.path.commonpath((root, folder)) == root
    return visible(os.path.realpath(folder)) if inside and not lies_in(Path(folder), settings.root) else ""


def _credentials(settings: Settings, actuator: Actuator) -> Finding:
    try:
        read = [each.read() for each in actuator_headers(settings, actuator).values() if not isinstance(each, str)]
    except ConsoleError as error:
        return _bad("actuator", error.cause, error.remedy)
    return _ok("actuator", f"{visible(actuator.url.partition('?')[0])}: {len(read)} credentials can be read")


def _session(invocation: Invocation) -> Iterator[Finding]:
    try:
        doctor = invocation.session.doctor
    except ConsoleError as error:
        yield _bad("repository", error.cause, error.remedy)
        return
    looks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("identity", doctor.identity),
        ("registry", doctor.registry),
        ("policy", doctor.policy),
        ("signatures", doctor.signatures),
        ("commits", doctor.commits),
        ("clone", doctor.clone),
        ("remote", doctor.remote),
        ("prometheus", doctor.prometheus),
        ("alert rules", doctor.rules),
        ("runtime", doctor.runtime),
        ("cage", doctor.sandbox),
        ("journal", doctor.journal),
    )
    for name, look in looks:
        try:
            yield _ok(name, look())
        except ConsoleError as error:
            yield _bad(name, error.cause, error.remedy)


def _ok(name: str, why: str) -> Finding:
    return Finding(Check(name, Verdict.PASS, why))


def _bad(name: str, why: str, remedy: str) -> Finding:
    return Finding(Check(name, Verdict.FAIL, why), remedy)
