"""``mlconsole kill on|off|status`` without slow imports: the switch is on disk before anything heavy is loaded.

A kill needs no git, registry, Prometheus or terminal. Only the receipt, which follows, asks for metrics.
"""

import contextlib
import sys
from typing import TYPE_CHECKING, NamedTuple

from console.config import load
from console.flags import SWITCHES, VALUED, split_flags
from console.settings import Settings
from console.stdout import write_out
from console.switch import Person, kill_switch
from ml.clock import SystemClock, format_utc
from ml.emergency.killenv import VARIABLE
from ml.emergency.switch import KillRequest, KillSwitch
from ml.errors import ConsoleError, Refused, Usage
from ml.text import json_text, whole

if TYPE_CHECKING:
    from console.untrusted import Untrusted

RELEASE_WORD = "RELEASE"
_VALUED = VALUED | {"--reason": "reason", "--confirm": "confirm"}
_SWITCHES = SWITCHES | {"--no-wait": "no_wait"}
_ORDERS = ("on", "off", "status")
_UNCONFIRMED = 4
_NOT_THROWN = (
    f"KILL NOT THROWN. By hand: write {VARIABLE}=1 into the env file of the engines, or the value for on into the kill "
    "file of their own format, or stop them.\n"
)


class _Call(NamedTuple):
    order: str
    repo: str | None = None
    config: str | None = None
    reason: str = ""
    confirm: str = ""
    as_json: bool = False
    no_wait: bool = False
    read_only: bool = False
    no_kill: bool = False
    ascii_only: bool = False
    debug: bool = False


def run_kill(argv: list[str]) -> int | None:
    """Run a kill command. Returns ``None`` when the full command line must handle the arguments."""
    call = _parsed(argv)
    if call is None:
        return None
    try:
        return _carry_out(call)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 whatever ends it becomes an exit code
        # Imported here: the switch is written already, so the slow import of the parser does no harm.
        from console.verbs import code_of_end  # noqa: PLC0415

        return code_of_end(error, argv)


def _parsed(argv: list[str]) -> _Call | None:
    parsed = split_flags(argv, _VALUED, _SWITCHES)
    if parsed is None:
        return None
    words, options = parsed
    if len(words) != 2 or words[0] != "kill" or words[1] not in _ORDERS:
        return None
    return _Call(words[1], **options)  # type: ignore[arg-type]


def _carry_out(call: _Call) -> int:
    try:
        settings, switch = _ready(call)
    except Usage as mistake:
        return _killed_all_the_same(call, mistake)
    except ConsoleError:
        if call.order == "on":
            sys.stderr.write(_NOT_THROWN)
        raise
    if call.order == "status":
        _left_out(settings)
        return _receipt(call, settings, switch, wait=False)
    act = _engaged if call.order == "on" else _released
    request = act(settings, switch, call)
    _tell(request)
    left_out = _left_out(settings)
    if call.no_wait or not request.written:
        return _answer_now(call, request, left_out)
    return _receipt(call, settings, switch, wait=True)


def _killed_all_the_same(call: _Call, mistake: Usage) -> int:
    """Engage the switch despite a mistake in other settings. Raises when the mistake hides the kill file's path."""
    if call.order != "on":
        raise mistake
    try:
        if call.no_kill:
            raise mistake
        settings = load(repo=call.repo, config=call.config, only=("kill_switch",))
        switch = kill_switch(settings)
    except Usage:
        sys.stderr.write(_NOT_THROWN)
        raise mistake from None
    request = _engaged(settings, switch, call)
    _tell(request)
    left_out = _left_out(settings)
    _say(str(mistake))
    _say("Only [kill_switch] was read, so it is not known yet whether the engines obey.")
    _answer_now(call, request, left_out)
    return _UNCONFIRMED


def _ready(call: _Call) -> tuple[Settings, KillSwitch]:
    """Return the switch, ready to use. Raises Usage for a mistake in its settings, Refused when it may not be used."""
    settings = load(repo=call.repo, config=call.config, read_only=call.read_only, kill_allowed=not call.no_kill)
    if call.no_kill and call.order != "status":
        raise Refused("This session was started with --no-kill.", "Start it without --no-kill.")
    return settings, kill_switch(settings)


def _engaged(settings: Settings, switch: KillSwitch, call: _Call) -> KillRequest:
    person = Person(settings.root)
    return switch.engage(person.at_once(), call.reason or "mlconsole kill on", person.full)


def _released(settings: Settings, switch: KillSwitch, call: _Call) -> KillRequest:
    if call.read_only:
        raise Refused("This session is read-only.", "Start it without --read-only to release the kill switch.")
    typed = call.confirm
    if not typed and sys.stdin.isatty():
        sys.stderr.write(f"Type {RELEASE_WORD} to let models act again: ")
        sys.stderr.flush()
        typed = sys.stdin.readline().rstrip("\n")
    if typed != RELEASE_WORD:
        raise Refused("The release was not confirmed.", f"Repeat with --confirm {RELEASE_WORD}.")
    if not call.reason.strip():
        raise Usage("A release needs a reason.", "Repeat with --reason TEXT.")
    return switch.release(Person(settings.root).full(), call.reason)


def _say(line: str) -> None:
    sys.stderr.write(whole(line) + "\n")


def _tell(request: KillRequest) -> None:
    """Print the result on stderr. The kill stands even when nobody can read the output."""
    with contextlib.suppress(OSError):
        _say_steps(request)


def _say_steps(request: KillRequest) -> None:
    for step in request.steps:
        word = "WRITTEN" if step.done else "FAILED"
        _say(f"{word} {step.name} {step.why}".rstrip())
    if request.problem:
        _say(request.problem)
    if not request.written:
        _say("By hand:")
        for line in request.by_hand:
            _say(f"  {line}")
    sys.stderr.flush()


def _left_out(settings: Settings) -> "tuple[Untrusted, ...]":
    """Return the settings that the switch ignored because the configuration is not trusted."""
    if settings.standing is None or (settings.standing.trusted and not settings.own_file_left_out):
        return ()
    # Imported here: the switch is written already, and most configurations are trusted.
    from console.untrusted import untrusted  # noqa: PLC0415

    left_out = untrusted(settings)
    for each in left_out:
        _say(f"LEFT OUT {each.what} {each.remedy}")
    return left_out


def _answer_now(call: _Call, request: KillRequest, left_out: "tuple[Untrusted, ...]") -> int:
    """Answer without waiting.

    A switch that may write to another place than the repository's file says is not reported as done.
    """
    if call.as_json:
        document = {
            "schema_version": "v1",
            "as_of": format_utc(SystemClock().now()),
            "state": "WRITTEN" if request.written else "UNCONFIRMED",
            "engaged": request.engage and request.written,
            "requested_at": format_utc(request.at),
            "by": request.by,
            "reason": request.reason,
            "instances": [],
            "manual": list(request.by_hand),
            "problem": request.problem,
            "left_out": [name for each in left_out for name in each.names],
        }
        write_out(json_text(document) + "\n")
    return 0 if request.written and not any(each.kill for each in left_out) else _UNCONFIRMED


def _receipt(call: _Call, settings: Settings, switch: KillSwitch, *, wait: bool) -> int:
    # Imported here: the switch is written already, so slow imports do no harm.
    from console.receipts import show_receipt  # noqa: PLC0415

    return show_receipt(settings, switch, as_json=call.as_json, wait=wait)
