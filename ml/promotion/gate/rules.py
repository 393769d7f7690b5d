"""Changes of the rules themselves, made alone and by those whom the base's rules name (`ml.promotion.gate.guard`)."""

from __future__ import annotations

from ml.errors import ConsoleError
from ml.policy import parse_policy
from ml.promotion.gate.case import Case, passed, refused
from ml.promotion.places import registry_path
from ml.promotion.repository import REGULAR_FILE, Reader
from ml.registry.paths import REGISTRY_PATH
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Gate, Verdict


def rules_scope(case: Case) -> Gate:
    """A commit that changes rules changes nothing else; the first ones may come with the first, empty registry."""
    kept = {case.places.policy, case.places.signers, case.places.registry}
    for change in case.paths:
        shown = visible(change.path)
        place = case.guard.misplaced(change.path)
        if place:
            return refused("scope", f"{shown} would take the place of {visible(place)} on some disk")
        first = case.before is None and change.path == case.places.registry
        if not first and not case.guard.rule(change.path):
            return refused("scope", f"{shown} changes together with the rules; a change cannot bring its own rules")
        if change.new_mode != REGULAR_FILE and (change.path in kept or not change.deleted):
            return refused("scope", f"{shown} is deleted or no regular file")
    return passed("scope", "only the rules are changed")


def rules_content(repository: Reader, case: Case) -> Gate:
    """The new rules can be read, a first registry puts nothing into a stage, and an old one stays where it is."""
    try:
        parse_policy(repository.read(case.commit.sha, case.places.policy))
        path = registry_path(repository.read(case.commit.sha, case.places.config))
    except ConsoleError as error:
        return refused("policy", error.cause)
    if case.before is None and case.after is not None:
        for name, model in case.after.registry.models.items():
            if model.history or any(model.pointer(stage) for stage in Stage):
                return refused("policy", f"a first registry is empty, and this one has a life of {visible(name)} in it")
    touched = any(change.path == case.places.config for change in case.paths)
    if touched and case.before is not None and (path or REGISTRY_PATH) != case.places.registry:
        why = f"registry.path would lead away from {visible(case.places.registry)}, to a registry that nobody judged"
        return refused("policy", why)
    return passed("policy", "the new rules can be read")


def rules_role(case: Case) -> Gate:
    """Operators change the rules; as long as the base names none, anybody may propose the first ones."""
    who = case.commit.author.email
    verdict = case.policy.is_operator(who)
    if verdict is Verdict.FAIL:
        return refused("role", f"{visible(who)} is no operator, and only operators change the rules")
    return passed("role", visible(who) if verdict is Verdict.PASS else "the base names no operators yet")
