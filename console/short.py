"""The line of ``status --short``, and the exit code of a verdict. This module has no slow imports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml.board import Board, KillView
    from ml.judgement import Judgement

_CODES = {
    Verdict.NO_DATA: 3,
    Verdict.STALE: 3,
    Verdict.ERROR: 3,
}


def code_of(verdict: Verdict) -> int:
    """Return the exit code of a verdict: 0 good, 1 bad, 3 unknown because data is missing."""
    return 0 if verdict.opens else _CODES.get(verdict, 1)


def kill_word(view: KillView) -> str:
    """Return the switch's state in a few words."""
    if view.unwritten:
        return "NOT WRITTEN"
    if view.engaged is None:
        return "UNCLEAR: engines read the kill file differently" if view.unclear else "unknown"
    if view.releasing:
        return f"RELEASE {view.rung.value}"
    if view.by_engines:
        return f"ON by the engines, {view.proven} of {view.engines}, not by this clone's kill file"
    return f"ON {view.rung.value}" if view.engaged else "off"


def model_word(judgement: Judgement) -> str:
    """Return a model in a word or two: ``ok`` only for PASS, otherwise the deciding objective and the verdict."""
    return "ok" if judgement.verdict is Verdict.PASS else f"{judgement.name} {judgement.verdict.value}".lstrip()


def words_of(board: Board) -> tuple[tuple[str, str], ...]:
    """Return each model of a board with its word."""
    # Imported here: a snapshot already holds the words.
    from ml.judgement import judged  # noqa: PLC0415

    return tuple((model.name, model_word(judged(model))) for model in board.models)


def short(board: Board, *, untrusted: bool = False) -> str:
    """The line of a board that was judged just now; ``untrusted`` as for `short_line`."""
    return short_line(kill_word(board.kill), words_of(board), untrusted=untrusted)


def short_line(kill: str, words: Iterable[tuple[str, str]], age: str = "", *, untrusted: bool = False) -> str:
    """``KILL off | regime_classifier:ok spacing:p99 FAIL``, and how old that is where it was not judged just now.

    ``untrusted``: something in the configuration does not count, so that the line begins with ``UNTRUSTED CONFIG``.
    """
    line = f"KILL {kill} | " + " ".join(f"{name}:{word}" for name, word in words)
    line = f"UNTRUSTED CONFIG (mlconsole trust) | {line}" if untrusted else line
    return f"{line} | {age} ago" if age else line
