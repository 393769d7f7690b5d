"""How to be let in at a metrics server: tokens, passwords, certificates and headers, secrets read when needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml.errors import Usage
from ml.text import visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A bearer token or user and password (each as a value or in a file), TLS files, and extra headers.

    Files of secrets are read with every question, so a rotated token works without a restart.
    """

    bearer_token: str = field(default="", repr=False)
    bearer_token_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def headers_now(self) -> dict[str, str]:
        """The headers to send, Authorization included when there is a token."""
        token = self.bearer_token or _secret(self.bearer_token_file)
        return {**self.headers, **({"Authorization": f"Bearer {token}"} if token else {})}

    def basic(self) -> tuple[str, str] | None:
        """User and password for basic authentication; ``None`` without a user."""
        return (self.username, self.password or _secret(self.password_file)) if self.username else None


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"The secret in {visible(str(path))} cannot be read: {visible(str(error), limit=200)}.",
            "Correct the path in the configuration, or the file's permissions.",
        ) from error
