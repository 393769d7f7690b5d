"""Check the mechanical rules of plain English: ``python -m scripts.prose [PATH …]``.

The rules are the ones that a program can decide: docstrings start with the thing they describe, sentences stay
short enough to be understood at the first reading, phrases that readers stumbled over do not come back, and commit
subjects fit in one line. CONTRIBUTING.md explains them. The command prints one line per finding, and ends in 1 when
there is one.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CODE = ("console", "widgets", "ml", "scripts", "benchmarks")
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs")
QUOTED_DOCUMENTS = ("RUNBOOK_19_ML_MODEL_PROMOTION.md",)
"""Documents that are not ours to reword."""
SUBJECTS_SINCE = "2026-11-27T13:56:00Z"
"""Commits from this moment on follow the rules; older history stays as it is."""
LONGEST_SUBJECT = 72
LONGEST_SENTENCE = 45
"""Words. A longer sentence is two sentences."""

_OPENERS = re.compile(r"(What|Where|Whether|When|Who|Whom|How|Why|That)\b")
_FORBIDDEN = re.compile(
    r"\b(is|are|was|were) told of\b|\bwhat it names\b|\bwhose\b|\bfor nobody\b|\bby itself\b"
    r"|\berrands?\b|\bnotebooks?\b|\bthe (cage|house|desk|room)\b",
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"[A-Z][A-Za-z-]+ \S")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*])|\n\s*\n|:\s*\n")
_LINE = re.compile(r"^\s*([-*|>#]|\d+\.|:|```|\*{0,2}\w+(, \w+)*:\s)", re.MULTILINE)


class Finding(NamedTuple):
    """One broken rule: ``where`` as ``path:line`` or a commit, ``rule`` in two words, ``text`` as it stands."""

    where: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.text}"


def check(paths: Sequence[Path]) -> Iterator[Finding]:
    """Check every Python and Markdown file at or below some paths."""
    for path in sorted(_files(paths)):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
        yield from _python(name, text) if path.suffix == ".py" else _markdown(name, text)


def check_subjects(subjects: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Check commit subjects, given as pairs of abbreviated hash and subject."""
    for commit, subject in subjects:
        if len(subject) > LONGEST_SUBJECT:
            yield Finding(commit, f"subject over {LONGEST_SUBJECT} characters", subject)
        if subject.endswith(".") or not _SUBJECT.match(subject):
            yield Finding(commit, "subject form", subject)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        found = [path] if path.is_file() else [*path.rglob("*.py"), *path.rglob("*.md")]
        yield from (each for each in found if each.name not in QUOTED_DOCUMENTS and "seed" not in each.parts)


def _python(name: str, text: str) -> Iterator[Finding]:
    tree = ast.parse(text)
    docstrings = list(_docstrings(tree))
    for docstring in docstrings:
        where, said = f"{name}:{docstring.lineno}", str(docstring.value)
        if _OPENERS.match(said.lstrip()):
            yield Finding(where, "docstring opener", _short(said))
        yield from _sentences(where, said)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield from _phrases(f"{name}:{node.lineno}", node.value)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield from _phrases(f"{name}:{token.start[0]}", token.string)


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            value = first.value if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def _markdown(name: str, text: str) -> Iterator[Finding]:
    plain = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL)
    for number, line in enumerate(plain.splitlines(), 1):
        yield from _phrases(f"{name}:{number}", line)


def _sentences(where: str, text: str) -> Iterator[Finding]:
    yield from _phrases(where, text)
    for sentence in _SENTENCE_END.split(_LINE.sub("\n\n", text)):
        if len(sentence.split()) > LONGEST_SENTENCE:
            yield Finding(where, f"sentence over {LONGEST_SENTENCE} words", _short(sentence))


def _phrases(where: str, text: str) -> Iterator[Finding]:
    for found in _FORBIDDEN.finditer(text):
        yield Finding(where, "phrase", f"{found[0]!r} in {_short(text)}")


def _short(text: str) -> str:
    return " ".join(text.split())[:100]


def _subjects() -> list[tuple[str, str]]:
    argv = ["git", "-C", str(ROOT), "log", "--no-merges", f"--since={SUBJECTS_SINCE}", "--format=%h%x00%s"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    pairs = (line.split("\0", 1) for line in done.stdout.splitlines())
    return [(commit, subject) for commit, subject in pairs]


def main() -> None:
    """Check the whole repository, or the paths that are given."""
    paths = [Path(each).resolve() for each in sys.argv[1:]]
    found = list(check(paths or [ROOT / each for each in (*CODE, *DOCUMENTS)]))
    if not paths:
        found += check_subjects(_subjects())
    for each in found:
        sys.stdout.write(f"{each}\n")
    sys.stdout.write(f"{len(found)} findings\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
