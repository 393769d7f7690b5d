"""Where a pushed branch becomes a pull request (implemented by `ml.adapters.forge`)."""

from __future__ import annotations

from typing import Protocol


class Forge(Protocol):
    """Opens pull requests, or says where a person can."""

    def open_request(self, remote_url: str, branch: str, base: str, title: str, body: str) -> str:
        """Open a pull request and return its address; else the address where a person opens it, or nothing.

        Never raises: the branch is pushed already, and a sick forge must not make that look like a failure.
        """
        ...
