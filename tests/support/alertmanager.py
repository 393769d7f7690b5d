"""A real Alertmanager for tests: alone, on a port that the kernel chose, its storage in a test's folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.prometheus import wait_until

from ml.clock import format_utc

_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')
_CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@dataclass(frozen=True, slots=True)
class RealAlertmanager:
    """A running server: its address, and its process, a group of its own."""

    url: str
    process: subprocess.Popen[bytes]

    def silence(
        self, labels: Mapping[str, str], *, by: str, hours: float = 2, begins_in_hours: float = 0
    ) -> tuple[str, str]:
        """Silence the alerts with these labels; returns the silence's id, and its end as we write times."""
        begins = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=begins_in_hours)
        ends = begins + timedelta(hours=hours)
        silence = {
            "matchers": [{"name": name, "value": value, "isRegex": False} for name, value in labels.items()],
            "startsAt": begins.isoformat(),
            "endsAt": ends.isoformat(),
            "createdBy": by,
            "comment": "a test",
        }
        made = json.loads(self._call("POST", "silences", json.dumps(silence).encode()))
        return str(made["silenceID"]), format_utc(ends)

    def expire(self, silence: str) -> None:
        """End a silence now; Alertmanager keeps it among the expired ones."""
        self._call("DELETE", f"silence/{silence}")

    def end(self) -> None:
        """Kill it, as a crash would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _call(self, method: str, what: str, body: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v2/{what}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.read())


@contextmanager
def alertmanager(folder: Path) -> Iterator[RealAlertmanager]:
    """Run Alertmanager inside ``folder`` until the block ends."""
    folder.mkdir(parents=True)
    (folder / "alertmanager.yml").write_text(_CONFIG)
    log = folder / "alertmanager.log"
    program = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    assert program, "Alertmanager is not installed: run scripts/ensure-tools alertmanager"
    argv = [
        program,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True, cwd=folder)
    try:
        wait_until(lambda: _LISTENING.search(log.read_text()) is not None or process.poll() is not None, 60.0, log)
        found = _LISTENING.search(log.read_text())
        assert found, f"Alertmanager did not start:\n{log.read_text()[-2000:]}"
        yield RealAlertmanager(f"http://{found[1]}", process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
