"""Values of HTTP headers that must not stand in a configuration file: read from a file or the environment when sent.

A rotated token therefore works without a restart. What is read never enters a sentence, a log or a document: only
where it comes from does.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ml.errors import Usage
from ml.text import visible

_MOST = 1 << 16


class Credential(NamedTuple):
    """Where the value of a header comes from: ``file`` or else the variable ``env``; ``prefix`` goes before it."""

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
        """What a shell puts in its place."""
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
