"""Signatures and approvals with real keys: who counts, who does not, and that the change lands when enough do."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.clones import OPERATOR, Folder
from support.gatehouse import POLICY, SECOND, SIGNERS, STRANGER, Gatehouse

from ml.adapters.forge import CommandForge
from ml.adapters.git import open_repository
from ml.adapters.processes import run
from ml.errors import Invalid, Refused
from ml.promotion.gate import judge
from ml.promotion.land import approve, land
from ml.promotion.paths import Places
from ml.promotion.publish import Desk
from ml.promotion.repository import APPROVALS, Person
from ml.promotion.submit import submit
from ml.promotion.values import Plan
from ml.records.journal import Journal
from ml.registry.schema import POLICY_PATH

RULES = POLICY + "[ack]\nsigned = true\napprovals = 2\n"


@dataclass(frozen=True)
class Member:
    """A person with a clone and a key of their own."""

    email: str
    folder: Folder
    desk: Desk
    key: str


@dataclass(frozen=True)
class Crew:
    """Two operators and a stranger at one guarded branch, and a change of the first one."""

    house: Gatehouse
    base: str
    plan: Plan
    ann: Member
    ben: Member
    eve: Member

    def refused(self, head: str) -> dict[str, str]:
        """What the gate says against a commit of Ann's clone."""
        gates = judge(open_repository(self.ann.folder.path), self.base, head, self.house.bench)
        return {gate.name: gate.why for gate in gates if not gate.verdict.opens}

    def written(self, member: Member, message: str = "") -> str:
        """Ann's change as a commit that another member makes and signs."""
        person = Person("Operator", OPERATOR)
        repository = open_repository(member.folder.path)
        made = repository.writer.commit(
            self.base, self.plan.files, message or self.plan.message, person, self.house.now
        )
        self.ann.folder.git("fetch", "-q", member.folder.path, f"{made}:refs/seen/{made}")
        return made

    def approved_by(self, member: Member, commit: str, names: str = "", under: str = "") -> None:
        """An approval made by hand, with the member's key, put where Ann's clone looks for it."""
        repository = open_repository(member.folder.path)
        member.folder.git("fetch", "-q", self.ann.folder.path, f"{commit}:refs/seen/{commit}")
        message = f"Approve\n\nApproves: {names or commit}\n"
        made = repository.writer.note(commit, message, Person("X", member.email), self.house.now)
        slot = hashlib.sha256(member.email.encode()).hexdigest()[:16]
        self.ann.folder.git("fetch", "-q", member.folder.path, f"{made}:{APPROVALS}{under or commit}/{slot}")


def key_pair(folder: Path, name: str) -> tuple[Path, str]:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path, Path(f"{path}.pub").read_text().strip()


def member(house: Gatehouse, home: Path, server: Path, email: str, key: Path) -> Member:
    name = email.partition("@")[0]
    folder = Folder(home / name, home)
    Folder(home, home).git("clone", "-q", server, folder.path)
    settings = {
        "user.email": email,
        "user.name": name,
        "gpg.format": "ssh",
        "user.signingkey": key,
        "commit.gpgsign": "true",
    }
    for setting, value in settings.items():
        folder.git("config", setting, value)
    repository = open_repository(folder.path)
    desk = Desk(
        repository=repository,
        journal=Journal(home / f"journal-{name}"),
        forge=CommandForge(run, folder.path, "none"),
        remote="origin",
        base="main",
        bodies=home / "bodies",
        places=Places(),
        judge=lambda base, head: judge(repository, base, head, house.bench),
    )
    return Member(email, folder, desk, Path(f"{key}.pub").read_text().strip())


@pytest.fixture
def crew(house: Gatehouse, own_home: Path) -> Crew:
    keys = {email: key_pair(own_home, email) for email in (OPERATOR, SECOND, STRANGER)}
    signers = "".join(f"{email} {public}\n" for email, (_, public) in keys.items())
    base = house.base({POLICY_PATH: RULES, SIGNERS: signers})
    server = own_home / "server.git"
    Folder(own_home, own_home).git("init", "-q", "--bare", "-b", "main", server)
    house.clones.operator.git("push", "-q", server, f"{base}:refs/heads/main")
    ann, ben, eve = (member(house, own_home, server, email, key) for email, (key, _) in keys.items())
    return Crew(house, base, house.to_active(base), ann, ben, eve)


