"""Receipt of a kill on the command line: wait for confirmation, or print the manual steps."""

from __future__ import annotations

import sys
import time

from console import documents
from console.settings import Settings
from console.short import kill_word
from console.stdout import write_out
from console.switch import audit_log
from console.wiring import kill_control, prometheus
from ml.board import KillView, Rung
from ml.clock import SystemClock, format_utc
from ml.emergency.switch import KillSwitch
from ml.text import json_text, whole

_EVERY_S = 0.5
_CLIMBING = (Rung.REQUESTED, Rung.WRITTEN, Rung.APPLIED)
_UNCONFIRMED = 4


def show_receipt(settings: Settings, switch: KillSwitch, *, as_json: bool, wait: bool) -> int:
    """Print the switch and its receipt. With ``wait``, wait until it is CONFIRMED or the deadline has passed.

    Returns 0, or 4 when the switch's state is unknown or a request could not be confirmed.
    """
    clock = SystemClock()
    metrics = prometheus(settings)
    control = kill_control(settings, switch, metrics, audit_log(settings), clock)
    view = control.view()
    said: list[str] = []
    while wait and view.rung in _CLIMBING and metrics is not None:
        said = _say(view, said)
        time.sleep(_EVERY_S)
        view = control.view()
    if as_json:
        document = documents.envelope(clock.now()) | documents.kill(view)
        write_out(json_text(document) + "\n")
    else:
        write_out("\n".join(map(whole, _lines(view))) + "\n")
    return _UNCONFIRMED if _doubtful(view, wait=wait) else 0


def _doubtful(view: KillView, *, wait: bool) -> bool:
    open_ones = (Rung.UNCONFIRMED, Rung.UNPROVEN)
    return view.engaged is None or view.rung in open_ones or (wait and view.rung is not Rung.CONFIRMED)


def _say(view: KillView, said: list[str]) -> list[str]:
    lines = [f"{item.instance} {item.rung.value} {item.why}" for item in view.instances]
    if lines != said:
        sys.stderr.write("\n".join(map(whole, lines)) + "\n")
    return lines


def _lines(view: KillView) -> list[str]:
    lines = [f"KILL {kill_word(view)}"]
    if view.requested_at:
        lines.append(f"requested {format_utc(view.requested_at)} by {view.by}: {view.reason}")
    lines += [f"{item.rung.value:<12} {item.instance}  {item.why}" for item in view.instances]
    if view.engines > len(view.instances):
        lines.append(f"and {view.engines - len(view.instances)} more engines; {view.proven} of all are CONFIRMED")
    lines += [text for text in (view.beside, view.problem) if text]
    if view.rung is not Rung.CONFIRMED and view.manual:
        lines += ["By hand:", *(f"  {step}" for step in view.manual)]
    return lines
