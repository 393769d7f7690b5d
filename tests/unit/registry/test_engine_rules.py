"""Each rule of the trading engine's loader, one by one: broken, it is noticed; by us, it is never broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.engine_loader import complaints
from support.registries import LATER, event, model, name, pointer, registry

from ml.registry import changes
from ml.registry.codec import RegistryInvalid, parse
from ml.registry.doctor import examine
from ml.registry.schema import Pointer
from ml.stage import Stage

Values = dict[str, Any]
BY: Values = {"by": "dev@example.com", "reason": "because", "at": LATER}
SOUND = registry(regime=model(1, shadow=2, history=[event(1, 1, "shadow>active"), event(2, 2, "staging>shadow")]))


def of_event(**values: object) -> Callable[[Values], None]:
    return lambda regime: regime["history"][-1].update(values)


def without(key: str) -> Callable[[Values], None]:
    return lambda regime: regime["history"][-1].pop(key)


def of(stage: str, **values: object) -> Callable[[Values], None]:
    return lambda regime: regime[stage].update(values)


RULES: dict[str, tuple[str, Callable[[Values], object]]] = {
    "an event has ts_utc": ("event lacks ts_utc", without("ts_utc")),
    "an event has to_stage": ("event lacks to_stage", without("to_stage")),
    "an event has a pointer": ("event lacks pointer", without("pointer")),
    "to_stage is a stage": ("to_stage is no stage", of_event(to_stage="retired")),
    "an event's time ends in Z": ("time without Z", of_event(ts_utc="2026-02-01T02:00:00+00:00")),
    "at most 50 events": (
        "more than 50 events",
        lambda regime: regime.update(history=[event(n, 2, "staging>shadow") for n in range(51)]),
    ),
    "git_sha is a commit": ("git_sha is no commit", of("shadow", git_sha="A" * 40)),
    "git_sha in an event is a commit": ("git_sha is no commit", of_event(pointer=pointer(2, git_sha="abc"))),
    "a pointer's time ends in Z": ("time without Z", of("shadow", created_at_utc="2026-02-01T02:00:00+00:00")),
    "the path is not absolute": ("path leads out", of("shadow", artifact_dir="/srv/x")),
    "the path does not climb": ("path leads out", of("shadow", artifact_dir="artifacts/../../x")),
    "active has git_sha": ("active lacks git_sha", of("active", git_sha=None)),
    "active has dataset_id": ("active lacks dataset_id", of("active", dataset_id=None)),
    "active has promoted_at_utc": ("active lacks promoted_at_utc", of("active", promoted_at_utc=None)),
}


def noticed(raw: bytes) -> bool:
    """Whether we refuse the file, or name it severely."""
    try:
        return any(finding.severe for finding in examine(parse(raw)))
    except RegistryInvalid:
        return True


def test_what_keeps_every_rule_is_taken_by_both() -> None:
    assert complaints(SOUND) == []
    assert not noticed(SOUND)


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_noticed_by_the_engine_and_by_us(rule: str) -> None:
    complaint, break_it = RULES[rule]
    values = json.loads(SOUND)
    break_it(values["models"]["regime"])
    raw = json.dumps(values).encode()
    assert f"regime: {complaint}" in complaints(raw)
    assert noticed(raw)


def test_a_model_name_that_the_engine_refuses_is_refused_by_us() -> None:
    raw = SOUND.replace(b'"regime": {', b'"Regime-1": {')
    assert "Regime-1: bad model name" in complaints(raw)
    assert noticed(raw)


def test_a_life_written_by_us_keeps_every_rule_at_every_step() -> None:
    doc = parse(b'{"schema_version": "v1", "models": {}}\n')
    for number in (1, 2):
        doc = changes.stage(doc, "regime", Pointer(**pointer(number)), **BY).document
        assert complaints(doc.raw) == []
        for stage in (Stage.SHADOW, Stage.ACTIVE):
            doc = changes.promote(doc, "regime", stage, **BY).document
            assert complaints(doc.raw) == []
    doc = changes.rollback(doc, "regime", name(1), **BY).document
    doc = changes.stage(doc, "regime", Pointer(**pointer(3)), **BY).document
    doc = changes.withdraw(doc, "regime", Stage.STAGING, **BY).document
    assert complaints(doc.raw) == []
