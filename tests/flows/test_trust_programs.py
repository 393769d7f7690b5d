"""Programs inside the repository that the kill switch runs: only as their bytes were trusted, by the real verbs."""

from __future__ import annotations

import json

import pytest
from support.desk import Desk

from console.config import load
from console.switch import kill_switch

KILLED = "\nML_KILL_SWITCH=1\n"


@pytest.mark.parametrize("how", ["rewritten", "deleted", "a device"])
def test_a_program_in_the_repository_is_run_only_as_it_was_trusted(desk: Desk, how: str) -> None:
    """A pushed change of its bytes is a change of the configuration; the rest of the switch works, and says so."""
    script, ran, target = desk.path / "restart.sh", desk.home / "ran", desk.home / "engines.env"
    script.write_text(f"#!/bin/sh\necho trusted >>{ran}\n")
    actuator = f'[[kill_switch.actuator]]\ntype = "command"\nargv = ["/bin/sh", "{script}"]\n'
    desk.push(f'[kill_switch]\nfile = "{target}"\n{actuator}')
    assert desk.say("trust", "--yes")[0] == 0
    assert desk.say("kill", "on", "--no-wait")[0] == 0
    assert ran.read_text() == "trusted\n"
    assert "UNTRUSTED" not in desk.say("status", "--short")[1]

    script.unlink()
    if how == "rewritten":
        script.write_text(f"#!/bin/sh\necho hostile >>{ran}\n")
    elif how == "a device":
        script.symlink_to("/dev/zero")
    code, out, err = desk.say("kill", "on", "--no-wait", "--json")
    assert (code, json.loads(out)["state"], json.loads(out)["left_out"]) == (4, "WRITTEN", ["kill_switch.actuator"])
    assert "restart.sh, which console.toml runs, is not what was trusted" in err
    assert ran.read_text() == "trusted\n"
    assert target.read_text().endswith(KILLED)
    assert desk.say("status", "--short")[1].startswith("UNTRUSTED CONFIG (mlconsole trust) | KILL ")
    assert desk.document("trust", "--show")[1]["state"] == "changed"

    if how == "rewritten":
        assert "It is not what was trusted before." in desk.say("trust", "--show")[1]
        assert desk.say("trust", "--yes")[0] == 0
        assert desk.say("kill", "on", "--no-wait")[0] == 0
        assert ran.read_text() == "trusted\nhostile\n"


def test_a_console_that_is_open_for_days_looks_when_the_switch_is_thrown(desk: Desk) -> None:
    script, ran = desk.path / "restart.sh", desk.home / "ran"
    script.write_text(f"echo trusted >>{ran}\n")
    actuator = f'[[kill_switch.actuator]]\ntype = "command"\nargv = ["/bin/sh", "{script}"]\n'
    desk.push(f'[kill_switch]\nfile = "{desk.home / "engines.env"}"\n{actuator}')
    assert desk.say("trust", "--yes")[0] == 0
    switch = kill_switch(load(repo=str(desk.path)))
    assert all(step.done for step in switch.engage("ann", "x").steps)
    script.write_text(f"echo hostile >>{ran}\n")
    steps = switch.engage("ann", "x").steps
    assert [step.done for step in steps] == [True, False]
    assert "is not what was trusted, so it was not run" in steps[1].why
    assert ran.read_text() == "trusted\n"


def test_no_pushed_file_is_taken_for_a_word_of_a_command(desk: Desk) -> None:
    """Words that are no path cannot be turned into programs, and hold up no kill; a path that appears later does."""
    ran = desk.home / "ran"
    late = desk.path / "ops/late.sh"
    actuators = "".join(
        f'[[kill_switch.actuator]]\ntype = "command"\nargv = {json.dumps(argv)}\n'
        for argv in (["/usr/bin/touch", str(ran)], ["/bin/sh", str(late)])
    )
    desk.push(f'[kill_switch]\nfile = "{desk.home / "engines.env"}"\n{actuators}')
    assert desk.say("trust", "--yes")[0] == 0
    (desk.path / "touch").write_text("junk")
    assert desk.document("trust", "--show")[1]["state"] == "trusted"
    late.parent.mkdir()
    late.write_text(f"echo hostile >{desk.home / 'evil'}\n")
    code, _, err = desk.say("kill", "on", "--no-wait")
    assert (code, ran.exists(), (desk.home / "evil").exists()) == (4, True, False)
    assert "late.sh" in err
