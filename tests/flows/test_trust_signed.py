"""A change of console.toml that an operator signed needs no question; every trick around that is asked about."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clones import OPERATOR
from support.shared_remote import STRANGER, SharedRemote

from ml.adapters.git import open_repository
from ml.promotion.repository import Person


@dataclass
class Keys:
    """SSH keys of an operator and of a stranger, the rules that name the operator, and a signing clone for each."""

    shared: SharedRemote

    def key(self, name: str) -> Path:
        path = self.shared.home / f"key_{name}"
        if not path.exists():
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
            subprocess.run(argv, check=True, timeout=30)
        return path

    def found(self) -> None:
        """Rules that name the operator, and a first configuration that a person trusts."""
        public = self.key("operator").with_suffix(".pub").read_text()
        self.shared.clones.operator.commit(
            "The rules",
            {
                "ml/registry/policy.toml": f'[roles]\noperators = ["{OPERATOR}"]\n',
                "ml/registry/allowed_signers": f"{OPERATOR} {public}",
                "console.toml": '[notify]\nurl = "http://127.0.0.1:9/first"\n',
            },
        )
        self.shared.clones.operator.git("push", "-q", "origin", "main")
        assert self.shared.say("trust", "--yes")[0] == 0

    def change(self, by: str, text: str, *, rules: dict[str, str | bytes] | None = None) -> str:
        """Commit a configuration signed by a key, and push it."""
        git = self.shared.clones.operator
        signed = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={self.key(by)}", "-c", "commit.gpgsign=true")
        for path, content in ({"console.toml": text} | (rules or {})).items():
            git.write(path, content)
        git.git("add", "-A")
        git.git(*signed, "commit", "-q", "-m", "A change of the configuration")
        git.git("push", "-q", "origin", "main")
        return git.git("rev-parse", "HEAD")

    def state(self) -> str:
        return str(self.shared.document("trust", "--show")[1]["state"])


@pytest.fixture
def keys(shared: SharedRemote) -> Keys:
    made = Keys(shared)
    made.found()
    return made


def second(path: str = "second") -> str:
    return f'[notify]\nurl = "http://127.0.0.1:9/{path}"\n'


def test_a_change_that_an_operator_signed_needs_no_question(keys: Keys) -> None:
    keys.change("operator", second())
    assert keys.state() == "trusted"
    assert keys.shared.document("trust", "--show")[1]["trusted"]["how"] == "signed"
    assert f"signed by {OPERATOR}" in keys.shared.say("trust")[1]


def test_a_change_that_a_stranger_signed_is_asked_about(keys: Keys) -> None:
    keys.change("stranger", second())
    assert keys.state() == "changed"


def test_rules_that_come_with_the_change_do_not_vouch_for_it(keys: Keys) -> None:
    public = keys.key("stranger").with_suffix(".pub").read_text()
    rules: dict[str, str | bytes] = {
        "ml/registry/allowed_signers": f"{STRANGER} {public}",
        "ml/registry/policy.toml": f'[roles]\noperators = ["{STRANGER}"]\n',
    }
    keys.change("stranger", second(), rules=rules)
    assert keys.state() == "changed"


@pytest.mark.parametrize("left", ["roles", "keys"])
def test_an_operator_who_left_since_vouches_for_nothing(keys: Keys, left: str) -> None:
    """The rules of the day when a person was asked still name them; those of today do not."""
    public = keys.key("successor").with_suffix(".pub").read_text()
    policy, signers = '[roles]\noperators = ["new@example.com"]\n', f"new@example.com {public}"
    rules: dict[str, str | bytes] = (
        {"ml/registry/policy.toml": policy} if left == "roles" else {"ml/registry/allowed_signers": signers}
    )
    keys.shared.clones.operator.commit("Somebody leaves", rules)
    keys.shared.clones.operator.git("push", "-q", "origin", "main")
    assert keys.state() == "trusted"
    keys.change("operator", second())
    assert keys.state() == "changed"


def test_an_unsigned_change_after_a_signed_one_is_asked_about(keys: Keys) -> None:
    keys.change("operator", second())
    keys.shared.push(second("third"))
    assert keys.state() == "changed"


def test_a_file_that_is_not_the_bases_is_asked_about(keys: Keys) -> None:
    keys.change("operator", second())
    (keys.shared.path / "console.toml").write_text(second("edited"))
    assert keys.state() == "changed"


def test_an_old_signed_change_does_not_come_back_by_a_merge(keys: Keys) -> None:
    """A stranger merges the operator's earlier change over the newer one, with its tree: git's history then stops at
    the old, signed commit."""
    git = keys.shared.clones.operator
    old = keys.change("operator", second("old"))
    keys.change("operator", second("new"))
    assert keys.state() == "trusted"
    for parents in (("HEAD", old), (old, "HEAD")):
        tree = git.git("rev-parse", f"{old}^{{tree}}")
        merge = git.git("commit-tree", tree, "-p", parents[0], "-p", parents[1], "-m", "Merge")
        git.git("push", "-q", "--force", "origin", f"{merge}:refs/heads/main")
        git.git("fetch", "-q")
        git.git("checkout", "-q", merge)
        assert keys.state() == "changed"


def test_an_old_signed_change_does_not_come_back_by_force(keys: Keys) -> None:
    git = keys.shared.clones.operator
    old = keys.change("operator", second("old"))
    assert keys.state() == "trusted"
    keys.change("operator", second("new"))
    assert keys.state() == "trusted"
    git.git("push", "-q", "--force", "origin", f"{old}:refs/heads/main")
    git.git("fetch", "-q")
    git.git("checkout", "-q", old)
    assert keys.state() == "changed"


@pytest.mark.parametrize(("hours", "state"), [(-1, "changed"), (1, "trusted")])
def test_a_key_that_has_expired_vouches_for_nothing_whatever_the_commits_date(
    keys: Keys, hours: int, state: str
) -> None:
    git, now = keys.shared.clones.operator, datetime.now(UTC)
    public = keys.key("operator").with_suffix(".pub").read_text()
    line = f'{OPERATOR} valid-before="{now + timedelta(hours=hours):%Y%m%d%H%M%S}Z" {public}'
    git.commit("Rules", {"ml/registry/allowed_signers": line, "console.toml": second("asked")})
    git.git("push", "-q", "origin", "main")
    assert keys.shared.say("trust", "--yes")[0] == 0
    settings = {"gpg.format": "ssh", "user.signingkey": keys.key("operator"), "commit.gpgsign": "true"}
    for name, value in settings.items():
        git.git("config", name, value)
    head, person = git.git("rev-parse", "HEAD"), Person("Operator", OPERATOR)
    files = [("console.toml", second("later").encode())]
    made = open_repository(git.path).writer.commit(head, files, "Later", person, now - timedelta(hours=2))
    git.git("push", "-q", "origin", f"{made}:refs/heads/main")
    git.git("fetch", "-q")
    git.git("checkout", "-q", made)
    assert keys.state() == state


def test_where_nothing_was_trusted_a_signature_alone_is_not_enough(keys: Keys) -> None:
    keys.shared.say("trust", "--revoke")
    keys.change("operator", second())
    assert keys.state() == "untrusted"


def test_a_signature_vouches_for_no_program_beside_the_configuration(keys: Keys) -> None:
    """Whoever pushed the program last is not who signed the file; the same bytes as before need no question."""
    script = keys.shared.path / "restart.sh"
    script.write_text("#!/bin/sh\n")
    actuator = f'[[kill_switch.actuator]]\ntype = "command"\nargv = ["{script}"]\n'
    keys.change("operator", second() + actuator)
    assert keys.state() == "changed"
    assert keys.shared.say("trust", "--yes")[0] == 0
    keys.change("operator", second("third") + actuator)
    assert keys.state() == "trusted"
    script.write_text("#!/bin/sh\necho hostile\n")
    keys.change("operator", second("fourth") + actuator)
    assert keys.state() == "changed"
