"""Signed changes of the repository's configuration.

An operator's signature replaces the question (contract §14, Trust).

The file must be identical, byte for byte, to the one at the base. An operator must have signed the last commit on the
base's first-parent line that changed it, by the policy and allowed signers of the commit at which a person was last
asked. The rules of the base now must name the signer too, so that the key of somebody who left vouches for nothing. A
commit older than the last accepted one never counts again, however it is merged.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from console.trust import Record, known_programs, write_record
from ml.clock import SystemClock, format_utc
from ml.errors import ConsoleError
from ml.verdict import Verdict

if TYPE_CHECKING:
    from console.settings import Settings
    from ml.promotion.repository import History, Reader

_MOST_COMMITS = 1000
"""Limit of base commits to inspect. After more commits than this, a person is asked."""


def base_commit(settings: Settings) -> str:
    """Return the commit of the registry's branch as known here; empty without one."""
    from ml.adapters.git import open_repository  # noqa: PLC0415 most sessions ask neither for it nor for a signature

    try:
        follow = "registry.ref" not in settings.sources
        return open_repository(settings.root, follow_head=follow).refs.base(settings.registry.ref).commit
    except ConsoleError:
        return ""


def vouched(settings: Settings) -> bool:
    """Check for an operator's signature on the current configuration. A signed configuration is recorded as trusted."""
    from ml.adapters.git import open_repository  # noqa: PLC0415 - see above

    here = settings.standing
    if here is None or here.trusted or here.record is None or here.unread or not here.content:
        return False
    if here.changed or not known_programs(here.content, settings.root, here.record.pins):
        return False  # the signature is of the configuration, not of the programs beside it
    inside = os.path.relpath(os.path.abspath(here.path), os.path.abspath(settings.root))
    try:
        commit = base_commit(settings)
        if not commit:
            return False
        by = _operator_of(open_repository(settings.root), commit, inside, here.content, here.record, settings)
        if not by:
            return False
        at = format_utc(SystemClock().now())
        write_record(here, Record(here.content, at, by, "signed", here.record.base, commit))
    except ConsoleError:
        return False
    return True


def _operator_of(repository: Reader, commit: str, path: str, content: bytes, record: Record, settings: Settings) -> str:
    """Return the signer of the file's last change, if the previously trusted rules name the signer an operator."""
    from ml.policy import parse_policy  # noqa: PLC0415 it brings pydantic
    from ml.promotion.gate.authority import signature_of  # noqa: PLC0415
    from ml.promotion.paths import Places  # noqa: PLC0415

    if (
        not (record.base and record.accepted)
        or path.startswith("..")
        or repository.objects.read(commit, path) != content
    ):
        return ""
    newer = _first_parents(repository.history, record.accepted, commit)
    changes = repository.history.touching(commit, path, 1)
    if not changes or changes[0].sha not in newer:
        return ""
    places, by = Places(settings.registry.path), ""
    # By the rules of then, which a change cannot bring; and by those of now, which may have left out that key since.
    for rules in (commit, record.base):
        signers = repository.objects.read(rules, places.signers)
        if signers is None:
            return ""
        signature = signature_of(repository.signatures, changes[0].sha, signers, SystemClock().now())
        policy = parse_policy(repository.objects.read(rules, places.policy))
        if not signature.good or policy.is_operator(signature.principal) is not Verdict.PASS:
            return ""
        by = signature.principal
    return by


def _first_parents(history: History, older: str, newer: str) -> frozenset[str]:
    """Return the commits of the first-parent line after ``older`` up to ``newer``; empty if ``older`` is not on it."""
    known = {each.sha: each for each in history.between(older, newer)}
    line, sha = set[str](), newer
    while sha in known and len(line) < _MOST_COMMITS:
        line.add(sha)
        sha = known[sha].parents[0] if known[sha].parents else ""
    return frozenset(line) if sha == older else frozenset()
