"""Pull requests: compare addresses of known forges, and ``gh`` and ``glab`` as recorded commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.adapters.forge import CommandForge, compare_url
from ml.adapters.processes import run

BRANCH = "promote/m/regime_v2026_02_16_001-to-active-20260216T100000Z"
ENCODED = BRANCH.replace("/", "%2F")


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@github.com:acme/trading.git", f"https://github.com/acme/trading/compare/main...{BRANCH}?expand=1"),
        ("https://github.com/acme/trading", f"https://github.com/acme/trading/compare/main...{BRANCH}?expand=1"),
        (
            "ssh://git@github.com:22/acme/trading.git",
            f"https://github.com/acme/trading/compare/main...{BRANCH}?expand=1",
        ),
        (
            "git@gitlab.example.com:ops/ml/trading.git",
            "https://gitlab.example.com/ops/ml/trading/-/merge_requests/new"
            f"?merge_request%5Bsource_branch%5D={ENCODED}&merge_request%5Btarget_branch%5D=main",
        ),
        (
            "https://user:secret@gitlab.com/acme/trading.git",
            "https://gitlab.com/acme/trading/-/merge_requests/new"
            f"?merge_request%5Bsource_branch%5D={ENCODED}&merge_request%5Btarget_branch%5D=main",
        ),
        ("https://gitea.example.com:3000/a/b.git", f"https://gitea.example.com:3000/a/b/compare/main...{BRANCH}"),
        ("ssh://git@codeberg.org/a/b.git", f"https://codeberg.org/a/b/compare/main...{BRANCH}"),
        (
            "git@bitbucket.org:acme/trading.git",
            f"https://bitbucket.org/acme/trading/pull-requests/new?source={ENCODED}&dest=main",
        ),
        (
            "https://bitbucket.org/acme/trading.git",
            f"https://bitbucket.org/acme/trading/pull-requests/new?source={ENCODED}&dest=main",
        ),
        ("/srv/git/trading.git", ""),
        ("file:///srv/git/github.com/trading.git", ""),
        ("https://git.example.com/acme/trading.git", ""),
        ("", ""),
    ],
)
def test_each_forge_has_its_page(remote: str, page: str) -> None:
    assert compare_url(remote, BRANCH, "main") == page
    assert "secret" not in page


class Desk:
    """A folder on PATH whose ``gh`` and ``glab`` write down what they are asked, and answer as told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(self, tool: str, *, logged_in: bool = True, answer: str = "", code: int = 0) -> None:
        program = self.folder / tool
        program.write_text(
            "#!/bin/sh\n"
            f'printf "%s\\n" "$@" > {self.folder}/$1.args\n'
            f"cat > {self.folder}/$1.stdin\n"
            f'if [ "$1" = auth ]; then exit {0 if logged_in else 1}; fi\n'
            f"echo '{answer}'; exit {code}\n"
        )
        program.chmod(0o755)

    def asked(self, verb: str) -> list[str]:
        return (self.folder / f"{verb}.args").read_text().splitlines()

    def opened(self, remote: str, tool: str = "auto") -> str:
        forge = CommandForge(run, self.folder, tool)
        return forge.open_request(remote, BRANCH, "main", "Promote it", "the body\n")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_gh_opens_a_pull_request(desk: Desk) -> None:
    desk.install("gh", answer="Creating pull request\nhttps://github.com/acme/trading/pull/7")
    assert desk.opened("git@github.com:acme/trading.git") == "https://github.com/acme/trading/pull/7"
    assert desk.asked("auth") == ["auth", "status", "--hostname", "github.com"]
    expected = ["pr", "create", "--head", BRANCH, "--base", "main", "--title", "Promote it", "--body-file", "-"]
    assert desk.asked("pr") == expected
    assert (desk.folder / "pr.stdin").read_text() == "the body\n"


def test_glab_opens_a_merge_request(desk: Desk) -> None:
    desk.install("glab", answer="https://gitlab.com/acme/trading/-/merge_requests/7")
    assert desk.opened("git@gitlab.com:acme/trading.git").endswith("/merge_requests/7")
    assert desk.asked("mr")[:6] == ["mr", "create", "--source-branch", BRANCH, "--target-branch", "main"]


@pytest.mark.parametrize(
    "state", [{"logged_in": False}, {"code": 1, "answer": "https://github.com/x"}, {"answer": "done, somewhere"}]
)
def test_a_tool_that_cannot_leaves_the_page_to_open_by_hand(desk: Desk, state: dict[str, object]) -> None:
    desk.install("gh", **state)  # type: ignore[arg-type]
    assert desk.opened("git@github.com:acme/trading.git").endswith("?expand=1")


def test_no_tool_or_none_wanted(desk: Desk) -> None:
    assert desk.opened("git@github.com:acme/trading.git").endswith("?expand=1")
    desk.install("gh", answer="https://github.com/acme/trading/pull/7")
    assert desk.opened("git@github.com:acme/trading.git", "none").endswith("?expand=1")
    assert desk.opened("/srv/git/trading.git") == ""
    assert [path.name for path in desk.folder.iterdir()] == ["gh"]


def test_a_named_tool_is_used_for_hosts_whose_name_says_nothing(desk: Desk) -> None:
    desk.install("glab", answer="https://git.example.com/a/b/-/merge_requests/1")
    assert desk.opened("git@git.example.com:a/b.git", "glab").endswith("/merge_requests/1")
