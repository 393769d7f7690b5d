"""`mlconsole serve`, as a browser and as those who should not see it find it: real server, real git, real Chromium."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from support.chromium import chromium_page
from support.clones import Clones, clean_environment, make_clones
from support.gatehouse import FRESH, LIVE, OLD, POLICY, SOAKED, artifact_files, life

from console.serve import serve
from console.settings import Settings
from console.snapshot import FILE as SNAPSHOT
from ml.errors import Usage
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

_NOW = datetime.now(UTC).replace(microsecond=0)
# An odd name: textual-serve starts the console by a shell.
_ODD = "it's $(touch owned) a repository"


@dataclass(frozen=True)
class Served:
    """A server: ``url`` is what it printed."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port
        return port

    def session(self) -> list[int]:
        """Every process of the server's session; one that has ended and is not yet buried is none."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found

    def wait_alone(self, most: int, deadline_s: float = 10.0) -> None:
        """Wait until at most so many processes are left."""
        deadline = time.monotonic() + deadline_s
        while len(left := self.session()) > most:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.05)


@pytest.fixture
def clones(tmp_path: Path) -> Clones:
    files: dict[str, str | bytes] = {
        REGISTRY_PATH: life(_NOW).raw,
        POLICY_PATH: POLICY,
        "console.toml": "[registry]\nfetch_seconds = 0.5\n",
    }
    for name in (OLD, LIVE, SOAKED):
        files |= artifact_files(name)
    made = make_clones(tmp_path, files)
    made.operator.path.rename(tmp_path / _ODD)
    return Clones(made.remote, type(made.operator)(tmp_path / _ODD, tmp_path))


@contextlib.contextmanager
def serving(clones: Clones, *options: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "serve", "--port", "0", *options],
        cwd=clones.operator.path,
        env=clean_environment(clones.operator.home),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline().strip()
        assert line.startswith("http"), line
        yield Served(process, line)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)
        process.stderr.close()


def everything(clones: Clones) -> dict[str, bytes | str]:
    """What a person could change from the console: refs here and there, the tree, the kill file, drafts, records.

    Not the snapshot of the verdicts: each console writes it after each poll, whoever looks at it.
    """
    state = clones.operator.home / ".local/state"
    records = sorted(path for path in state.rglob("*") if path.is_file() and path.name != SNAPSHOT)
    return {
        "remote": clones.remote.git("for-each-ref"),
        "local": clones.operator.git("for-each-ref", "refs/heads", "refs/tags"),
        **clones.operator.trace(),
        **{str(path): path.read_bytes() for path in records},
    }


async def status(url: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers, allow_redirects=False) as answer:
        return answer.status


async def test_a_browser_sees_the_console_and_can_change_nothing(clones: Clones, tmp_path: Path) -> None:
    with serving(clones) as served:
        async with chromium_page(tmp_path) as page:
            await page.go(served.url)
            assert "local RO" in await page.wait_for("regime_classifier")
            clock = re.search(r"\d\d:\d\d:\d\dZ", await page.wait_for(LIVE))
            before = everything(clones)

            await page.click()
            for key, answer in (
                ("p", "A promotion is not"),
                ("r", "A rollback is not"),
                ("F9", "The kill key is off"),
            ):
                await page.press(key)
                await page.wait_for(answer)
            assert everything(clones) == before
            assert not (clones.operator.path / "var").exists()
            assert clock
            assert clock[0] not in await page.text()

            second = clones.another("second")
            second.commit("FRESH is staged", {REGISTRY_PATH: life(_NOW, staged=True).raw, **artifact_files(FRESH)})
            second.git("push", "-q", "origin", "main")
            await page.wait_for(FRESH)

            # The page of another site, in the same browser, tries the same socket.
            await page.go("about:blank")
            script = f"""new Promise((told) => {{
              const socket = new WebSocket("ws://127.0.0.1:{served.port}/ws");
              socket.onopen = () => told("open");
              socket.onerror = () => told("refused");
            }})"""
            assert await page.evaluate(script) == "refused"
            served.wait_alone(1)  # a window that is left takes its console with it
        assert not (clones.operator.path / "owned").exists()


async def test_another_site_and_another_name_are_refused(clones: Clones) -> None:
    with serving(clones) as served:
        port = served.port
        assert await status(served.url) == 200
        assert await status(served.url, Host=f"localhost:{port}", Origin=f"http://localhost:{port}") == 200
        assert await status(served.url, Origin="http://evil.example") == 403
        assert await status(served.url, Origin=f"http://127.0.0.1:{port + 1}") == 403
        assert await status(served.url, Host=f"evil.example:{port}") == 403
        assert await status(f"{served.url}ws", Origin="null") == 403


async def test_bound_elsewhere_everything_needs_the_token(clones: Clones) -> None:
    with serving(clones, "--host", "0.0.0.0") as served:
        root = f"http://127.0.0.1:{served.port}"
        token = served.url.partition("?token=")[2]
        assert len(token) > 40
        for path in ("/", "/ws", "/static/js/textual.js", "/download/x", "/nothing", "/?token=", f"/?token={token}x"):
            assert await status(root + path) == 401, path
        assert (
            await status(f"{root}/ws", Origin="http://evil.example", Cookie=f"mlconsole-{served.port}={token}") == 403
        )

        jar = aiohttp.CookieJar(unsafe=True)  # an address instead of a name
        async with aiohttp.ClientSession(cookie_jar=jar) as client:
            async with client.get(f"{root}/?token={token}", allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (303, "/")
                assert re.search(r"HttpOnly; .*SameSite=Strict", answer.headers["Set-Cookie"])
            async with client.get(root) as answer:
                assert answer.status == 200
                assert token not in await answer.text()
            async with client.ws_connect(f"{root}/ws", origin=root) as socket:
                assert await socket.receive_bytes(timeout=15)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_stopping_the_server_leaves_no_process(clones: Clones, number: signal.Signals) -> None:
    with serving(clones) as served:
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{served.url}ws") as socket:
            await socket.receive_bytes(timeout=15)
            assert len(served.session()) == 2
            os.kill(served.process.pid, number)
            async for _ in socket:
                pass  # until it is closed, as a browser would
        code = served.process.wait(10)
        served.wait_alone(0)
    assert code == (-number if number == signal.SIGKILL else 128 + number)


def test_a_port_that_is_taken_is_said(clones: Clones) -> None:
    with serving(clones) as served:
        argv = [sys.executable, "-m", "console", "serve", "--port", str(served.port)]
        ended = subprocess.run(argv, cwd=clones.operator.path, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 3
    assert f"Cannot listen on 127.0.0.1 port {served.port}: Address already in use." in ended.stderr


def test_without_the_extra_it_is_said_what_to_install(clones: Clones) -> None:
    code = "import sys; sys.modules['textual_serve'] = None; from console.verbs import run; sys.exit(run(['serve']))"
    argv = [sys.executable, "-c", code]
    ended = subprocess.run(argv, cwd=clones.operator.path, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 2
    assert ended.stderr.endswith("The console in a browser is not installed.\nRun `pip install 'mlconsole[web]'`.\n")


NO_SITES = (
    "console.example.com",
    "http://",
    "ftp://x",
    "https://x/path",
    "https://x?y",
    "http://[::1",
    "http://x:99999",
)


@pytest.mark.parametrize("url", NO_SITES)
def test_a_public_url_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Usage, match="is not the URL of a site"):
        serve(Settings(tmp_path), config=None, host="127.0.0.1", port=0, public_url=url)


def test_behind_a_proxy_the_token_is_needed_on_loopback_too(clones: Clones) -> None:
    with serving(clones, "--public-url", "https://console.example.com/") as served:
        assert re.fullmatch(r"https://console\.example\.com/\?token=[\w-]{40,}", served.url)
