"""Actuators that carry the kill switch to engines that do not read the env file: commands and HTTP calls.

An engine that reads its environment only at its start never sees a changed file: something must restart it or call it.
The configuration says which; ``docs/operations.md`` has examples for systemd, docker compose and Kubernetes. The env
file itself is `ml.emergency.killfile.KillFile`, which always goes first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ml.emergency.killenv import VARIABLE
from ml.emergency.post import exchange, require_status
from ml.errors import TimedOut, Unavailable, Usage
from ml.text import visible

if TYPE_CHECKING:
    from ml.ports import Runner


class Actuator(Protocol):
    """One way to bring a switch, engaged or released, to the engines."""

    @property
    def name(self) -> str:
        """The actuator's name, for receipts and the audit log."""
        ...

    def deliver(self, *, engage: bool) -> None:
        """Do it, within the actuator's own deadline.

        Raises:
            ml.errors.ConsoleError: it was not done, and why.
        """
        ...

    def by_hand(self, *, engage: bool) -> str:
        """The command or step with which a person does the same."""
        ...


HOST = "{host}"
"""The placeholder for each host in a command's argv."""


class CommandActuator:
    """Runs an argv, such as a service restart. It finds ``ML_KILL_SWITCH`` as 1 or 0 in its environment.

    With a ``host``, that name stands for `HOST` in every argument; the configuration has made sure that it is a plain
    host name, so that neither a shell nor a program takes it for anything else.
    """

    def __init__(self, argv: Sequence[str], run: Runner, deadline_s: float, host: str = "") -> None:
        self.host = host
        self._argv = tuple(part.replace(HOST, host) for part in argv) if host else tuple(argv)
        self._run = run
        self._deadline_s = deadline_s

    @property
    def name(self) -> str:
        """``command``, the program, and the host."""
        on = f" on {visible(self.host, limit=120)}" if self.host else ""
        return f"command {visible(self._argv[0], limit=80)}{on}"

    def deliver(self, *, engage: bool) -> None:
        """Run it. Raises TimedOut at the deadline, Unavailable for any exit but 0 or no such program."""
        environment = os.environ | {VARIABLE: str(int(engage))}
        ended = self._run(self._argv, deadline_s=self._deadline_s, env=environment, max_output=1 << 20)
        shown = visible(" ".join(self._argv), limit=120)
        if ended.timed_out:
            raise TimedOut(f"`{shown}` did not end within {self._deadline_s:g} s.", "Run it by hand and look.")
        if ended.code != 0:
            said = visible((ended.err or ended.out).decode("utf-8", "replace").strip(), limit=300)
            raise Unavailable(f"`{shown}` ended with {ended.code}: {said or 'it said nothing'}.", "Run it by hand.")

    def by_hand(self, *, engage: bool) -> str:
        """The command line, quoted for a shell."""
        import shlex  # noqa: PLC0415 - the kill key does not pay for it

        return f"{VARIABLE}={int(engage)} {visible(shlex.join(self._argv))}"


VALUE = "{value}"
"""The placeholder for the value of on or off in an HTTP request and its answer."""


class HttpRequest(NamedTuple):
    """The request that sets the switch, and the answer that means that it is set.

    `VALUE` in the URL, in ``body`` and in ``expect`` stands for ``on`` or ``off``. Without a body, a request that may
    have one carries ``{"ML_KILL_SWITCH": "1"}`` or ``"0"``. ``status`` 0 is any 2xx; an empty ``expect`` any content.
    """

    method: str = "POST"
    body: str = ""
    on: str = "1"
    off: str = "0"
    expect: str = ""
    status: int = 0

    def filled(self, template: str, *, engage: bool) -> str:
        """A template with the value for on or off in it."""
        return template.replace(VALUE, self.on if engage else self.off)

    def content(self, *, engage: bool) -> str | None:
        """The body to send; ``None`` for a request that has none."""
        if self.body:
            return self.filled(self.body, engage=engage)
        if self.method in ("GET", "DELETE"):
            return None
        return json.dumps({VARIABLE: str(int(engage))})


