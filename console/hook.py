"""``mlconsole gate --pre-receive`` without the session and the command-line parser: every push waits for it.

A server's hook needs the repository, the gate and the verifier alone. All other uses of ``gate`` go through the full
command line, and so does whatever this module does not understand.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from console.config import load
from console.flags import SWITCHES, VALUED, split_flags
from console.settings import Settings
from console.stdout import write_out
from ml.text import visible, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.artifacts.verify import Verifier
    from ml.promotion.received import Received

_VALUED = VALUED | {
    "--pre-receive": "branch",
    "--prometheus": "prometheus",
    "--prometheus-token-file": "token_file",
    "--prometheus-ca-file": "ca_file",
}
_UNTOLD = 3
"""Exit code for a good answer that standard output did not accept."""


def run_hook(argv: list[str]) -> int | None:
    """Judge a push and return the exit code; ``None`` when the full command line must handle the arguments."""
    found = split_flags(argv, _VALUED, SWITCHES)
    if found is None:
        return None
    words, told = found
    if words != ["gate"] or not told.get("branch") or "as_json" in told:
        return None
    try:
        return _run(told)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 whatever ends it becomes an exit code
        from console.verbs import code_of_end  # noqa: PLC0415 it brings the parser

        return code_of_end(error, argv)


def _run(told: Mapping[str, str | bool]) -> int | None:
    settings = load(repo=_text(told, "repo") or None, config=_text(told, "config") or None)
    here = settings.standing
    if here is not None and not here.trusted and here.record is not None:
        return None  # a signature may vouch for the configuration; only a session looks at it
    found = _received(settings, told)
    lines = received_lines(found)
    went = not lines or write_out("".join(f"{whole(line)}\n" for line in lines))
    code = 1 if any(item.why_not for item in found) else 0
    return code if went else code or _UNTOLD


def received_lines(found: Sequence[Received]) -> list[str]:
    """Return the hook's words to the person who pushes: each refused ref with its reasons, and the notes of others."""
    refused = [f"mlconsole: {visible(item.ref)} is refused: {why}" for item in found for why in item.why_not]
    notes = [f"mlconsole: {visible(item.ref)}: {note}" for item in found if not item.why_not for note in item.notes]
    return refused + notes


def _received(settings: Settings, told: Mapping[str, str | bool]) -> tuple[Received, ...]:
    # Imported here: a wrong command line needs none of it.
    from ml.adapters.git import open_repository  # noqa: PLC0415
    from ml.clock import SystemClock  # noqa: PLC0415
    from ml.promotion.gate.judge import GateRunner  # noqa: PLC0415
    from ml.promotion.paths import Places  # noqa: PLC0415

    source = None
    if any(told.get(name) for name in ("prometheus", "token_file", "ca_file")):
        from console.remeasuring import source_at  # noqa: PLC0415 few gates have a Prometheus

        source = source_at(*(_text(told, name) for name in ("prometheus", "token_file", "ca_file")))
    runner = GateRunner(
        repository=open_repository(settings.root),
        places=Places(settings.registry.path),
        artifact_base=settings.registry.artifact_base,
        verifier=partial(_verifier, settings),
        clock=SystemClock(),
        source=source,
    )
    return runner.receive(sys.stdin.buffer.read(), _text(told, "branch"))


def _verifier(settings: Settings) -> Verifier:
    # Imported with the first artifact: most refused pushes never get so far.
    from ml.adapters import processes  # noqa: PLC0415
    from ml.artifacts.cache import VerificationCache  # noqa: PLC0415
    from ml.artifacts.verify import Verifier  # noqa: PLC0415

    return Verifier(processes.run, cache=VerificationCache(settings.state / "verified.json"))


def _text(told: Mapping[str, str | bool], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""
