"""How every verb answers: lines for people or one JSON document, an exit code, and errors in two sentences."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Concatenate, NamedTuple, ParamSpec

import click

from console.session import Session
from console.stdout import write_out
from ml.errors import ConsoleError
from ml.verdict import Verdict

P = ParamSpec("P")

_CODES = {
    Verdict.NO_DATA: 3,
    Verdict.STALE: 3,
    Verdict.ERROR: 3,
}
_UNTOLD = 3
"""The exit code of an answer that would be good, and that standard output did not take: nobody knows it yet."""


class Answer(NamedTuple):
    """What a verb found: ``lines`` for a terminal, ``document`` for scripts, and the exit code."""

    lines: list[str]
    document: dict[str, Any]
    code: int = 0


def code_of(verdict: Verdict) -> int:
    """The exit code of a verdict: 0 it is so, 3 unknown (the data is not there), 1 the answer is no."""
    return 0 if verdict.opens else _CODES.get(verdict, 1)


def verb(function: Callable[Concatenate[Session, P], Answer]) -> Callable[..., int]:
    """Make a click callback of a function that takes the session and returns an `Answer`; adds ``--json``."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr.")
    @click.pass_obj
    @functools.wraps(function)
    def run(session: Session, /, as_json: bool, *args: P.args, **kwargs: P.kwargs) -> int:
        session.as_json = session.as_json or as_json
        answer = function(session, *args, **kwargs)
        went = emit(answer, as_json=session.as_json)
        return answer.code if went else answer.code or _UNTOLD

    return run


def emit(answer: Answer, *, as_json: bool) -> bool:
    """Print an answer in the form that was asked for; whether standard output took it."""
    if as_json:
        return write_out(json.dumps(answer.document, indent=2, ensure_ascii=False) + "\n")
    return not answer.lines or write_out("\n".join(answer.lines) + "\n")


def say(line: str) -> None:
    """Tell a person what is going on, on stderr, so that stdout stays the answer."""
    click.echo(line, err=True)


def fail(error: ConsoleError, *, as_json: bool) -> int:
    """Print an error as one sentence of cause and one of remedy; returns its exit code."""
    click.echo(error.cause, err=True)
    if error.remedy:
        click.echo(error.remedy, err=True)
    difference = getattr(error, "difference", "")
    if difference:
        click.echo(difference, err=True)
    if as_json:
        tell_error(error_document(error))
    return error.exit_code


def tell_error(document: dict[str, Any]) -> None:
    """Print the document of an error."""
    write_out(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def error_document(error: ConsoleError) -> dict[str, Any]:
    """An error for scripts."""
    return ending(error.cause, error.remedy, error.exit_code)


def ending(cause: str, remedy: str, exit_code: int) -> dict[str, Any]:
    """Whatever ended a run, for scripts."""
    return {
        "schema_version": "v1",
        "as_of": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "error": {"cause": cause, "remedy": remedy, "exit_code": exit_code},
    }
