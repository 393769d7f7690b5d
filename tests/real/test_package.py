"""What `python -m build` makes, installed in an environment of its own and used from outside the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.clones import Clones, clean_environment, make_clones
from support.gatehouse import LIVE, OLD, POLICY, SOAKED, artifact_files, life
from support.terminal import Terminal

import console
from console.version import __version__
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

_SOURCE = Path(console.__file__).resolve().parents[1]
_PACKAGES = ("console", "ml", "widgets")
_MAN_PAGE = "share/man/man1/mlconsole.1"

pytestmark = pytest.mark.xdist_group("package")  # the build is made once


@dataclass(frozen=True)
class Installed:
    """A wheel, the sdist that it was built from, and the environment that it was installed in."""

    wheel: Path
    sdist: Path
    environment: Path

    def run(self, clones: Clones, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the operator's clone."""
        program, *rest = argv
        return subprocess.run(
            [self.environment / "bin" / program, *rest],
            cwd=clones.operator.path,
            env=clean_environment(clones.operator.home),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel is built from the sdist; nothing is downloaded: the dependencies are those of the tests."""
    home = tmp_path_factory.mktemp("package")
    _must([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(home / "dist"), str(_SOURCE)], home)
    (wheel,), (sdist,) = (list((home / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    fresh = home / "venv"
    _must([sys.executable, "-m", "venv", "--without-pip", str(fresh)], home)
    python = str(fresh / "bin" / "python")
    _must([sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", str(wheel)], home)
    (packages,) = fresh.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(wheel, sdist, fresh)


@pytest.fixture
def clones(tmp_path: Path) -> Clones:
    files: dict[str, str | bytes] = {REGISTRY_PATH: life(datetime.now(UTC)).raw, POLICY_PATH: POLICY}
    for name in (OLD, LIVE, SOAKED):
        files |= artifact_files(name)
    return make_clones(tmp_path, files)


def _must(argv: list[str], cwd: Path) -> None:
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(argv, cwd=cwd, env=clean, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_wheel_holds_every_file_of_the_packages_and_what_the_demo_needs(installed: Installed) -> None:
    inside = set(zipfile.ZipFile(installed.wheel).namelist())
    files = [path for name in _PACKAGES for path in (_SOURCE / name).rglob("*") if path.is_file()]
    wanted = {str(path.relative_to(_SOURCE)) for path in files if "__pycache__" not in path.parts}
    assert "ml/promotion/hooks/pre-receive" in wanted
    assert wanted - inside == set()
    assert {f"console/shipped/{path}" for path in artifact_files("regime_v2026_02_15_002")} <= inside
    assert "console/shipped/docs/RUNBOOK_19_ML_MODEL_PROMOTION.md" in inside
    assert f"mlconsole-{__version__}.data/data/{_MAN_PAGE}" in inside
    assert {name.partition("/")[0].partition("-")[0] for name in inside} == {*_PACKAGES, "scripts", "mlconsole"}
    assert not {"scripts/make_reference.py", "scripts/make_man_page.py", "scripts/ensure-tools"} & inside


def test_the_sdist_holds_the_source_and_nothing_of_this_machine(installed: Installed) -> None:
    with tarfile.open(installed.sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"Makefile", "README.md", "LICENSE", "pyproject.toml", "docs/man/mlconsole.1"} <= set(names)
    assert any(name.startswith("tests/real/") for name in names)
    unwanted = (".venv", "__pycache__", ".git", ".hypothesis", "dist", "var", "tools")
    assert [name for name in names if set(Path(name).parts) & set(unwanted)] == []


def test_the_installed_console_answers_from_outside_the_source(installed: Installed, clones: Clones) -> None:
    where = installed.run(clones, "python", "-c", "import console; print(console.__file__)").stdout
    assert where.startswith(str(installed.environment))
    assert installed.run(clones, "mlconsole", "--version").stdout == f"mlconsole {__version__}\n"
    status = installed.run(clones, "mlconsole", "status")
    assert LIVE in status.stdout, status.stderr
    verified = installed.run(clones, "mlconsole", "verify", f"artifacts/onnx/{LIVE}")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert (installed.environment / _MAN_PAGE).is_file()


def test_the_installed_interface_opens_and_closes(installed: Installed, clones: Clones) -> None:
    program = installed.environment / "bin" / "mlconsole"
    with Terminal([program], cwd=clones.operator.path, env=clean_environment(clones.operator.home)) as terminal:
        terminal.wait_for(LIVE)
        terminal.press("3")
        terminal.wait_for(OLD)  # the sheets of another view are package data too
        terminal.press("q")
        assert terminal.wait_exit() == 0


def test_pipx_installs_it_with_all_that_it_needs_and_nothing_else(
    installed: Installed, clones: Clones, tmp_path: Path
) -> None:
    places = {f"PIPX_{name}": str(tmp_path / name) for name in ("HOME", "BIN_DIR", "MAN_DIR")}
    pins = f"--pip-args=--constraint {_SOURCE / 'constraints.txt'}"
    command = [sys.executable, "-m", "pipx", "install", "--python", sys.executable, pins, str(installed.wheel)]
    _must(["env", *(f"{name}={place}" for name, place in places.items()), *command], tmp_path)
    program = tmp_path / "BIN_DIR" / "mlconsole"
    environment = clean_environment(clones.operator.home)

    def answer(*argv: str) -> str:
        ended = subprocess.run(
            [program, *argv],
            cwd=clones.operator.path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ended.stdout + ended.stderr

    assert answer("--version") == f"mlconsole {__version__}\n"
    assert LIVE in answer("status")
    assert (tmp_path / "MAN_DIR" / "man1" / "mlconsole.1").exists()
    with Terminal([program], cwd=clones.operator.path, env=environment) as terminal:
        terminal.wait_for(LIVE)
        terminal.press("q")
        assert terminal.wait_exit() == 0
