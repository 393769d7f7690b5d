"""Changes of the rules themselves: policy and allowed signers, made alone and by those whom the base's rules name."""

from __future__ import annotations

from ml.errors import ConsoleError
from ml.policy import parse_policy
from ml.promotion.gate.case import Case, passed, refused
from ml.promotion.repository import REGULAR_FILE, Reader
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Gate, Verdict


def rules_scope(case: Case) -> Gate:
    """A commit that changes rules changes nothing else; the first ones may come with the first, empty registry."""
    allowed = {case.places.policy, case.places.signers} | ({case.places.registry} if case.before is None else set())
    for change in case.paths:
        shown = visible(change.path)
        if change.path not in allowed:
            return refused("scope", f"{shown} changes together with the rules; a change cannot bring its own rules")
        if change.new_mode != REGULAR_FILE:
            return refused("scope", f"{shown} is deleted or no regular file")
    return passed("scope", "only the rules are changed")


def rules_content(repository: Reader, case: Case) -> Gate:
    """The new policy can be read, and a first registry puts nothing into a stage."""
    raw = repository.read(case.commit.sha, case.places.policy)
    try:
        parse_policy(raw)
    except ConsoleError as error:
        return refused("policy", error.cause)
    if case.before is None and case.after is not None:
        for name, model in case.after.registry.models.items():
            if model.history or any(model.pointer(stage) for stage in Stage):
                return refused("policy", f"a first registry is empty, and this one has a life of {visible(name)} in it")
    return passed("policy", "the new rules can be read")


def rules_role(case: Case) -> Gate:
    """Operators change the rules; as long as the base names none, anybody may propose the first ones."""
    who = case.commit.author.email
    verdict = case.policy.is_operator(who)
    if verdict is Verdict.FAIL:
        return refused("role", f"{visible(who)} is no operator, and only operators change the rules")
    return passed("role", visible(who) if verdict is Verdict.PASS else "the base names no operators yet")
