"""The release of the kill switch, by keys."""

from __future__ import annotations

from support.terminal import Terminal


def release(terminal: Terminal, reason: str, engines: int) -> None:
    """From the kill screen to the proof that every engine infers again, or would."""
    terminal.press("u")
    terminal.wait_for("Release the kill switch")
    terminal.go("tab")
    terminal.type(reason)
    terminal.go("tab")
    terminal.wait_for("0 of 7")
    terminal.type("RELEASE")
    terminal.press("enter")
    terminal.wait_for(f"RELEASE CONFIRMED {engines} of {engines}", 60)
