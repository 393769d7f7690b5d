"""The man page says what the command line says."""

from __future__ import annotations

import subprocess

import click

from console.verbs import cli
from scripts.make_man_page import PAGE, man_page


def test_the_man_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == man_page(), "run python -m scripts.make_man_page"


def test_every_verb_is_in_it_and_roff_finds_nothing_wrong() -> None:
    page = man_page().replace("\\-", "-")
    for verb in cli.list_commands(click.Context(cli)):
        assert f".SS {verb} " in page
    groff = ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z", PAGE]
    assert subprocess.run(groff, capture_output=True, text=True, check=True, timeout=30).stderr == ""
