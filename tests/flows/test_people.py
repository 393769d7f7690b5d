"""People with several addresses: a forge's ``noreply`` is the person whom the base's policy names, else nobody."""

from __future__ import annotations

import pytest
from support.clones import OPERATOR
from support.gatehouse import POLICY, SECOND, Gatehouse
from test_four_eyes import RULES, Crew, crew  # noqa: F401  the fixture

from ml.adapters.git import open_repository
from ml.errors import Refused
from ml.promotion.gate import judge
from ml.promotion.land import approve
from ml.promotion.repository import Person
from ml.registry.schema import POLICY_PATH

FORGE = "4711+operator@users.noreply.github.com"
ELSEWHERE = "operator@noreply.codeberg.org"
PEOPLE = f'[people]\n"{OPERATOR}" = ["{FORGE}", "{ELSEWHERE}"]\n'


def closed(house: Gatehouse, base: str, head: str) -> dict[str, str]:
    return {gate.name: gate.why for gate in house.verdict(base, head) if not gate.verdict.opens}


@pytest.mark.parametrize("address", [FORGE, ELSEWHERE])
def test_a_squash_that_the_forge_made_under_noreply_is_its_persons(house: Gatehouse, address: str) -> None:
    base = house.base({POLICY_PATH: POLICY + PEOPLE})
    assert closed(house, base, house.made(house.withdraw(base), by=address)) == {}


def test_without_the_policys_word_noreply_is_somebody_else(house: Gatehouse) -> None:
    head = house.made(house.withdraw(), by=FORGE)
    assert closed(house, house.main, head)["author"] == f"the event is by {OPERATOR}, the commit by {FORGE}"


def test_the_word_of_the_change_itself_does_not_count(house: Gatehouse) -> None:
    """A change of the rules that makes its own author an operator."""
    rules = (POLICY + PEOPLE.replace(FORGE, "eve@example.com")).encode()
    head = house.commit(house.main, [(POLICY_PATH, rules)], "Rules\n", by="eve@example.com")
    assert "is no operator" in closed(house, house.main, head)["role"]


def test_an_operator_works_and_changes_the_rules_under_noreply(house: Gatehouse) -> None:
    base = house.base({POLICY_PATH: POLICY + PEOPLE})
    assert closed(house, base, house.made(house.rollback(base, by=FORGE), by=FORGE)) == {}
    head = house.commit(
        base, [(POLICY_PATH, (POLICY + PEOPLE + "[soak]\nhours = 48\n").encode())], "Longer\n", by=FORGE
    )
    assert closed(house, base, head) == {}


def test_nobodys_second_address_is_a_second_operator(crew: Crew) -> None:  # noqa: F811
    """Four eyes: the author's own approval under another of their addresses counts for nothing."""
    people = f'[people]\n"{OPERATOR}" = ["{SECOND}"]\n'
    policy = crew.ann.folder.path / POLICY_PATH
    policy.write_text(RULES + people)
    crew.ann.folder.git("commit", "-q", "--no-gpg-sign", "-am", "one person")
    crew.ann.folder.git("push", "-q", "origin", "HEAD:main")
    base = crew.ann.folder.git("rev-parse", "HEAD")
    repository = open_repository(crew.ann.folder.path)
    made = repository.writer.commit(
        base, crew.plan.files, crew.plan.message, Person("Operator", OPERATOR), crew.house.now
    )
    crew.approved_by(crew.ben, made)
    gates = {gate.name: gate for gate in judge(repository, base, made, crew.house.bench)}
    assert not gates["approvals"].verdict.opens
    assert "the author's own approval" in gates["approvals"].why
    branch = crew.plan.branch
    crew.ann.folder.git("push", "-q", "origin", f"{made}:refs/heads/{branch}")
    with pytest.raises(Refused, match="your own change"):
        approve(branch, crew.ben.desk, now=crew.house.now)
