"""The short paths understand the same global flags as the command line, and every one of them has an effect."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import click
import pytest

from console.config import load
from console.flags import SWITCHES, VALUED, split_flags
from console.invocation import Invocation
from console.kill import _parsed
from console.verbs import cli


def test_the_short_paths_know_the_flags_of_the_command_line_and_no_others() -> None:
    options = [each for each in cli.params if isinstance(each, click.Option) and each.name != "version"]
    assert {each.opts[0]: each.name for each in options} == VALUED | SWITCHES
    assert {each.opts[0] for each in options if each.is_flag} == set(SWITCHES)
    assert {field.name for field in fields(Invocation)} == set((VALUED | SWITCHES).values())


@pytest.mark.parametrize("flag", SWITCHES)
def test_a_kill_is_understood_with_each_of_them(flag: str) -> None:
    call = _parsed([flag, "kill", "on"])
    assert call is not None
    assert getattr(call, SWITCHES[flag]) is True


@pytest.mark.parametrize("argv", [["--repo"], ["kill", "on", "--config"]])
def test_a_flag_without_its_value_is_for_the_parser_to_explain(argv: list[str]) -> None:
    assert split_flags(argv, VALUED, SWITCHES) is None


def test_plain_ascii_by_flag_whatever_the_files_say(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "console.toml").write_text("[interface]\nascii = false\n")
    settings = load(repo=str(tmp_path), ascii_only=True, environ={"XDG_CONFIG_HOME": str(tmp_path)})
    assert settings.interface.ascii is True
    assert settings.sources["interface.ascii"] == "flags"
