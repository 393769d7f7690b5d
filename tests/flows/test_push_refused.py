"""The whole corpus of illegal changes through the real ``git push``: the server's own hook refuses each of them.

A push may carry many refs, and the hook judges every one of them by itself. So the cases are pushed together where
they build on the same base: one at the base branch itself, the others as the change branches that they would be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.clones import Folder
from support.gatehouse import Gatehouse
from test_gate_refuses import CASES, Case

pytestmark = pytest.mark.xdist_group("corpus")  # where the cases are made already

MAIN = "refs/heads/main"


@dataclass(frozen=True)
class Offer:
    """An illegal change, and the ref that it is pushed to."""

    case: Case
    head: str
    ref: str

    @property
    def refspec(self) -> str:
        """What ``git push`` is given; with force, because to rewind the base is one of the cases."""
        return f"+{self.head}:{self.ref}"


def pushes(house: Gatehouse) -> Iterator[tuple[str, tuple[Offer, ...]]]:
    """Every case in one of as few pushes as there are bases, each with its base."""
    heads: dict[str, list[tuple[Case, str]]] = {}
    for case in CASES:
        base, head = case.made(house)
        heads.setdefault(base, []).append((case, head))
    for base, made in heads.items():
        refs = (MAIN, *(f"refs/heads/promote/regime_classifier/{case.name}" for case, _ in made[1:]))
        yield base, tuple(Offer(case, head, ref) for (case, head), ref in zip(made, refs, strict=True))


def reasons(said: str, ref: str) -> str:
    """What the pusher reads about one ref."""
    lines = (line.removeprefix("remote: ").strip() for line in said.splitlines())
    return "\n".join(line for line in lines if line.startswith(f"mlconsole: {ref} is refused: "))


def test_every_illegal_change_is_refused_by_git_push_with_its_reason(house: Gatehouse, server: Folder) -> None:
    refused = 0
    for base, offers in pushes(house):
        server.git("fetch", "-q", house.clones.operator.path, f"+{base}:refs/heads/main")
        before = server.git("for-each-ref")
        refspecs = [offer.refspec for offer in offers]
        said = house.clones.operator.git("push", "--porcelain", server.path, *refspecs, fails=True)
        for offer in offers:
            told = reasons(said, offer.ref)
            assert f"is refused: {offer.case.gate}: " in told, f"{offer.case.name}: {told or said}"
            assert offer.case.says in told
            assert f"{offer.head}:{offer.ref}\t[remote rejected] (pre-receive hook declined)" in said
            refused += 1
        assert server.git("for-each-ref") == before
    print(f"illegal changes refused by git push {refused}/{len(CASES)}")  # noqa: T201  the issue asks to see it
    assert refused == len(CASES)
