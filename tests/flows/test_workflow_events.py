"""The shipped workflow's own shell lines for each event, in a checkout of a private remote that keeps no credential."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.clones import Folder, clean_environment
from support.landings import merged
from support.private_server import PrivateServer, private_server
from test_four_eyes import Crew, crew
from test_workflow import WORKFLOW, script

from ml.promotion.land import approve
from ml.promotion.submit import submit

__all__ = ["crew"]
TOKEN = "ghs_the-jobs-own-token"
FETCH = "Fetch the proposed commits and the approvals"
EVENTS = ("pull_request_target", "merge_group", "push")


@dataclass(frozen=True)
class Job:
    """One run of the workflow's judging job: its event, its checkout, and what the event names."""

    event: str
    checkout: Folder
    base: str
    head: str
    served: PrivateServer
    temp: Path

    def step(self, name: str, **more: str) -> subprocess.CompletedProcess[str]:
        """The shell lines of a step, with the environment that GitHub gives to it."""
        env = clean_environment(self.checkout.home) | {"RUNNER_TEMP": str(self.temp), "EVENT": self.event} | more
        argv = ["bash", "-e", "-o", "pipefail", "-c", script(name)]
        folder = self.checkout.path
        return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)

    def fetch(self, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        """The step that fetches."""
        number = "7" if self.event == "pull_request_target" else ""
        return self.step(FETCH, NUMBER=number, SERVER=self.served.url, TOKEN=token)

    def judge(self) -> subprocess.CompletedProcess[str]:
        """The step that judges."""
        return self.step("Judge", BASE=self.base, HEAD=self.head)


@pytest.fixture
def served(crew: Crew, own_home: Path) -> Iterator[PrivateServer]:
    with private_server(own_home, TOKEN) as opened:
        yield opened


@pytest.fixture(params=EVENTS)
def job(request: pytest.FixtureRequest, crew: Crew, served: PrivateServer, own_home: Path) -> Job:
    """A checkout as ``actions/checkout`` leaves it, with a pull request, a queue's merge, or a moved main."""
    event, house = str(request.param), crew.house
    server = Folder(own_home / "server.git", own_home)
    made = submit(crew.plan, crew.ann.desk, now=house.now)
    house.clones.operator.git("fetch", "-q", server.path, made.branch)
    head, ref = made.commit, "refs/heads/main"
    if event == "pull_request_target":
        server.git("update-ref", "refs/pull/7/head", head)
    elif event == "merge_group":
        head, ref = merged(house, crew.base, head), "refs/heads/gh-readonly-queue/main/pr-7"
        house.clones.operator.git("push", "-q", server.path, f"{head}:{ref}")
    else:
        server.git("update-ref", "refs/heads/main", head)
    checkout = Folder(own_home / "work", own_home)
    checkout.path.mkdir()
    checkout.git("init", "-q")
    checkout.git("remote", "add", "origin", f"{served.url}/server.git")
    login = f"http.{served.url}/.extraheader=AUTHORIZATION: basic {served.login}"
    checkout.git(
        "-c", login, "fetch", "-q", "--no-tags", "origin", "+refs/heads/*:refs/remotes/origin/*", f"{ref}:{ref}"
    )
    checkout.git("checkout", "-q", "--force", ref.removeprefix("refs/heads/"))
    (own_home / "gate/bin").mkdir(parents=True)
    (own_home / "gate/bin/mlconsole").symlink_to(Path(sys.executable).with_name("mlconsole"))
    return Job(event, checkout, crew.base, head, served, own_home)


def test_the_gate_sees_approvals_on_every_event(job: Job, crew: Crew) -> None:
    fetched = job.fetch()
    assert fetched.returncode == 0, fetched.stderr
    ended = job.judge()
    assert (ended.returncode, "1 more operators must approve" in ended.stdout) == (1, True), ended.stdout + ended.stderr
    (branch,) = [each.name for each in crew.ann.desk.repository.refs.branches()]
    approve(branch, crew.ben.desk, now=crew.house.now)
    fetched = job.fetch()
    assert fetched.returncode == 0, fetched.stderr
    ended = job.judge()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "approved by" in ended.stdout


def test_no_credential_is_left_behind_or_shown(job: Job) -> None:
    ended = job.fetch()
    assert ended.returncode == 0, ended.stderr
    assert job.served.logins[-1] == job.served.login
    kept = [path for path in job.checkout.path.rglob("*") if path.is_file()]
    assert kept
    for secret in (TOKEN.encode(), job.served.login.encode()):
        assert not [path for path in kept if secret in path.read_bytes()]
    said = ended.stdout + ended.stderr
    assert TOKEN not in said
    assert said.count(job.served.login) == 1, "only in the line that tells the forge to hide it"
    assert f"::add-mask::{job.served.login}\n" in ended.stdout
    asked = len(job.served.logins)
    job.judge()
    assert len(job.served.logins) == asked, "the judge asks the forge nothing"


def test_a_token_that_the_forge_refuses_ends_the_job_at_once(job: Job) -> None:
    ended = job.fetch("another")
    assert ended.returncode != 0
    assert "Authentication failed" in ended.stderr or "could not read Username" in ended.stderr


def test_the_token_goes_to_the_forge_alone(job: Job, own_home: Path) -> None:
    with private_server(own_home, "of somebody else") as stranger:
        job.checkout.git("remote", "set-url", "origin", f"{stranger.url}/server.git")
        assert job.fetch().returncode != 0
        assert set(stranger.logins) == {""}


def test_the_jobs_token_is_named_in_the_steps_that_fetch_alone() -> None:
    steps = re.split(r"\n(?=      - )", WORKFLOW)
    named = [step for step in steps if "github.token" in step or "GITHUB_TOKEN" in step]
    assert [re.search(r"- name: (.*)", step)[1] for step in named] == [FETCH, "Fetch the proposed commits"]  # type: ignore[index]
    for step in named:
        code = step.split("run: |\n")[1]
        assert set(re.findall(r"^ *(\w+)", code, re.MULTILINE)) <= {
            "login",
            "echo",
            "unset",
            "export",
            "set",
            "case",
            "git",
        }
        assert code.index("unset TOKEN") < code.index("git fetch")
    assert WORKFLOW.count("persist-credentials: false") == WORKFLOW.count("uses: actions/checkout@") == 2
