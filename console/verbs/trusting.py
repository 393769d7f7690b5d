"""Verb trust: show the configuration from the repository, and ask whether to trust it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from console import documents
from console.config import not_counting
from console.invocation import Invocation
from console.settings import Settings
from console.switch import Person, audit_log
from console.trust import Record, Standing, digest, programs_of, remove_record, write_record
from console.verbs.output import Answer, emit, verb
from console.vouching import base_commit
from ml.clock import SystemClock, format_utc
from ml.difference import unified
from ml.errors import Conflict, ConsoleError, Refused, Usage
from ml.text import visible

_WORD = "yes"
_LEAST_DIGEST = 12


@click.command()
@click.option("--yes", is_flag=True, help="Trust the shown changes without a question; for scripts.")
@click.option("--digest", "expected", default="", metavar="SHA256", help="Trust the file only if its digest is this.")
@click.option("--show", is_flag=True, help="Show what is trusted. Exit code 0 when everything is, else 1.")
@click.option("--revoke", is_flag=True, help="Forget all trust. Only harmless settings count then.")
@verb
def trust(invocation: Invocation, yes: bool, expected: str, show: bool, revoke: bool) -> Answer:
    """Show changes of the repository's configuration since it was last trusted, and ask whether to trust them."""
    if show + revoke + (yes or bool(expected)) > 1:
        raise Usage("These options exclude each other.", "Give --yes (with --digest), --show or --revoke.")
    settings = invocation.settings
    here = settings.standing
    if here is None:
        return _answer(None, "You named a configuration file of your own, which needs no trust.", 0)
    if invocation.read_only and not show:
        raise Refused("This session is read-only.", "Start it without --read-only, or use `mlconsole trust --show`.")
    if revoke:
        return _revoked(settings, here)
    if here.trusted:
        return _answer(here, _trusted_line(here), 0)
    names = not_counting(here)
    warnings = tuple(_warnings(settings, here))
    if show:
        return _answer(here, "", 1, names, warnings)
    _require_digest(here, expected)
    if not yes:
        _ask(invocation, _answer(here, "", 1, names, warnings))
    return _accepted(settings, here, shown=not yes, warnings=warnings)


def _ask(invocation: Invocation, question: Answer) -> None:
    """Show the whole difference and wait for the typed word. Raises Refused for any other answer."""
    emit(question, as_json=False, err=True)
    if invocation.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(
            "There is no terminal for the question, so nothing was trusted.",
            "Run `mlconsole trust` in a terminal, or repeat with --yes --digest and the digest shown.",
        )
    sys.stderr.write(f"Type {_WORD} to trust this, anything else to leave it: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != _WORD:
        raise Refused("Nothing was trusted.", "The settings trusted before still hold.")


def _require_digest(here: Standing, expected: str) -> None:
    if not expected:
        return
    if len(expected) < _LEAST_DIGEST:
        raise Usage(f"--digest needs at least {_LEAST_DIGEST} characters.", "Copy it from `mlconsole trust --show`.")
    if not here.digest.startswith(expected.lower()):
        raise Conflict("The file has another digest, so nothing was trusted.", "Read it: `mlconsole trust --show`.")


def _accepted(settings: Settings, here: Standing, *, shown: bool, warnings: tuple[str, ...]) -> Answer:
    """Trust exactly the bytes that were shown, and record the person."""
    commit, by = base_commit(settings), Person(settings.root).full()
    record = Record(here.content, format_utc(SystemClock().now()), by, "asked", commit, commit)
    write_record(here, record)
    problem = _recorded(settings, "trust", here.digest)
    now = here._replace(record=record, changed=())
    text = [] if shown else [*_difference(here), *warnings]
    answer = _answer(now, _trusted_line(now), 0, warnings=warnings)
    return answer._replace(lines=[*text, *answer.lines, *problem])


def _revoked(settings: Settings, here: Standing) -> Answer:
    if not remove_record(here):
        return _answer(here, "Nothing was trusted.", 0)
    problem = _recorded(settings, "trust revoked", here.digest)
    line = "Forgotten. The kill switch uses your own file or the default again. `mlconsole kill status` shows which."
    answer = _answer(here._replace(record=None, changed=()), line, 0)
    return answer._replace(lines=[*answer.lines, *problem])


def _recorded(settings: Settings, kind: str, sha256: str) -> list[str]:
    """Write the audit line. Returns lines that explain a failure to write it."""
    try:
        assert settings.standing is not None
        audit_log(settings).append(
            kind, by=Person(settings.root).full(), file=str(settings.standing.path), sha256=sha256
        )
    except ConsoleError as error:
        return [str(error)]
    return []


def _answer(
    here: Standing | None, line: str, code: int, names: tuple[str, ...] = (), warnings: tuple[str, ...] = ()
) -> Answer:
    body: dict[str, Any] = {"file": None, "state": "none", "digest": None, "trusted": None, "left_out": list(names)}
    text = [line] if line else []
    difference: list[str] = []
    if here is not None:
        difference = [] if here.trusted else list(_difference(here))
        body |= {"file": str(here.path), "state": _state(here), "digest": here.digest, "trusted": _record(here.record)}
        if not here.trusted:
            listed = f"Ignored until you trust it: {', '.join(names) or 'nothing; only comments differ'}."
            text = [*difference, "", *warnings, listed, f"sha256 {here.digest}", *text]
    body |= {"difference": "\n".join(difference), "warnings": list(warnings)}
    return Answer(text, documents.envelope(SystemClock().now()) | body, code)


def _state(here: Standing) -> str:
    if here.trusted:
        return "trusted" if here.record else "none"
    return "changed" if here.record else "untrusted"


def _record(record: Record | None) -> dict[str, str] | None:
    if record is None:
        return None
    facts = {"at": record.at, "by": record.by, "how": record.how, "base": record.base}
    return facts | {"digest": digest(record.content)}


def _trusted_line(here: Standing) -> str:
    if here.record is None:
        return f"There is no {visible(str(here.path))}, so there is nothing to trust."
    how = {"signed": "signed by", "demo": "made by"}.get(here.record.how, "trusted by")
    file = visible(str(here.path)) if here.content else f"The absence of {visible(str(here.path))}"
    return f"{file} counts: {how} {here.record.by} on {here.record.at}, sha256 {here.digest}."


def _difference(here: Standing) -> Iterator[str]:
    """Compare the file with the trusted one, line by line, made visible and never cut."""
    before = here.record.content if here.record else b""
    since = f"trusted {here.record.at}" if here.record else "nothing trusted so far"
    rows = unified(_rows(before), _rows(here.content), since, str(here.path))
    yield from (visible(row, limit=len(row) * 10 + 10) for row in rows)


def _rows(content: bytes) -> list[str]:
    # Split only at TOML's line ends. Other separators are shown as characters.
    return content.decode("utf-8", "replace").removesuffix("\n").split("\n") if content else []


def _warnings(settings: Settings, here: Standing) -> Iterator[str]:
    """Return warnings about things a reader may miss: look-alike letters, and programs that anybody who pushes can
    change."""
    for number, row in enumerate(_rows(here.content), 1):
        if not row.isascii():
            yield f"Look closely: line {number} holds characters that are not plain ASCII."
    for word in programs_of(here.content, settings.root):
        shown = visible(os.path.relpath(settings.root / word, settings.root))
        again = " It is not what was trusted before." if word in here.changed else ""
        why = "lies in the repository, where everybody who pushes can change it; it is run only as it is now"
        yield f"Look closely: {shown} {why}.{again}"
