"""Words are not data: no code compares or takes apart a sentence that was made for people; findings carry codes.

Sentences are reworded and translated. Whatever a program must know stands beside them as a code, a number or a type.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.verdict import Code

ROOT = Path(__file__).parents[2]
SENTENCES = {"why", "cause", "remedy", "sentence", "obstacle", "caveat"}
TAKES_APART = {
    *("startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition"),
    *("find", "rfind", "index", "rindex", "split", "rsplit", "count"),
}
CODED = ("ml/slo", "ml/promotion", "ml/artifacts")
READS_PROSE = ROOT / "scripts/prose.py"  # its data are the sentences themselves
FROZEN = ROOT / "ml/slo/v1"


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if FROZEN not in path.parents)


def is_sentence(node: ast.AST) -> bool:
    """A value that is named as a sentence is, or `str` of an error."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str" and node.args:
        return isinstance(node.args[0], ast.Name) and node.args[0].id in ("error", "failure")
    named = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return named in SENTENCES


def is_empty(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in ("", None)


def judged_by_words(tree: ast.AST) -> Iterator[int]:
    """The lines in which a sentence decides something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(map(is_sentence, sides)) and not any(map(is_empty, sides)):
                yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            home = node.func.value
            if node.func.attr in TAKES_APART and is_sentence(home):
                yield node.lineno
            if isinstance(home, ast.Name) and home.id == "re" and any(map(is_sentence, node.args)):
                yield node.lineno
        elif isinstance(node, ast.Match) and is_sentence(node.subject):
            yield node.lineno


def test_no_code_judges_by_a_sentence() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources("ml", "console", "widgets", "scripts")
        if path != READS_PROSE
        for line in judged_by_words(ast.parse(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    "wrong",
    [
        'gate.why.endswith("(was FAIL)")',
        'error.cause == "No answer."',
        '"lock" in error.cause',
        'step.why not in ("", "was engaged already")',
        're.search("was (.*)", gate.why)',
        'str(error).startswith("ONNX_")',
        'match why:\n    case "no event was added": pass',
    ],
)
def test_the_search_finds_each_way_of_doing_it(wrong: str) -> None:
    assert list(judged_by_words(ast.parse(wrong))) == [1]


@pytest.mark.parametrize("right", ['gate.why == ""', "gate.code is Code.BREACHED", 'what = why or "nothing"'])
def test_the_search_leaves_the_rest_alone(right: str) -> None:
    assert list(judged_by_words(ast.parse(right))) == []


def uncoded(tree: ast.AST) -> Iterator[int]:
    """The lines that make a check, a reading or a gate without a code."""
    places = {"Check": 3, "Reading": 99, "Gate": 99}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in places:
            named = any(keyword.arg == "code" for keyword in node.keywords)
            if not named and len(node.args) <= places[node.func.id]:
                yield node.lineno


def test_every_finding_of_the_judges_has_a_code() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}" for path in sources(*CODED) for line in uncoded(ast.parse(path.read_text()))
    ]
    assert found == []
    assert list(uncoded(ast.parse('Check("digests", Verdict.FAIL, "differs")'))) == [1]
    assert list(uncoded(ast.parse('Gate(name="soak", verdict=Verdict.FAIL, why="short")'))) == [1]


def test_every_code_is_documented_once_and_used() -> None:
    documented = (ROOT / "docs/codes.md").read_text()
    used = "".join(path.read_text() for path in sources("ml", "console"))
    for code in Code:
        assert documented.count(f"| `{code}` |") == 1, code
        assert f"Code.{code.name}" in used, code
