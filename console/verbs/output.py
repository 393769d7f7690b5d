"""Output of every verb: text or one JSON document, an exit code, and errors in two sentences."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Concatenate, NamedTuple, ParamSpec

import click

from console.invocation import Invocation
from console.short import code_of
from console.stdout import write_out
from ml.errors import ConsoleError
from ml.text import json_text, whole, whole_lines

__all__ = ["Answer", "code_of", "emit", "error_document", "fail", "say", "verb"]

P = ParamSpec("P")

_UNTOLD = 3
"""Exit code for a good answer that standard output did not accept, so the reader did not get it."""


class Answer(NamedTuple):
    """Answer of a verb: ``lines`` for a terminal, ``document`` for scripts, and the exit code."""

    lines: list[str]
    document: dict[str, Any]
    code: int = 0


def verb(function: Callable[Concatenate[Invocation, P], Answer]) -> Callable[..., int]:
    """Make a click callback from a function that takes the session and returns an `Answer`. Adds ``--json``."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr.")
    @click.pass_obj
    @functools.wraps(function)
    def run(invocation: Invocation, /, as_json: bool, *args: P.args, **kwargs: P.kwargs) -> int:
        invocation.as_json = invocation.as_json or as_json
        answer = function(invocation, *args, **kwargs)
        went = emit(answer, as_json=invocation.as_json)
        return answer.code if went else answer.code or _UNTOLD

    return run


def emit(answer: Answer, *, as_json: bool, err: bool = False) -> bool:
    """Print an answer in the requested form. Returns False when standard output did not accept it."""
    text = json_text(answer.document) if as_json else "\n".join(whole(line) for line in answer.lines)
    if not text:
        return True
    if err:
        click.echo(text, err=True)
        return True
    return write_out(text + "\n")


def say(line: str) -> None:
    """Print progress on stderr, so that stdout holds only the answer."""
    click.echo(whole(line), err=True)


def fail(error: ConsoleError, *, as_json: bool) -> int:
    """Print an error as one sentence of cause and one of remedy. Returns its exit code."""
    for text in (error.cause, error.remedy):
        if text:
            click.echo(continued(text), err=True)
    difference = getattr(error, "difference", "")
    if difference:
        click.echo(whole_lines(difference), err=True)
    if as_json:
        tell_error(error_document(error))
    return error.exit_code


def continued(text: str) -> str:
    """Make a message safe to print. Only the first of several lines starts at our own indentation."""
    return whole_lines(text).replace("\n", "\n  ")


def tell_error(document: dict[str, Any]) -> None:
    """Print an error's JSON document."""
    write_out(json_text(document) + "\n")


def error_document(error: ConsoleError) -> dict[str, Any]:
    """Return an error for scripts."""
    return ending(error.cause, error.remedy, error.exit_code)


def ending(cause: str, remedy: str, exit_code: int) -> dict[str, Any]:
    """Return any exception that ended a run, for scripts."""
    return {
        "schema_version": "v1",
        "as_of": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "error": {"cause": cause, "remedy": remedy, "exit_code": exit_code},
    }
