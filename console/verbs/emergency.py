"""The verb kill, for help and completion; `console.kill` carries it out on its short path."""

from __future__ import annotations

import click

from console.kill import RELEASE_WORD, run_kill
from console.session import Session


@click.command()
@click.argument("order", type=click.Choice(["on", "off", "status"]))
@click.option("--reason", default="", help="Why; a release needs one.")
@click.option("--confirm", default="", metavar=RELEASE_WORD, help="The typed confirmation of a release.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the engines' proof.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr.")
@click.pass_obj
def kill(session: Session, /, order: str, reason: str, confirm: str, no_wait: bool, as_json: bool) -> int:
    """Switch all machine learning off or on again, and wait until the running engines prove it."""
    argv = ["kill", order, f"--reason={reason}", f"--confirm={confirm}"]
    argv += [f"--repo={session.repo}"] if session.repo else []
    argv += [f"--config={session.config}"] if session.config else []
    flags = {
        "--no-wait": no_wait,
        "--json": as_json or session.as_json,
        "--read-only": session.read_only,
        "--no-kill": session.no_kill,
        "--debug": session.debug,
    }
    argv += [flag for flag, given in flags.items() if given]
    return run_kill(argv) or 0
