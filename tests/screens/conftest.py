"""Pictures of screens: one SVG per test in ``snapshots/``, compared with the one that a person looked at."""

from __future__ import annotations

import pytest
from fakes import FakeSession, FrozenClock
from pytest_textual_snapshot import SVGImageExtension
from support.pictures import SIZES, SNAPSHOTS, Compare, folder_of, picture_of
from syrupy.location import PyTestLocation


def pytest_configure(config: pytest.Config) -> None:
    # Pictures are named for people; that each belongs to a test is tested in test_no_orphans.py.
    config.addinivalue_line("filterwarnings", r"ignore:\s*Can not relate snapshot location")


@pytest.fixture(autouse=True)
def pictures_in_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted pictures live in one place with speaking names, because the README shows them too."""

    def dirname(cls: type, *, test_location: PyTestLocation) -> str:
        return str(SNAPSHOTS / folder_of(test_location.filepath))

    def basename(cls: type, *, test_location: PyTestLocation, index: object) -> str:
        return picture_of(test_location.testname)

    monkeypatch.setattr(SVGImageExtension, "dirname", classmethod(dirname))
    monkeypatch.setattr(SVGImageExtension, "_get_file_basename", classmethod(basename))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours must not depend on the terminal that runs the tests."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


@pytest.fixture
def compare(snap_compare: Compare) -> Compare:
    """The `compare` function; ``pytest --snapshot-update`` accepts what is shown now."""
    return snap_compare


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture(params=[pytest.param(size, id=name) for name, size in SIZES.items() if name != "200x60"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """The design size and a wide one."""
    picked: tuple[int, int] = request.param
    return picked