def test_a_change_lands_when_another_operator_approved_exactly_it(crew: Crew) -> None:
    now = crew.house.now
    branch = submit(crew.plan, crew.ann.desk, now=now).branch
    with pytest.raises(Invalid, match="1 more operators must approve"):
        land(branch, crew.ann.desk, now=crew.house.now)
    with pytest.raises(Refused, match="your own change"):
        approve(branch, crew.ann.desk, now=now)
    with pytest.raises(Refused, match="no operator"):
        approve(branch, crew.eve.desk, now=now)

    given = approve(branch, crew.ben.desk, now=now)

    assert (given.by, given.pushed, given.branch) == (SECOND, True, branch)
    assert approve(branch, crew.ben.desk, now=now).approval == given.approval
    assert land(branch, crew.ann.desk, now=crew.house.now).commit == given.commit


def test_an_approval_that_cannot_be_proven_is_not_given(crew: Crew, own_home: Path) -> None:
    branch = submit(crew.plan, crew.ann.desk, now=crew.house.now).branch
    foreign, _ = key_pair(own_home, "foreign")
    crew.ben.folder.git("config", "user.signingkey", foreign)
    with pytest.raises(Refused, match="belongs to nobody"):
        approve(branch, crew.ben.desk, now=crew.house.now)
    crew.ben.folder.git("config", "user.signingkey", own_home / STRANGER)
    with pytest.raises(Refused, match=r"the key is stranger@example\.com's"):
        approve(branch, crew.ben.desk, now=crew.house.now)
    crew.ben.folder.git("config", "--unset", "user.signingkey")
    with pytest.raises(Refused, match="could not sign"):
        approve(branch, crew.ben.desk, now=crew.house.now)
    assert crew.ben.desk.repository.refs.below(APPROVALS) == ()


def test_a_ref_in_the_way_keeps_nobody_from_approving(crew: Crew) -> None:
    """A server without the hook takes it from anybody; it came into each clone by a fetch, and holds up no fetch."""
    now, ben = crew.house.now, crew.ben
    branch = submit(crew.plan, crew.ann.desk, now=now).branch
    head = crew.ann.folder.git("rev-parse", branch)
    in_the_way = f"{APPROVALS}{head}"
    crew.eve.folder.git("push", "-q", "origin", f"{crew.base}:{in_the_way}")
    ben.desk.repository.remotes.fetch("origin", "main")
    with pytest.raises(Invalid, match="1 more operators must approve"):
        land(branch, crew.ann.desk, now=crew.house.now)

    given = approve(branch, ben.desk, now=now)

    assert (given.pushed, given.ref) == (True, f"refs/approvals/{head}-{given.approval}")
    assert crew.base in ben.folder.git("ls-remote", "origin", in_the_way), "what is there is somebody's, and stays"
    again = approve(branch, ben.desk, now=now)
    assert (again.approval, again.ref, again.pushed) == (given.approval, given.ref, True)
    assert land(branch, crew.ann.desk, now=crew.house.now).commit == head


def test_git_takes_no_ref_in_the_way_of_all_approvals(crew: Crew) -> None:
    said = crew.eve.folder.git("push", "origin", f"{crew.base}:refs/approvals", fails=True)
    assert "funny refname" in said


def test_room_again_brings_an_approval_to_its_usual_name(crew: Crew) -> None:
    now, ben = crew.house.now, crew.ben
    branch = submit(crew.plan, crew.ann.desk, now=now).branch
    head = crew.ann.folder.git("rev-parse", branch)
    crew.eve.folder.git("push", "-q", "origin", f"{crew.base}:{APPROVALS}{head}")
    given = approve(branch, ben.desk, now=now)
    crew.eve.folder.git("push", "-q", "origin", f":{APPROVALS}{head}")
    again = approve(branch, ben.desk, now=now)
    assert (again.approval, again.ref) == (given.approval, f"{APPROVALS}{head}/{given.approval}")
    assert land(branch, crew.ann.desk, now=crew.house.now).commit == head


def test_an_approval_aside_counts_by_the_same_rules(crew: Crew) -> None:
    """The name proves nothing: the author, a stranger, and an approval of another commit do not count aside either."""
    head = crew.written(crew.ann)
    for name, member in (("ann", crew.ann), ("eve", crew.eve)):
        note = open_repository(member.folder.path).writer
        member.folder.git("fetch", "-q", crew.ann.folder.path, f"{head}:refs/seen/{head}")
        made = note.note(head, f"Approve\n\nApproves: {head}\n", Person(name, member.email), crew.house.now)
        crew.ann.folder.git("fetch", "-q", member.folder.path, f"{made}:refs/approvals/{head}-{made}")
        assert "1 more operators must approve" in crew.refused(head)["approvals"]
    crew.approved_by(crew.ben, head)
    assert crew.refused(head) == {}


