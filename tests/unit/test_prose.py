"""The prose check finds each kind of sentence that it is for, and lets plain ones pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.prose import Finding, check, check_subjects


def rules(tmp_path: Path, name: str, text: str) -> list[str]:
    path = tmp_path / name
    path.write_text(text)
    return [found.rule for found in check([path])]


@pytest.mark.parametrize("opener", ["What is kept.", "Whether it is on.", "Where files go.", "When it began."])
def test_a_docstring_starts_with_the_thing(tmp_path: Path, opener: str) -> None:
    assert rules(tmp_path, "a.py", f'"""{opener}"""\n') == ["docstring opener"]
    assert rules(tmp_path, "b.py", f'"""A module."""\n\n\ndef f():\n    """{opener}"""\n') == ["docstring opener"]


@pytest.mark.parametrize(
    "text",
    [
        '"""The audit log."""\n',
        '"""Wherever a path leads."""\n',
        '"""A log.\n\nWhen it is full, a new one starts.\n"""\n',
    ],
)
def test_plain_docstrings_pass(tmp_path: Path, text: str) -> None:
    assert rules(tmp_path, "a.py", text) == []


def test_phrases_are_found_in_strings_comments_and_documents(tmp_path: Path) -> None:
    assert rules(tmp_path, "a.py", 'SAID = "Mend what it names, then plan anew."\n') == ["phrase"]
    assert rules(tmp_path, "b.py", "# a model whose soak is over\n") == ["phrase"]
    assert rules(tmp_path, "c.md", "A promotion is told of the switch.\n\n```\nwhose\n```\n") == ["phrase"]


def test_a_long_sentence_is_found_but_not_a_list_of_arguments(tmp_path: Path) -> None:
    words = "word " * 46
    assert rules(tmp_path, "a.py", f'"""The {words}."""\n') == ["sentence over 45 words"]
    listed = "".join(f"        name{number}: {'word ' * 9}.\n" for number in range(8))
    assert rules(tmp_path, "b.py", f'def f():\n    """Do it.\n\n    Args:\n{listed}    """\n') == []


def test_commit_subjects() -> None:
    found = list(
        check_subjects([("1", "x" * 73), ("2", "Collect garbage before gc.freeze()"), ("3", "Done."), ("4", "mend it")])
    )
    assert [(each.where, each.rule) for each in found] == [
        ("1", "subject over 72 characters"),
        ("1", "subject form"),
        ("3", "subject form"),
        ("4", "subject form"),
    ]
    assert str(found[-1]) == str(Finding("4", "subject form", "mend it")) == "4: subject form: mend it"