class HttpActuator:
    """Sends a request to a URL and looks at the answer. Credentials are read again for each."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str | Credential],
        deadline_s: float,
        request: HttpRequest = HttpRequest(),  # noqa: B008 - it is frozen
    ) -> None:
        self._url = url
        self._headers: Mapping[str, str | Credential] = {"Content-Type": "application/json", **headers}
        self._deadline_s = deadline_s
        self._request = request

    @property
    def name(self) -> str:
        """``http`` and the address, without its query."""
        return f"http {visible(self._url.partition('?')[0], limit=120)}"

    def deliver(self, *, engage: bool) -> None:
        """Send it. Raises TimedOut or Unavailable, and Usage for a credential that cannot be read."""
        request = self._request
        headers = {name: told if isinstance(told, str) else told.read() for name, told in self._headers.items()}
        url, body = request.filled(self._url, engage=engage), request.content(engage=engage)
        reply = exchange(request.method, url, body.encode() if body is not None else None, headers, self._deadline_s)
        require_status(reply.status, url, request.status)
        expected = request.filled(request.expect, engage=engage)
        if expected.encode() not in reply.content:
            said = visible(reply.content[:200].decode("utf-8", "replace"), limit=120)
            shown = visible(url.partition("?")[0], limit=200)
            cause = f"{shown} answered {said or 'nothing'}, which does not hold {visible(expected, limit=120)}."
            raise Unavailable(cause, "Look at the engine itself: the switch may not be set.")

    def by_hand(self, *, engage: bool) -> str:
        """A curl line; it names where credentials come from, and never shows one."""
        import shlex  # noqa: PLC0415 - the kill key does not pay for it

        headers = " ".join(
            f"-H {shlex.quote(f'{name}: {told}')}" if isinstance(told, str) else f'-H "{name}: {told.in_shell()}"'
            for name, told in self._headers.items()
        )
        body = self._request.content(engage=engage)
        data = f" -d {shlex.quote(body)}" if body is not None else ""
        url = shlex.quote(self._request.filled(self._url, engage=engage))
        return visible(f"curl -X {self._request.method} {headers}{data} {url}")


# Secret values of HTTP headers, read from a file or the environment at each request.
#
# A rotated token therefore works without a restart. The value never enters a sentence, a log or a document, only
# its origin does.

_MOST = 1 << 16


class Credential(NamedTuple):
    """The source of a header's value: ``file``, else the environment variable ``env``. ``prefix`` goes before it."""

    file: str = ""
    env: str = ""
    prefix: str = ""

    def read(self) -> str:
        """The value now, without the white space around it.

        Raises:
            Usage: it cannot be read, is empty, or holds what no header can carry.
        """
        value = (self._from_file() if self.file else os.environ.get(self.env, "")).strip()
        if not value:
            raise Usage(f"{self._where} is empty or not set.", "Put the secret there; the request was not sent.")
        if not (value.isascii() and value.isprintable()):
            # http.client would name the value in its complaint.
            raise Usage(f"{self._where} holds characters that no header takes.", "Write one line of plain ASCII.")
        return self.prefix + value

    def in_shell(self) -> str:
        """The expression with which a shell reads the value."""
        import shlex  # noqa: PLC0415 - the kill key does not pay for it

        return f"{self.prefix}$(cat {shlex.quote(self.file)})" if self.file else f"{self.prefix}${self.env}"

    @property
    def _where(self) -> str:
        return f"The secret in {visible(self.file)}" if self.file else f"The variable {visible(self.env)}"

    def _from_file(self) -> str:
        try:
            with open(self.file, encoding="utf-8") as file:
                return file.read(_MOST)
        except OSError as error:
            raise Usage(
                f"{self._where} cannot be read: {error.strerror}.", "Correct its path or permissions."
            ) from error
        except UnicodeDecodeError as error:
            raise Usage(f"{self._where} is no text.", "Write one line of plain ASCII.") from error
