"""Notifications by webhook. They never delay or block the action that they report (``[notify]``).

A notification is a small file in a spool folder until the other side has taken it. One daemon thread posts them in
order; what a process leaves behind, the next one posts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.emergency.post import post
from ml.errors import ConsoleError
from ml.records.durable import replace_file
from ml.text import visible

if TYPE_CHECKING:
    from ml.emergency.post import Post

_DEADLINE_S = 5.0
_LONGEST_REST_S = 300.0
_TOO_OLD_S = 86_400.0
"""News of yesterday's kill would only confuse."""


class Notifier:
    """One webhook. ``style`` is ``json`` (all fields) or ``slack`` (one text, which Mattermost takes as well)."""

    def __init__(self, url: str, style: str, spool: Path, *, send: Post = post, rest_s: float = 2.0) -> None:
        """``rest_s`` is how long to rest after the first failure; each further one doubles it, up to five minutes."""
        self._url = url
        self._style = style
        self._spool = spool
        self._rest_s = rest_s
        self._send = send
        self._wake = threading.Event()
        self._worker: threading.Thread | None = None
        self._starting = threading.Lock()

    def tell(self, event: str, text: str, **fields: str) -> None:
        """Spool one notification and return; never raises. ``text`` is a sentence for people."""
        if not self._url:
            return
        values = {name: visible(value) for name, value in fields.items()}
        body = self._body(event, visible(text), values)
        # What cannot even be spooled is lost: a full disk must not keep anybody from a kill or a rollback.
        with contextlib.suppress(OSError):
            replace_file(self._spool / f"{time.time_ns():020}-{os.getpid()}.json", body, lasting=False)
        self.start()

    def start(self) -> None:
        """Post the spooled notifications in the background, and again after each new one."""
        with self._starting:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="notify", daemon=True)
                self._worker.start()
        self._wake.set()

    def flush(self, deadline_s: float) -> int:
        """Wait until everything is posted, for a process that is about to end; how many are left for the next one."""
        ends = time.monotonic() + deadline_s
        while (left := len(self._waiting())) and time.monotonic() < ends:
            time.sleep(0.02)
        return left

    def _body(self, event: str, text: str, fields: Mapping[str, str]) -> bytes:
        document: dict[str, Any] = {"schema_version": "v1", "event": event, "text": text, **fields}
        if self._style == "slack":
            details = "".join(f"\n• {name}: {value}" for name, value in fields.items())
            document = {"text": _slack(f"mlconsole {event}: {text}{details}")}
        return json.dumps(document, ensure_ascii=False).encode()

    def _work(self) -> None:
        rest = self._rest_s
        while True:
            if self._drain():
                rest = self._rest_s
                self._wake.wait()
            else:
                # A new notification does not shorten the rest: the other side is down, and would be asked in a hurry.
                time.sleep(rest)
                rest = min(rest * 2, _LONGEST_REST_S)
            self._wake.clear()

    def _drain(self) -> bool:
        """Post everything that waits, oldest first; whether nothing is left to try again."""
        with self._alone() as ours:
            return ours and all(self._posted(path) for path in self._waiting())

    def _posted(self, path: Path) -> bool:
        try:
            body = path.read_bytes()
            if time.time() - path.stat().st_mtime < _TOO_OLD_S:
                self._send(self._url, body, {"Content-Type": "application/json"}, _DEADLINE_S)
            path.unlink()
        except FileNotFoundError:
            return True
        except (OSError, ConsoleError):
            return False
        return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Keep other consoles from posting the same files; false where one is at it."""
        try:
            handle = os.open(self._spool / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            # There is no such folder, so that nothing waits in it either.
            yield True
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(handle)

    def _waiting(self) -> list[Path]:
        return sorted(self._spool.glob("*.json"))


def _slack(text: str) -> str:
    """Escape a text for Slack and Mattermost: nothing from outside becomes a mention, or a link under other words.

    Mattermost takes ``@all``, ``@name`` and ``~channel`` from plain text; the sign becomes its full-width twin where
    one begins, so that an e-mail address stays as it is. ``](`` would make a link or load an image there.
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("](", "] (")
    return _MENTION.sub(lambda found: _TWINS[found[0]], text)


_MENTION = re.compile(r"(?<![A-Za-z0-9])(?:@(?=\S)|~(?=[A-Za-z]))")
_TWINS = {"@": "\uff20", "~": "\uff5e"}
