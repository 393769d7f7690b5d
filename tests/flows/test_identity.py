"""Identity is honest: odd lists of signers, keys out of their time, changes that waited too long, what is only said."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.clones import OPERATOR
from support.gatehouse import POLICY, SIGNERS, STRANGER, Gatehouse
from test_four_eyes import Crew, crew, key_pair  # noqa: F401  the fixture

from ml.adapters.git import open_repository
from ml.policy import parse_policy
from ml.promotion.gate import judge
from ml.promotion.gate.authority import AGE
from ml.promotion.gate.case import basis_of
from ml.promotion.repository import Person
from ml.promotion.signers import people_of
from ml.registry.schema import POLICY_PATH
from ml.session.changes import propose
from ml.verdict import Code, Gate, Verdict

SIGNED = POLICY + "[ack]\nsigned = true\n"


def gates(house: Gatehouse, folder: Path, base: str, head: str, now: datetime | None = None) -> dict[str, Gate]:
    bench = replace(house.bench, now=now or house.bench.now)
    return {gate.name: gate for gate in judge(open_repository(folder), base, head, bench)}


def listed(crew: Crew, signers: str, at: datetime | None = None) -> Crew:  # noqa: F811
    """The crew at a base with another list of signers."""
    house = crew.house
    files = [(POLICY_PATH, SIGNED.encode()), (SIGNERS, signers.encode())]
    base = house.commit(house.main, files, "base", at=at or house.now - timedelta(minutes=1))
    for each in (crew.ann, crew.eve):
        each.folder.git("fetch", "-q", house.clones.operator.path, f"{base}:refs/seen/{base}")
    return replace(crew, base=base, plan=house.to_active(base))


def by_eve(crew: Crew, email: str = OPERATOR, at: datetime | None = None) -> str:  # noqa: F811
    """Ann's change as a commit that Eve makes and signs under an address of her choice."""
    repository = open_repository(crew.eve.folder.path)
    person = Person("Operator", email)
    made = repository.writer.commit(crew.base, crew.plan.files, crew.plan.message, person, at or crew.house.now)
    crew.ann.folder.git("fetch", "-q", crew.eve.folder.path, f"{made}:refs/seen/{made}")
    return made


ODD_LISTS = {
    "a pattern of the domain": "*@example.com {eve}\n",
    "a pattern of everybody": "* {eve}\n",
    "a pattern beside a name": "stranger@example.com,*@example.com {eve}\n",
    "a negated pattern": "*,!second@example.com {eve}\n",
    "an authority for the domain": "*@example.com cert-authority {eve}\n",
    "an authority for one": "operator@example.com cert-authority {eve}\n",
    "another namespace": 'operator@example.com namespaces="file" {eve}\n',
    "an option nobody knows": "operator@example.com no-touch-required {eve}\n",
    "a key that is not valid any more": 'operator@example.com valid-before="20200101Z" {eve}\n',
}


@pytest.mark.parametrize("name", ODD_LISTS)
def test_no_odd_line_lets_a_stranger_pass_as_the_operator(crew: Crew, name: str) -> None:  # noqa: F811
    there = listed(crew, f"{OPERATOR} {crew.ann.key}\n" + ODD_LISTS[name].format(eve=crew.eve.key))
    head = by_eve(there)
    found = gates(crew.house, crew.ann.folder.path, there.base, head)["signature"]
    assert found.verdict is Verdict.FAIL, found.why


def test_a_key_of_two_people_is_each_ones_own(crew: Crew) -> None:  # noqa: F811
    there = listed(crew, f"ann@work.example,{OPERATOR} {crew.ann.key}\n")
    found = gates(crew.house, crew.ann.folder.path, there.base, there.written(crew.ann))["signature"]
    assert (found.verdict, found.code) == (Verdict.PASS, Code.SIGNED)


def test_an_expired_key_is_not_helped_by_a_commit_dated_back(crew: Crew) -> None:  # noqa: F811
    house = crew.house
    ended = f"{house.now - timedelta(hours=1):%Y%m%d%H%M%S}Z"
    base_at = house.now - timedelta(hours=3)
    there = listed(crew, f'{OPERATOR} valid-before="{ended}" {crew.ann.key}\n', at=base_at)
    repository = open_repository(crew.ann.folder.path)
    person, dated_back = Person("Operator", OPERATOR), house.now - timedelta(hours=2)
    plan = house.to_active(there.base, at=dated_back)
    head = repository.writer.commit(there.base, plan.files, plan.message, person, dated_back)
    found = gates(house, crew.ann.folder.path, there.base, head)["signature"]
    assert found.verdict is Verdict.FAIL
    assert "is not valid at" in found.why
    reviewed = judge(repository, there.base, head, replace(house.bench, now=None))
    by_name = {gate.name: gate for gate in reviewed}
    assert by_name["signature"].verdict is Verdict.PASS, "a review of old history judges by the commit's date alone"
    assert by_name[AGE].verdict is Verdict.PASS


def test_a_key_that_was_not_valid_yet_at_the_commits_date_is_none(crew: Crew) -> None:  # noqa: F811
    house = crew.house
    begins = f"{house.now - timedelta(minutes=30):%Y%m%d%H%M%S}Z"
    base_at = house.now - timedelta(hours=3)
    there = listed(crew, f'{OPERATOR} valid-after="{begins}" {crew.ann.key}\n', at=base_at)
    repository, person = open_repository(crew.ann.folder.path), Person("Operator", OPERATOR)
    early = house.now - timedelta(hours=1)
    plan = house.to_active(there.base, at=early)
    head = repository.writer.commit(there.base, plan.files, plan.message, person, early)
    assert gates(house, crew.ann.folder.path, there.base, head)["signature"].verdict is Verdict.FAIL


