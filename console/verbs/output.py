"""How every verb answers: lines for people or one JSON document, an exit code, and errors in two sentences."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Concatenate, NamedTuple, ParamSpec

import click

from console.session import Session
from console.short import code_of
from ml.errors import ConsoleError
from ml.text import json_text, whole, whole_lines

__all__ = ["Answer", "code_of", "emit", "error_document", "fail", "say", "verb"]

P = ParamSpec("P")


class Answer(NamedTuple):
    """What a verb found: ``lines`` for a terminal, ``document`` for scripts, and the exit code."""

    lines: list[str]
    document: dict[str, Any]
    code: int = 0


def verb(function: Callable[Concatenate[Session, P], Answer]) -> Callable[..., int]:
    """Make a click callback of a function that takes the session and returns an `Answer`; adds ``--json``."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr.")
    @click.pass_obj
    @functools.wraps(function)
    def run(session: Session, /, as_json: bool, *args: P.args, **kwargs: P.kwargs) -> int:
        session.as_json = session.as_json or as_json
        answer = function(session, *args, **kwargs)
        emit(answer, as_json=session.as_json)
        return answer.code

    return run


def emit(answer: Answer, *, as_json: bool, err: bool = False) -> None:
    """Print an answer in the form that was asked for. Each line is one line, whatever stands in it."""
    if as_json:
        click.echo(json_text(answer.document), err=err)
    elif answer.lines:
        click.echo("\n".join(whole(line) for line in answer.lines), err=err)


def say(line: str) -> None:
    """Tell a person what is going on, on stderr, so that stdout stays the answer."""
    click.echo(whole(line), err=True)


def fail(error: ConsoleError, *, as_json: bool) -> int:
    """Print an error as one sentence of cause and one of remedy; returns its exit code."""
    for text in (error.cause, error.remedy):
        if text:
            click.echo(continued(text), err=True)
    difference = getattr(error, "difference", "")
    if difference:
        click.echo(whole_lines(difference), err=True)
    if as_json:
        sys.stdout.write(json_text(error_document(error)) + "\n")
    return error.exit_code


def continued(text: str) -> str:
    """A message safe to print; of several lines, as a server's hook says, only the first begins where ours do."""
    return whole_lines(text).replace("\n", "\n  ")


def error_document(error: ConsoleError) -> dict[str, Any]:
    """An error for scripts."""
    return {
        "schema_version": "v1",
        "as_of": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "error": {"cause": error.cause, "remedy": error.remedy, "exit_code": error.exit_code},
    }
