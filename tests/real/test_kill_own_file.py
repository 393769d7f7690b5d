"""A kill of a real service in its own form: `mlconsole kill on` as a process, and a service that reads its own file."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.trusting import configure

SOURCE = Path(__file__).parents[2]
READER = SOURCE / "tests" / "support" / "kill_reader.py"
_JSON = b'{\r\n  "trading": { "size": 3, "ml": {"disabled": false} },\r\n  "note": "disabled: false"\r\n}'
FILES = {
    "json": _JSON,
    "toml": b"# live\n[trading]\nsize = 3   # lots\nml = { disabled = false } # ask before\n",
    "text": b"running\n",
}
ON = {
    "json": FILES["json"].replace(b'"disabled": false}', b'"disabled": true}'),
    "toml": FILES["toml"].replace(b"disabled = false", b"disabled = true"),
    "text": b"halted\n",
}
KEYS = {
    "json": 'key = "trading.ml.disabled"\n',
    "toml": 'key = "trading.ml.disabled"\n',
    "text": 'on = "halted"\noff = "running"\n',
}


class Service:
    """The service as a process, and the lines that it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())

    def says(self, deadline_s: float = 20.0) -> str:
        try:
            return self._lines.get(timeout=deadline_s)
        except queue.Empty:
            pytest.fail(f"the service said nothing for {deadline_s:g} s; it ended with {self.process.poll()}")


@contextmanager
def service(form: str, file: Path) -> Iterator[Service]:
    argv = [sys.executable, str(READER), form, str(file)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield Service(process)
            assert process.poll() is None, "the service met a file that it could not read"
        finally:
            process.kill()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    root = tmp_path / "repo"
    (root / ".git").mkdir(parents=True)
    (root / "config").mkdir()
    return root


def mlconsole(repo: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "console", "--repo", str(repo), *words]
    env = os.environ | {"PYTHONPATH": str(SOURCE)}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=env, check=False)


@pytest.mark.parametrize("form", FILES)
def test_a_service_stops_and_trades_again_and_its_file_is_kept(repo: Path, form: str) -> None:
    file = repo / "config" / f"engine.{form}"
    file.write_bytes(FILES[form])
    file.chmod(0o640)
    configure(repo, f'[kill_switch]\nfile = "config/engine.{form}"\nformat = "{form}"\n{KEYS[form]}')
    with service(form, file) as running:
        assert running.says() == "trades"
        killed = mlconsole(repo, "kill", "on", "--no-wait", "--reason", "spike", "--json")
        assert (killed.returncode, json.loads(killed.stdout)["state"]) == (0, "WRITTEN"), killed.stderr
        assert running.says() == "stopped"
        assert file.read_bytes() == ON[form]
        released = mlconsole(repo, "kill", "off", "--no-wait", "--confirm", "RELEASE", "--reason", "fixed")
        assert released.returncode == 0, released.stderr
        assert running.says() == "trades"
        assert file.read_bytes() == FILES[form]
    assert file.stat().st_mode & 0o777 == 0o640
    assert os.listdir(file.parent) == [file.name]


def test_a_file_of_another_format_is_left_and_the_operator_is_told_what_stops_the_service(repo: Path) -> None:
    """This was seen: the kill overwrote a JSON file with env text, and the service went on."""
    file = repo / "config" / "engine.json"
    file.write_bytes(FILES["json"])
    configure(repo, '[kill_switch]\nfile = "config/engine.json"\n')
    with service("json", file) as running:
        assert running.says() == "trades"
        killed = mlconsole(repo, "kill", "on", "--no-wait", "--json")
        assert killed.returncode == 4
        document = json.loads(killed.stdout)
        assert (document["state"], document["engaged"]) == ("UNCONFIRMED", False)
        assert "was left as it is, and nothing was written: it is no env file but looks like JSON" in killed.stderr
        assert "Set kill_switch.format" in killed.stderr
        assert any(line.startswith(f"do not write over {file}") for line in document["manual"])
        assert not any(line.startswith("echo") for line in document["manual"])
        assert file.read_bytes() == FILES["json"]
    told = mlconsole(repo, "doctor")
    assert told.returncode == 1
    assert "[FAIL]    kill file" in told.stdout
    assert "looks like JSON" in told.stdout


def test_another_actuator_still_kills_where_the_file_cannot(repo: Path) -> None:
    file, stopped = repo / "config" / "engine.json", repo.parent / "stopped"
    file.write_bytes(b"MODE=live\n")
    configure(
        repo,
        '[kill_switch]\nfile = "config/engine.json"\nformat = "json"\nkey = "trading.ml.disabled"\n'
        f'[[kill_switch.actuator]]\ntype = "command"\nargv = ["touch", "{stopped}"]\n',
    )
    killed = mlconsole(repo, "kill", "on", "--no-wait", "--json")
    assert killed.returncode == 0, killed.stderr
    assert stopped.exists()
    assert "FAILED file" in killed.stderr
    assert "it is not JSON, see line 1" in killed.stderr
    assert file.read_bytes() == b"MODE=live\n"
    assert any("in an editor, let" in line for line in json.loads(killed.stdout)["manual"])


@pytest.mark.parametrize("form", ["json", "toml"])
def test_by_hand_stops_the_service_where_nothing_else_did(repo: Path, form: str) -> None:
    """The line that the console shows is typed into a shell, and the service obeys."""
    file = repo / "config" / f"engine.{form}"
    file.write_bytes(FILES[form])
    configure(repo, f'[kill_switch]\nfile = "config/engine.{form}"\nformat = "{form}"\n{KEYS[form]}')
    with service(form, file) as running:
        assert running.says() == "trades"
        code = (
            "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
            "from console.__main__ import main; main()"
        )
        argv = [sys.executable, "-c", code, "--repo", str(repo), "kill", "on", "--no-wait", "--json"]
        env = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
        killed = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=env, check=False)
        assert killed.returncode == 4, killed.stderr
        assert file.read_bytes() == FILES[form]
        line = json.loads(killed.stdout)["manual"][0]
        subprocess.run(["sh", "-c", line], check=True, timeout=20)
        assert running.says() == "stopped"
        assert file.read_bytes() == ON[form]


def test_a_changed_format_counts_only_when_it_is_trusted_again(repo: Path) -> None:
    """Whoever pushes another format or key would let the kill write where no engine looks."""
    file = repo / "config" / "engine.json"
    file.write_bytes(FILES["json"])
    base = '[kill_switch]\nfile = "config/engine.json"\nformat = "json"\nkey = "{}"\n'
    configure(repo, base.format("trading.ml.disabled"))
    (repo / "console.toml").write_text(base.format("trading.ml.dissabled"))
    killed = mlconsole(repo, "kill", "on", "--no-wait", "--json")
    assert killed.returncode == 4
    assert json.loads(killed.stdout)["left_out"] == ["kill_switch.key"]
    assert file.read_bytes() == ON["json"]