def test_an_approval_here_that_the_remote_replaced_holds_up_no_fetch(crew: Crew) -> None:
    branch = submit(crew.plan, crew.ann.desk, now=crew.house.now).branch
    given = approve(branch, crew.ben.desk, now=crew.house.now)
    name = f"{APPROVALS}{given.commit}"
    crew.eve.folder.git("push", "-q", "origin", f":{name}/{given.approval}", f"{crew.base}:{name}")
    crew.ben.desk.repository.remotes.fetch("origin", "main")
    assert crew.ben.desk.repository.refs.below(f"{name}/") == ((f"{name}/{given.approval}", given.approval),)


def test_a_signed_and_approved_change_passes_every_gate(crew: Crew) -> None:
    head = crew.written(crew.ann)
    crew.approved_by(crew.ben, head)
    assert crew.refused(head) == {}


def test_unsigned(crew: Crew) -> None:
    crew.ann.folder.git("config", "commit.gpgsign", "false")
    assert "no SSH signature" in crew.refused(crew.written(crew.ann))["signature"]


@pytest.mark.parametrize("forge", ["noreply@forge.example.com", SECOND])
def test_what_a_forge_squashed_says_how_to_land_it(crew: Crew, forge: str) -> None:
    """The forge's own commit has the author and the message, and neither signature nor approvals."""
    head = crew.written(crew.ann)
    crew.approved_by(crew.ben, head)
    lines = crew.ann.folder.git("cat-file", "commit", head).split("\n")
    message = crew.ann.folder.git("log", "-1", "--format=%B", head)
    kept = [line for line in lines[: lines.index("")] if line.startswith(("tree", "parent", "author"))]
    committer = next(line for line in lines if line.startswith("author")).partition("> ")[2]
    raw = "\n".join([*kept, f"committer Forge <{forge}> {committer}", "", message]) + "\n"
    squashed = crew.ann.folder.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw)
    refused = crew.refused(squashed)
    assert set(refused) >= {"signature", "approvals"}
    assert "no SSH signature" in refused["signature"]
    assert "land the change by a merge commit, or with `mlconsole land`" in refused["signature"]
    crew.ann.folder.git("config", "commit.gpgsign", "false")
    assert "forge" not in crew.refused(crew.written(crew.ann))["signature"]


def test_signed_by_an_unknown_key(crew: Crew, own_home: Path) -> None:
    crew.ann.folder.git("config", "user.signingkey", key_pair(own_home, "unknown")[0])
    assert "belongs to nobody" in crew.refused(crew.written(crew.ann))["signature"]


def test_signed_by_somebody_else(crew: Crew) -> None:
    assert "signed by second@example.com" in crew.refused(crew.written(crew.ben))["signature"]


def test_signature_of_another_commit(crew: Crew) -> None:
    head = crew.written(crew.ann)
    raw = crew.ann.folder.git("cat-file", "commit", head).replace("Promote ", "promote ", 1) + "\n"
    forged = crew.ann.folder.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw)
    assert "does not fit its content" in crew.refused(forged)["signature"]


def test_nobody_is_on_the_list(crew: Crew) -> None:
    base = crew.house.base({POLICY_PATH: RULES})
    plan = crew.house.to_active(base)
    crew.ann.folder.git("fetch", "-q", crew.house.clones.operator.path, f"{base}:refs/seen/base")
    bare = replace(crew, base=base, plan=plan)
    assert "no list of allowed signers" in bare.refused(bare.written(crew.ann))["signature"]


def test_the_branch_brings_its_own_list(crew: Crew, own_home: Path) -> None:
    """The list is read from the base: a key that only the change itself allows is unknown."""
    key, public = key_pair(own_home, "smuggled")
    crew.ann.folder.git("config", "user.signingkey", key)
    files = (*crew.plan.files, (SIGNERS, f"{OPERATOR} {public}\n".encode()))
    head = crew.written(crew.ann, crew.plan.message)
    smuggled = crew.ann.desk.repository.writer.commit(
        crew.base, files, crew.plan.message, Person("Operator", OPERATOR), crew.house.now
    )
    assert "belongs to nobody" in crew.refused(head)["signature"]
    assert "its own rules" in crew.refused(smuggled)["scope"]


def test_nobody_approved(crew: Crew) -> None:
    assert "1 more operators must approve" in crew.refused(crew.written(crew.ann))["approvals"]


