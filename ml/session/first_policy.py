"""``mlconsole init``: a first policy with the operators, and an empty registry where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from ml.clock import format_utc
from ml.errors import Refused
from ml.promotion.publish import Desk, Sent, send
from ml.promotion.signers import people_of
from ml.registry.codec import empty_document
from ml.text import visible

_DRY = "dry run: nothing was written"
_POLICY = """# The rules of promotion; always read from the base branch, so that a change cannot relax its own rules.
# Every key is optional; what is not here are the runbook's values (`mlconsole info`, docs/policy.md).

[roles]
operators = [{operator}]   # who may promote to active, waive gates, and change this file
developers = ["*"]           # who may stage, and promote to shadow

[soak]
hours = 24

[evidence]
remeasure = "report"         # "require": the gate must have a Prometheus of its own that says the same numbers

{signing}"""
_SIGNED = """[ack]
signed = true                # who made a change is proven by a key in allowed_signers, beside this file
"""
_SELF_DECLARED = """# [ack]
# signed = true              # without it, who made a change is self-declared: git lets everybody write any address
"""


_SELECTORS = """
# Several models share one Prometheus: each needs the label matchers that pick its own series.
"""

NO_MODELS: Mapping[str, str | None] = MappingProxyType({})


def _models(selectors: Mapping[str, str | None]) -> str:
    """The tables of the models, with the labels that tell them apart in the metrics."""
    lines = [
        f"[model.{name}]\nselector = '{selector}'\n"
        if selector
        else f"[model.{name}]\n# selector = 'model=\"{name}\"'   # no metric tells this model apart yet\n"
        for name, selector in selectors.items()
    ]
    return _SELECTORS + "\n".join(lines) if lines else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPolicy:
    """The proposed policy. ``commit`` is empty for a dry run; ``pushed`` only when the remote was read back.

    ``signed``: the policy asks for signatures, and the list of allowed signers names the operator's key.
    """

    branch: str
    commit: str
    pushed: bool
    why: str
    policy: str
    creates_registry: bool
    signed: bool = False


def propose(
    desk: Desk, base: str, now: datetime, *, push: bool, dry_run: bool, selectors: Mapping[str, str | None] = NO_MODELS
) -> FirstPolicy:
    """Commit a first policy to a branch of its own and push it.

    Args:
        selectors: for each model of several, what tells its series apart; ``None`` where nothing is known.

    Raises:
        Refused: there is a policy already, or git has no identity configured.
        Unavailable: git or the journal cannot write.
    """
    repository, places = desk.repository, desk.places
    if repository.objects.read(base, places.policy) is not None:
        raise Refused(f"There is a policy already at {visible(places.policy)}.", "Change it by a commit of its own.")
    author = repository.writer.identity()
    line = _signers_line(author.email, repository.writer.signing_key())
    signing = _SIGNED if line else _SELF_DECLARED
    text = _POLICY.format(operator=json.dumps(author.email), signing=signing) + _models(selectors)
    files = [(places.policy, text.encode())]
    if line:
        files.append((places.signers, line))
    missing = repository.objects.read(base, places.registry) is None
    if missing:
        files.append((places.registry, empty_document().raw))
    branch = f"init/policy-{format_utc(now).replace('-', '').replace(':', '')}"
    proposed = FirstPolicy(
        branch=branch,
        commit="",
        pushed=False,
        why=_DRY,
        policy=text,
        creates_registry=missing,
        signed=bool(line),
    )
    if dry_run:
        return proposed
    with (
        repository.writer.exclusive(),
        desk.journal.begin("submit", branch=branch, base=base, remote=desk.remote) as entry,
    ):
        message = f"Propose a first promotion policy\n\nOperators: {author.email}\n"
        commit = repository.writer.commit(base, tuple(sorted(files)), message, author, now)
        entry.step("branch", commit=commit)
        ref = f"refs/heads/{branch}"
        repository.refs.create(ref, commit)
        sent = send(desk, ref, commit, entry) if push and desk.remote else Sent(False, "The branch stays local.")
        if sent.settled:
            entry.done()
    return replace(proposed, commit=commit, pushed=sent.there, why=sent.why)


def _signers_line(email: str, key: str) -> bytes:
    """The operator's line in the list of allowed signers; empty where the gate would not believe it."""
    line = f"{email} {key}\n".encode()
    return line if key and people_of(line) == {email} else b""
