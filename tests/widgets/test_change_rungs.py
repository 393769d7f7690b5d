"""The rungs of a change as rows: never wider than the terminal, whole branches, states in words, hostile text shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import BRANCH, NOW, change_facts, change_ladder, change_subject, changes

from ml.promotion.ladder import ladder
from ml.promotion.rungs import Checks, Ending, ForgeAnswer, ForgeState, Ladder, RemoteFacts, Request
from widgets.change_ladder import change_lines, change_text, heading, ladder_rows
from widgets.drawing import ASCII, UNICODE, Glyphs

EVIL = "x\x1b]52;c;ZXZpbA==\x07\x1b[2J\u202e\u200b\n[red]y[/]"


def text(found: Ladder | None, width: int = 78, glyphs: Glyphs = UNICODE, **options: object) -> list[str]:
    return [row.plain for row in ladder_rows(found, width, glyphs, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [20, 44, 78, 118, 198])
@pytest.mark.parametrize("brief", [True, False])
def test_no_row_is_wider_than_the_terminal_and_the_branch_is_whole(width: int, brief: bool) -> None:
    for found in changes():
        rows = list(ladder_rows(found, max(width, 41), UNICODE, brief=brief))
        assert max(row.cell_length for row in rows) <= max(width, 41)
        joined = "".join(row.plain[20:].strip() for row in rows)
        step = found.next
        assert step is None or found.subject.branch not in step.todo or found.subject.branch in joined


def test_each_state_is_a_word_of_its_own() -> None:
    facts = change_facts(change_subject())
    red = replace(facts.forge.requests[0], checks=Checks.FAILED, failed=("gate",))
    rows = text(change_ladder(forge=ForgeAnswer(state=ForgeState.ANSWERED, requests=(red,))), brief=True)
    assert [row.split()[1:3] for row in rows if row[0] != " "] == [
        ["PLANNED", "done"],
        ["PUSHED", "done"],
        ["CHECKED", "FAILED"],
        ["APPROVED", "done"],
        ["MERGED", "waits"],
        ["DEPLOYED", "waits"],
        ["SERVING", "waits"],
    ]
    silent = change_ladder(forge=ForgeAnswer(state=ForgeState.SILENT, why="gh does not answer."))
    assert "? CHECKED  unknown  Unknown: gh does not answer." in "\n".join(text(silent))


def test_the_rung_where_it_stands_says_what_to_do_and_the_others_keep_quiet() -> None:
    rows = text(change_ladder(), brief=True)
    assert sum("→" in row for row in rows) == 1
    assert any("mlconsole change land" in row for row in rows)
    assert not any("proof:" in row for row in rows)
    assert sum("proof:" in row for row in text(change_ladder())) == 4


def test_an_end_and_an_outdated_look_are_said_first_of_all() -> None:
    found = replace(change_ladder(), ending=Ending.CLOSED, ending_why="ann@example.com closed it.")
    assert text(found)[-1] == "CLOSED: ann@example.com closed it."
    assert not any("→" in row for row in text(found))
    assert text(change_ladder(), outdated="origin is out of reach.")[0] == (
        "NOT UP TO DATE since 14:02:11Z: origin is out of reach."
    )
    assert text(None, outdated="There is no change.") == ["NOT UP TO DATE: There is no change."]
    assert text(None) == ["Looking at the remote, the forge and the engines …"]


def test_ascii_is_ascii() -> None:
    rows = [*text(change_ladder(), glyphs=ASCII), *(line.plain for line in change_lines(changes()[0], NOW, ASCII))]
    assert sorted(set("".join(rows)) - set(map(chr, range(128)))) == []


def hostile() -> Ladder:
    """Everything that comes from a branch, a commit, a policy or a forge."""
    subject = change_subject(branch=f"promote/m/{EVIL}", model=EVIL, artifact_id=EVIL, by=EVIL)
    request = Request(
        tool=EVIL, address=EVIL, branch=subject.branch, head=subject.commit, base=EVIL, state="open",
        checks=Checks.FAILED, failed=(EVIL,), reviewers=(EVIL,),
    )  # fmt: skip
    facts = change_facts(subject, remote=RemoteFacts(name=EVIL, tip=subject.commit))
    return ladder(subject, replace(facts, forge=ForgeAnswer(state=ForgeState.ANSWERED, requests=(request,))), NOW)


@pytest.mark.parametrize("brief", [True, False])
def test_hostile_text_is_only_shown(brief: bool) -> None:
    found = replace(hostile(), ending_why=EVIL)
    rows = [
        *text(found, brief=brief, outdated=EVIL),
        *text(replace(found, ending=Ending.SUPERSEDED)),
        *(line.plain for line in change_lines(found, NOW, UNICODE)),
    ]
    assert [row for row in rows if not row.isprintable()] == []
    assert any("[red]y[/]" in row for row in rows)
    assert found.address.isprintable()


def test_a_row_says_where_the_change_stands_and_by_whom_where_there_is_room() -> None:
    lines = [line.plain for line in change_lines(changes()[1], NOW, UNICODE)]
    assert lines[-1].startswith("✗ CHECKED     20m staging→shadow regime_lowvol     regime_v2026_02_17_001")
    assert len(lines[-1]) <= 78 - 2
    assert lines[-2].rstrip().endswith("by developer@example.com")
    assert lines[0].endswith(": Checks failed: gate, unit-tests.")
    done = [line.plain for line in change_lines(changes()[3], NOW, UNICODE)]
    assert done[-1].startswith("✓ MERGED")
    assert len(heading().plain) <= 78


@pytest.mark.parametrize("pattern", [BRANCH, "regime_classifier", "developer@", "approved"])
def test_the_filter_finds_branch_model_person_and_rung(pattern: str) -> None:
    assert pattern in change_text(changes()[2])
