"""The one sanitizer: makes text from outside safe to show on a terminal (contract §10).

Terminals act on control characters, and readers are deceived by bidirectional and zero-width ones.
All of these are shown as visible escapes; nothing is dropped, so an operator sees that they were there.
"""

from __future__ import annotations

from typing import Any

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
# Blank characters that Unicode files under letters and marks, so that Python calls them printable.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_LONGEST_ESCAPE = 10
"""Characters of ``\\u{10ffff}``; a tab becomes at most eight spaces."""


def visible(text: str, *, limit: int = 4096, lines: bool = False) -> str:
    """Make outside text safe to print on one line, or on several when ``lines``.

    Args:
        text: anything, lone surrogates included.
        limit: most characters of the result; a cut is marked by an ellipsis.
        lines: keep ``\\n`` as a line break and expand tabs, for diffs and logs.
    """
    result = text[: limit + 1]
    if not (result.isascii() and result.isprintable()):
        result = "".join(char if _harmless(char, lines) else _escape(char) for char in result)
    if lines:
        result = result.expandtabs(8)
    return result if len(result) <= limit else result[: limit - 1] + "…"


def whole(text: str) -> str:
    """Make one line safe to print without cutting it, for output that must keep its end."""
    return visible(text, limit=len(text) * _LONGEST_ESCAPE + 1)


def whole_lines(text: str) -> str:
    """Make several lines safe to print without cutting them: `whole` with line breaks kept and tabs expanded."""
    return visible(text, limit=len(text) * _LONGEST_ESCAPE + 1, lines=True)


def json_text(document: Any) -> str:
    """A JSON document that a terminal only shows: `visible` characters as they are, all others as ``\\uXXXX``.

    Nothing is lost: a parser reads the same values as from any other JSON text.
    """
    import json  # noqa: PLC0415 the kill key imports this module

    text = json.dumps(document, indent=2, ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(char if char == "\n" or _harmless(char, False) else json.dumps(char)[1:-1] for char in text)


def _harmless(char: str, lines: bool) -> bool:
    if lines and char in "\n\t":
        return True
    # Python's printable leaves out controls, formats (bidi, zero width), surrogates, private use and odd spaces.
    return char.isprintable() and char not in _INVISIBLE


def _escape(char: str) -> str:
    code = ord(char)
    return _PICTURES.get(code) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}")