# --- a change lands while it is fresh -------------------------------------------------------------------------------


def late(house: Gatehouse, base: str, head: str, hours: float) -> Gate:
    folder = house.clones.operator.path
    return gates(house, folder, base, head, house.now + timedelta(hours=hours))[AGE]


def test_a_change_lands_within_a_day_or_is_planned_anew(house: Gatehouse) -> None:
    head = house.made(house.to_active())
    assert late(house, house.main, head, 23.9).verdict is Verdict.PASS
    found = late(house, house.main, head, 24.1)
    assert (found.verdict, found.code) == (Verdict.FAIL, Code.TOO_OLD)
    assert "plan it anew" in found.why


def test_the_policy_says_how_long(house: Gatehouse) -> None:
    base = house.base({POLICY_PATH: POLICY + "[ack]\nlands_within_hours = 2\n"})
    head = house.made(house.to_active(base))
    assert [late(house, base, head, hours).verdict for hours in (1.9, 2.1)] == [Verdict.PASS, Verdict.FAIL]


def test_a_rollback_is_never_too_late(house: Gatehouse) -> None:
    assert late(house, house.main, house.made(house.rollback()), 24 * 365).verdict is Verdict.PASS


def test_an_old_withdrawal_ends_no_soak_of_today(house: Gatehouse) -> None:
    head = house.made(house.withdraw())
    assert late(house, house.main, head, 23.9).verdict is Verdict.PASS
    assert late(house, house.main, head, 24.1).code is Code.TOO_OLD


def test_rules_that_waited_too_long_are_refused_as_well(house: Gatehouse) -> None:
    looser = house.commit(house.main, [(POLICY_PATH, POLICY.encode() + b"[soak]\nhours = 1\n")], "Looser rules")
    assert late(house, house.main, looser, 1).verdict is Verdict.PASS
    assert late(house, house.main, looser, 30).code is Code.TOO_OLD


# --- what is only said ----------------------------------------------------------------------------------------------


def test_without_signatures_the_gate_says_self_declared(house: Gatehouse) -> None:
    found = gates(house, house.clones.operator.path, house.main, house.made(house.to_active()))
    assert found["signature"].code is Code.SELF_DECLARED
    assert basis_of(found["signature"]) == ("claimed", OPERATOR)
    assert "self-declared" in found["role"].why
    assert dict(found["role"].facts)["proven"] is False


def test_the_pull_request_says_self_declared(house: Gatehouse) -> None:
    assert "(self-declared" in house.to_active().body
    base = house.base({POLICY_PATH: SIGNED})
    assert "self-declared" not in house.to_active(base).body


def test_approvals_without_signatures_are_no_policy_and_its_operators_may_mend_it(house: Gatehouse) -> None:
    base = house.base({POLICY_PATH: POLICY + "[ack]\napprovals = 2\n"})
    folder = house.clones.operator.path
    mended = POLICY.encode() + b"[ack]\napprovals = 1\n"
    by_stranger = house.commit(base, [(POLICY_PATH, mended)], "Mend the rules", by=STRANGER)
    assert gates(house, folder, base, by_stranger)["role"].verdict is Verdict.FAIL
    by_operator = house.commit(base, [(POLICY_PATH, mended)], "Mend the rules")
    assert gates(house, folder, base, by_operator)["role"].verdict is Verdict.PASS
    found = gates(
        house, folder, house.main, house.commit(house.main, [(POLICY_PATH, house.raw(base, POLICY_PATH))], "x")
    )
    assert "signed = true" in found["policy"].why


# --- init -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["file", "private", "literal"])
def test_init_proposes_signatures_where_git_signs_by_ssh(crew: Crew, own_home: Path, spelled: str) -> None:  # noqa: F811
    folder, desk = crew.ann.folder, crew.ann.desk
    key, public = key_pair(own_home, "init")
    named = {"file": f"{key}.pub", "private": str(key), "literal": f"key::{public}"}[spelled]
    folder.git("config", "user.signingkey", named)
    if spelled == "literal":  # git itself could sign with it through an agent alone
        folder.git("config", "commit.gpgsign", "false")
    empty = _without_rules(crew)
    proposed = propose(desk, empty, crew.house.now, push=False, dry_run=False)
    assert proposed.signed
    assert parse_policy(proposed.policy.encode()).ack.signed
    raw = desk.repository.objects.read(proposed.commit, SIGNERS) or b""
    assert people_of(raw) == {OPERATOR}
    assert public.split()[1].encode() in raw
    found = gates(crew.house, folder.path, empty, proposed.commit)
    assert [gate.why for gate in found.values() if not gate.verdict.opens] == []


def test_init_says_self_declared_where_git_does_not_sign(crew: Crew) -> None:  # noqa: F811
    crew.ann.folder.git("config", "gpg.format", "openpgp")
    proposed = propose(crew.ann.desk, _without_rules(crew), crew.house.now, push=False, dry_run=True)
    assert not proposed.signed
    assert parse_policy(proposed.policy.encode()).ack.signed is False
    assert "self-declared" in proposed.policy


def _without_rules(crew: Crew) -> str:  # noqa: F811
    """A base commit that has neither a registry nor rules, dated before the crew's present time."""
    folder = crew.ann.folder
    tree = folder.git("mktree", stdin="")
    by = f"Operator <{OPERATOR}> {int((crew.house.now - timedelta(minutes=1)).timestamp())} +0000"
    return folder.git(
        "hash-object", "-t", "commit", "-w", "--stdin", stdin=f"tree {tree}\nauthor {by}\ncommitter {by}\n\nempty\n"
    )