def test_self_approval(crew: Crew) -> None:
    head = crew.written(crew.ann)
    crew.approved_by(crew.ann, head)
    assert "the author's own approval" in crew.refused(head)["approvals"]


def test_self_approval_under_a_second_name(crew: Crew) -> None:
    """One key for two people is one person."""
    signers = f"{OPERATOR} {crew.ann.key}\n{SECOND} {crew.ann.key}\n".encode()
    base = crew.house.base({POLICY_PATH: RULES, SIGNERS: signers})
    crew.ann.folder.git("fetch", "-q", crew.house.clones.operator.path, f"{base}:refs/seen/base")
    double = replace(crew, base=base, plan=crew.house.to_active(base))
    head = double.written(crew.ann)
    double.approved_by(replace(crew.ann, email=SECOND), head)
    assert "does not count" in double.refused(head)["approvals"]


def test_approval_by_no_operator(crew: Crew) -> None:
    head = crew.written(crew.ann)
    crew.approved_by(crew.eve, head)
    assert "stranger@example.com is no operator" in crew.refused(head)["approvals"]


def test_approval_of_another_commit(crew: Crew) -> None:
    head = crew.written(crew.ann)
    other = crew.written(crew.ann, crew.plan.message.replace("as planned", "differently"))
    crew.approved_by(crew.ben, other, under=head)
    assert "is of another commit" in crew.refused(head)["approvals"]


def test_approval_that_names_another_commit(crew: Crew) -> None:
    head = crew.written(crew.ann)
    crew.approved_by(crew.ben, head, names="0" * 40)
    assert "names another commit" in crew.refused(head)["approvals"]


def test_unsigned_approval(crew: Crew) -> None:
    head = crew.written(crew.ann)
    made = crew.ann.folder.git(
        "-c", "commit.gpgsign=false", "commit-tree", "-p", head, f"{head}^{{tree}}", stdin=f"Ok\n\nApproves: {head}\n"
    )
    crew.ann.folder.git("update-ref", f"{APPROVALS}{head}/x", made)
    assert "no SSH signature" in crew.refused(head)["approvals"]


def test_one_key_is_not_two_approvals(crew: Crew) -> None:
    """Three pairs of eyes: Ben's key stands for a third operator as well, and still is one person's."""
    third = "third@example.com"
    signers = (crew.ann.folder.path / SIGNERS).read_text()
    assert crew.ben.key in signers
    rules = RULES.replace(f'"{SECOND}"', f'"{SECOND}", "{third}"').replace("approvals = 2", "approvals = 3")
    base = crew.house.base({POLICY_PATH: rules, SIGNERS: f"{signers}{third} {crew.ben.key}\n"})
    for each in (crew.ann, crew.ben):
        each.folder.git("fetch", "-q", crew.house.clones.operator.path, base)
    more = replace(crew, base=base, plan=crew.house.to_active(base))
    commit = more.written(crew.ann)
    more.approved_by(crew.ben, commit)
    more.approved_by(replace(crew.ben, email=third), commit)
    why = more.refused(commit)["approvals"]
    assert why.startswith("1 more operators must approve")
    assert "third@example.com shares a key with second@example.com, who approves already" in why


@pytest.mark.parametrize("owner", ["ann", "ben"])
def test_two_keys_of_one_person_are_not_two_approvals(crew: Crew, own_home: Path, owner: str) -> None:
    """Whoever signs with one key and approves with another, which is listed for a third operator too, is one person."""
    third, (key, public) = "third@example.com", key_pair(own_home, "another")
    who = crew.ann if owner == "ann" else crew.ben
    needed = 2 if owner == "ann" else 3
    rules = RULES.replace(f'"{SECOND}"', f'"{SECOND}", "{third}"').replace("approvals = 2", f"approvals = {needed}")
    signers = (crew.ann.folder.path / SIGNERS).read_text() + f"{who.email} {public}\n{third} {public}\n"
    base = crew.house.base({POLICY_PATH: rules, SIGNERS: signers})
    for each in (crew.ann, crew.ben):
        each.folder.git("fetch", "-q", crew.house.clones.operator.path, base)
    more = replace(crew, base=base, plan=crew.house.to_active(base))
    commit = more.written(crew.ann)
    if owner == "ben":
        more.approved_by(crew.ben, commit)
    who.folder.git("config", "user.signingkey", key)
    more.approved_by(replace(who, email=third), commit)
    why = more.refused(commit)["approvals"]
    assert why.startswith("1 more operators must approve")
    assert "third@example.com shares a key with" in why
