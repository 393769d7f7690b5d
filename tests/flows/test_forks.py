"""Clones that fetch here and push there: change branches go where git pushes them, and are read back from there."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clones import Folder
from support.fields import ROLLBACK, Field, make_field
from support.gatehouse import MODEL

from ml.adapters.forge import compare_url

WITHDRAW = ("withdraw", MODEL, "--stage", "shadow", "--reason", "not this one")


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Field:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return make_field(tmp_path, capfd)


def bare(field: Field, name: str) -> Folder:
    """A bare repository with the same history."""
    folder = Folder(field.home / name, field.home)
    Folder(field.home, field.home).git("clone", "-q", "--bare", field.clones.remote.path, folder.path)
    folder.git("remote", "remove", "origin")
    return folder


def tip(folder: Folder, branch: str) -> str:
    return folder.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")


def triangle(field: Field) -> Folder:
    """``upstream`` is the registry's home, which takes no branches from here; ``origin`` is the operator's fork."""
    fork, operator = bare(field, "fork.git"), field.operator
    operator.git("remote", "rename", "origin", "upstream")
    operator.git("remote", "add", "origin", fork.path)
    field.own('[registry]\nref = "upstream/main"\n')
    hook = field.clones.remote.path / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\nwhile read o n r; do case $r in refs/heads/main) ;; *) echo read-only >&2; exit 1;; esac; done\n"
    )
    hook.chmod(0o755)
    return fork


@pytest.mark.parametrize(
    "settings",
    [
        {"remote.pushDefault": "origin"},
        {"branch.main.pushRemote": "origin"},
        {"remote.pushDefault": "origin", "branch.main.pushRemote": "no_push"},
        {"remote.pushDefault": "origin", "branch.main.pushRemote": "upstream"},
    ],
    ids="+".join,
)
def test_a_change_goes_to_the_fork_and_lands_upstream(field: Field, settings: dict[str, str]) -> None:
    fork = triangle(field)
    for key, value in settings.items():
        field.operator.git("config", key, value)
    done = field.done(*ROLLBACK)
    assert done["pushed"]
    assert tip(fork, done["branch"]) == done["commit"]
    assert field.clones.tip(done["branch"]) == ""
    shown = field.document("status")[1]["registry"]["branches"]
    assert [(each["name"], each["pushed"]) for each in shown] == [(done["branch"], True)]
    landed = field.done("land", done["branch"])
    assert field.clones.tip() == landed["commit"] == done["commit"]
    assert tip(fork, "main") != landed["commit"], "nobody asked to move the fork's main"


def test_another_operators_branch_on_the_fork_is_seen_and_lands(field: Field) -> None:
    triangle(field)
    field.operator.git("config", "remote.pushDefault", "origin")
    done = field.done(*ROLLBACK)
    other = field.clones.another("second")
    other.git("remote", "rename", "origin", "upstream")
    other.git("remote", "add", "origin", field.home / "fork.git")
    other.git("config", "remote.pushDefault", "origin")
    assert field.done("land", done["branch"], at=other)["commit"] == field.clones.tip()


def test_without_a_push_remote_the_server_that_refuses_is_named(field: Field) -> None:
    triangle(field)
    said = field.refused(*ROLLBACK)
    assert "upstream refuses" in said
    assert "read-only" in said


def test_a_push_address_of_its_own_is_where_a_push_is_read_back(field: Field) -> None:
    """``remote.origin.pushurl``: fetched from a mirror, pushed to the primary."""
    primary = bare(field, "primary.git")
    field.operator.git("config", "remote.origin.pushurl", str(primary.path))
    done = field.done(*ROLLBACK)
    assert done["pushed"]
    assert "read back" in done["why"]
    assert (tip(primary, done["branch"]), field.clones.tip(done["branch"])) == (done["commit"], "")
    landed = field.done("land", done["branch"])
    assert tip(primary, "main") == landed["commit"]


def test_several_push_addresses_must_all_have_it(field: Field) -> None:
    first, second = bare(field, "first.git"), bare(field, "second.git")
    for folder in (first, second):
        field.operator.git("config", "--add", "remote.origin.pushurl", str(folder.path))
    done = field.done(*ROLLBACK)
    assert (tip(first, done["branch"]), tip(second, done["branch"])) == (done["commit"],) * 2
    hook = second.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho full >&2; exit 1\n")
    hook.chmod(0o755)
    code, _, err = field.say(*WITHDRAW)
    assert code == 5
    assert "full" in err


def test_a_rewritten_address_is_read_back_as_it_is_pushed(field: Field) -> None:
    """``url.<base>.pushInsteadOf``, with which many clones fetch anonymously and push by ssh."""
    primary = bare(field, "primary.git")
    operator = field.operator
    operator.git("config", f"url.{primary.path}.pushInsteadOf", str(field.clones.remote.path))
    done = field.done(*ROLLBACK)
    assert done["pushed"]
    assert tip(primary, done["branch"]) == done["commit"]


def test_doctor_names_both_remotes(field: Field) -> None:
    triangle(field)
    field.operator.git("config", "remote.pushDefault", "origin")
    _, found = field.document("doctor")
    (remote,) = (each["check"]["why"] for each in found["findings"] if each["check"]["name"] == "remote")
    assert "upstream answers; change branches go to origin" in remote


@pytest.mark.parametrize(
    ("upstream", "fork", "expected"),
    [
        ("git@github.com:desk/models.git", "git@github.com:ann/models.git",
         "https://github.com/desk/models/compare/main...ann:rollback/x?expand=1"),
        ("https://gitlab.com/desk/models", "https://gitlab.com/ann/sub/models",
         "https://gitlab.com/ann/sub/models/-/merge_requests/new?merge_request%5Bsource_branch%5D=rollback%2Fx"
         "&merge_request%5Btarget_branch%5D=main"),
        ("ssh://git@codeberg.org/desk/models", "ssh://git@codeberg.org/ann/models",
         "https://codeberg.org/desk/models/compare/main...ann:rollback/x"),
        ("git@bitbucket.org:desk/models.git", "git@bitbucket.org:ann/models.git",
         "https://bitbucket.org/ann/models/pull-requests/new?source=rollback%2Fx&dest=desk%2Fmodels%3A%3Amain"),
        ("git@github.com:desk/models.git", "git@gitlab.com:ann/models.git", ""),
        ("git@github.com:desk/models.git", "/srv/git/models.git", ""),
    ],
)  # fmt: skip
def test_the_compare_address_of_a_fork_leads_from_it_to_its_upstream(upstream: str, fork: str, expected: str) -> None:
    assert compare_url(upstream, "rollback/x", "main", fork) == expected
