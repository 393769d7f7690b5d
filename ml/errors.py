"""All errors that a person can cause or meet: one sentence of cause, one of remedy, one exit code (contract §11)."""

from __future__ import annotations


class ConsoleError(Exception):
    """A failure with a cause and a remedy in words. Subclasses differ in what a script should do next.

    ``cause`` and ``remedy`` are whole sentences and already safe to print (see `ml.text.visible`).
    """

    exit_code = 70

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}".strip()


class Invalid(ConsoleError):
    """The answer is no: something is invalid, breached, or a gate did not open. Exit code 1."""

    exit_code = 1


class Usage(ConsoleError):
    """The request or the configuration is wrong. Exit code 2."""

    exit_code = 2


class Unavailable(ConsoleError):
    """A dependency or its data is not there; retrying may help. Exit code 3."""

    exit_code = 3


class TimedOut(ConsoleError):
    """A deadline passed, or a kill was not confirmed in time. Exit code 4."""

    exit_code = 4


class Refused(ConsoleError):
    """Forbidden here and now: read-only session, role, ACK, freeze window. Exit code 5."""

    exit_code = 5


class Conflict(Refused):
    """The registry moved underneath the change; nothing was overwritten. Exit code 5.

    ``difference`` is a unified diff from the plan's base to the current one.
    """

    def __init__(self, cause: str, remedy: str = "", difference: str = "") -> None:
        super().__init__(cause, remedy)
        self.difference = difference
