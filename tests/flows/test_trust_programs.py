"""Programs inside the repository that the kill switch runs: only as their bytes were trusted, by the real verbs."""

from __future__ import annotations

import json

import pytest
from support.shared_remote import SharedRemote

from console.config import load
from console.switch import kill_switch

KILLED = "\nML_KILL_SWITCH=1\n"


@pytest.mark.parametrize("how", ["rewritten", "deleted", "a device"])
def test_a_program_in_the_repository_is_run_only_as_it_was_trusted(shared: SharedRemote, how: str) -> None:
    """A pushed change of its bytes is a change of the configuration; the rest of the switch works, and says so."""
    script, ran, target = shared.path / "restart.sh", shared.home / "ran", shared.home / "engines.env"
    script.write_text(f"#!/bin/sh\necho trusted >>{ran}\n")
    actuator = f'[[kill_switch.actuator]]\ntype = "command"\nargv = ["/bin/sh", "{script}"]\n'
    shared.push(f'[kill_switch]\nfile = "{target}"\n{actuator}')
    assert shared.say("trust", "--yes")[0] == 0
    assert shared.say("kill", "on", "--no-wait")[0] == 0
    assert ran.read_text() == "trusted\n"
    assert "UNTRUSTED" not in shared.say("status", "--short")[1]

    script.unlink()
    if how == "rewritten":
        script.write_text(f"#!/bin/sh\necho hostile >>{ran}\n")
    elif how == "a device":
        script.symlink_to("/dev/zero")
    code, out, err = shared.say("kill", "on", "--no-wait", "--json")
    assert (code, json.loads(out)["state"], json.loads(out)["left_out"]) == (4, "WRITTEN", ["kill_switch.actuator"])
    assert "restart.sh, which console.toml runs, is not what was trusted" in err
    assert ran.read_text() == "trusted\n"
    assert target.read_text().endswith(KILLED)
    assert shared.say("status", "--short")[1].startswith("UNTRUSTED CONFIG (mlconsole trust) | KILL ")
    assert shared.document("trust", "--show")[1]["state"] == "changed"

    if how == "rewritten":
        assert "It is not what was trusted before." in shared.say("trust", "--show")[1]
        assert shared.say("trust", "--yes")[0] == 0
        assert shared.say("kill", "on", "--no-wait")[0] == 0
        assert ran.read_text() == "trusted\nhostile\n"


def test_a_console_that_is_open_for_days_looks_when_the_switch_is_thrown(shared: SharedRemote) -> None:
    script, ran = shared.path / "restart.sh", shared.home / "ran"
    script.write_text(f"echo trusted >>{ran}\n")
    actuator = f'[[kill_switch.actuator]]\ntype = "command"\nargv = ["/bin/sh", "{script}"]\n'
    shared.push(f'[kill_switch]\nfile = "{shared.home / "engines.env"}"\n{actuator}')
    assert shared.say("trust", "--yes")[0] == 0
    switch = kill_switch(load(repo=str(shared.path)))
    assert all(step.done for step in switch.engage("ann", "x").steps)
    script.write_text(f"echo hostile >>{ran}\n")
    steps = switch.engage("ann", "x").steps
    assert [step.done for step in steps] == [True, False]
    assert "is not what was trusted, so it was not run" in steps[1].why
    assert ran.read_text() == "trusted\n"


def test_no_pushed_file_is_taken_for_a_word_of_a_command(shared: SharedRemote) -> None:
    """Words that are no path cannot be turned into programs, and hold up no kill; a path that appears later does."""
    ran = shared.home / "ran"
    late = shared.path / "ops/late.sh"
    actuators = "".join(
        f'[[kill_switch.actuator]]\ntype = "command"\nargv = {json.dumps(argv)}\n'
        for argv in (["/usr/bin/touch", str(ran)], ["/bin/sh", str(late)])
    )
    shared.push(f'[kill_switch]\nfile = "{shared.home / "engines.env"}"\n{actuators}')
    assert shared.say("trust", "--yes")[0] == 0
    (shared.path / "touch").write_text("junk")
    assert shared.document("trust", "--show")[1]["state"] == "trusted"
    late.parent.mkdir()
    late.write_text(f"echo hostile >{shared.home / 'evil'}\n")
    code, _, err = shared.say("kill", "on", "--no-wait")
    assert (code, ran.exists(), (shared.home / "evil").exists()) == (4, True, False)
    assert "late.sh" in err


@pytest.mark.parametrize("word", ["{script} now", "exec {script}; true", "X=1 '{script}'", ". {script}&&true"])
def test_a_program_inside_a_shells_own_line_is_run_only_as_it_was_trusted(shared: SharedRemote, word: str) -> None:
    script, ran = shared.path / "restart.sh", shared.home / "ran"
    script.write_text(f"#!/bin/sh\necho trusted >>{ran}\n")
    script.chmod(0o755)
    argv = json.dumps(["/bin/sh", "-c", word.format(script=script)])
    actuator = f'[[kill_switch.actuator]]\ntype = "command"\nargv = {argv}\n'
    shared.push(f'[kill_switch]\nfile = "{shared.home / "engines.env"}"\n{actuator}')
    assert shared.say("trust", "--yes")[0] == 0
    assert shared.say("kill", "on", "--no-wait")[0] == 0
    assert ran.read_text() == "trusted\n"
    script.write_text(f"#!/bin/sh\necho hostile >>{ran}\n")
    code, _, err = shared.say("kill", "on", "--no-wait")
    assert (code, ran.read_text()) == (4, "trusted\n")
    assert "restart.sh, which console.toml runs, is not what was trusted" in err
