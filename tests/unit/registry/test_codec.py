"""The strict reader: what opens, what is refused, and where it says that the mistake is."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.registries import LATER, event, layouts, model, pointer, registries, registry

from ml.registry.changes import promote
from ml.registry.codec import RegistryInvalid, empty_document, parse
from ml.registry.scanner import first_offence
from ml.stage import Stage

RELAXED = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


@given(st.data(), registries(clean=False))
@settings(RELAXED, max_examples=60)
def test_the_layout_of_a_file_does_not_change_what_it_says(data: st.DataObject, value: dict[str, Any]) -> None:
    raw = data.draw(layouts(value))
    document = parse(raw)
    assert document.raw == raw
    assert document.registry == parse(json.dumps(value).encode()).registry
    assert [json.loads(document.model_text(name)) for name in document.spans] == list(value["models"].values())


@given(st.data(), registries(clean=False), registries(clean=False))
@settings(RELAXED, max_examples=60)
def test_a_document_read_after_another_is_the_same_and_shares_its_models(
    data: st.DataObject, value: dict[str, Any], other: dict[str, Any]
) -> None:
    known = parse(data.draw(layouts(other)))
    raw = data.draw(layouts({**value, "models": {**value["models"], **other["models"]}}))
    document, alone = parse(raw, known=known), parse(raw)
    assert (document, document.spans, document.models_at) == (alone, alone.spans, alone.models_at)
    again = parse(raw, known=document)
    assert all(again.registry.models[name] is found for name, found in document.registry.models.items())


def test_a_text_that_only_begins_like_a_known_model_is_read() -> None:
    known = parse(b'{"schema_version": "v1", "models": {"m": {}}}')
    with pytest.raises(RegistryInvalid):
        parse(b'{"schema_version": "v1", "models": {"m": {}}x}', known=known)
    longer = b'{"schema_version": "v1", "models": {"m": {"shadow": null}}}'
    assert parse(longer, known=known).registry == parse(longer).registry


@given(st.data(), registries(clean=False))
@settings(RELAXED, max_examples=60)
def test_what_opens_has_no_offence_for_the_exact_reader_either(data: st.DataObject, value: dict[str, Any]) -> None:
    raw = data.draw(layouts(value))
    assert first_offence(parse(raw).text, len(raw) - len(raw.lstrip())) is None


@given(st.data(), registries(clean=False))
@settings(RELAXED, max_examples=40)
def test_a_torn_file_is_refused_wherever_it_is_torn(data: st.DataObject, value: dict[str, Any]) -> None:
    raw = data.draw(layouts(value)).rstrip()
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(RegistryInvalid):
        parse(raw[:cut])


def test_unknown_keys_are_kept_in_what_was_read() -> None:
    document = parse(registry(regime={**model(1), "x_owner": {"team": "ml"}}))
    assert document.registry.models["regime"].model_extra == {"x_owner": {"team": "ml"}}


def test_keys_that_look_like_our_own_methods_are_only_keys() -> None:
    value = {"schema_version": "v1", "models": {"m": {"pointer": 1, "model_dump": 2}}, "_fields_set": 3, "cls": 4}
    document = parse(json.dumps(value).encode())
    assert document.registry.models["m"].pointer(Stage.ACTIVE) is None
    assert document.registry.model_extra == {"_fields_set": 3, "cls": 4}


def test_files_in_use_open() -> None:
    golden = {"artifact_id": "golden_regime_v1", "artifact_dir": "tests/fixtures/golden_regime_v1"}
    document = parse(registry(regime={"shadow": golden, "active": None, "history": []}))
    shadow = document.registry.models["regime"].shadow
    assert shadow
    assert shadow.artifact_id == "golden_regime_v1"
    assert document.registry.models["regime"].staging is None


def test_both_vocabularies_say_the_same() -> None:
    events = [event(1, 1, "shadow>active", words=words) for words in ("runbook", "engine", "both")]
    runbook, engine, both = parse(registry(m=model(1, history=events))).registry.models["m"].history
    for word in ("at", "from_stage", "to_stage", "artifact_id", "by", "reason"):
        assert getattr(runbook, word) == getattr(engine, word) == getattr(both, word), word
    assert engine.action is None


def test_an_empty_registry_has_no_models() -> None:
    assert dict(empty_document().registry.models) == {}


@pytest.mark.parametrize("spelling", ["2026-02-16T10:00:00Z", "2026-02-16T11:00:00+01:00", "2026-02-16 10:00:00.5Z"])
def test_times_with_a_zone_are_read(spelling: str) -> None:
    document = parse(registry(m=model(history=[{**event(1, 1, "->staging"), "timestamp_utc": spelling}])))
    at = document.registry.models["m"].history[0].at
    assert at
    assert (at.astimezone(LATER.tzinfo).hour, at.minute) == (10, 0)


M = '{\n "schema_version": "v1",\n "models": {\n  "m": %s\n }\n}'


@pytest.mark.parametrize(
    ("text", "line", "column", "path", "what"),
    [
        ('{\n "schema_version": "v2",\n "models": {}}', 2, 20, "schema_version", "only v1 is known"),
        ('{\n "schema_version": 1,\n "models": {}}', 2, 20, "schema_version", "only v1 is known"),
        ('{"models": {}}', 1, 1, "the top level", "schema_version is missing"),
        ('{"schema_version": "v1"}', 1, 1, "the top level", "models is missing"),
        ('{"schema_version": "v1", "models": []}', 1, 36, "models", "no JSON object"),
        ('{"schema_version": "v1", "models": {"Regime": {}}}', 1, 47, "models.Regime", "a to z"),
        ('{"schema_version": "v1", "models": {"m": {}, "m": {}}}', 1, 46, "models.m", "there twice"),
        ('{"schema_version": "v1", "models": {}, "models": {}}', 1, 40, "models", "there twice"),
        ('{"schema_version": "v1", "models": {}}\n{}', 2, 1, "the top level", "after the end"),
        (M % "[]", 4, 8, "models.m", "no JSON object"),
        (M % '{"staging": {}}', 4, 20, "models.m.staging.artifact_id", "missing"),
        (M % '{"staging": "x"}', 4, 20, "models.m.staging", "no JSON object"),
        (M % '{"active": {"artifact_id": 5, "artifact_dir": "a"}}', 4, 35, "models.m.active.artifact_id", "no text"),
        (
            M % '{"active": {"artifact_id": "a b", "artifact_dir": "a"}}',
            4,
            35,
            "models.m.active.artifact_id",
            "no artifact id",
        ),
        (
            M % '{"active": {"artifact_id": "a", "artifact_dir": "/a"}}',
            4,
            56,
            "models.m.active.artifact_dir",
            "relative",
        ),
        (
            M % '{"active": {"artifact_id": "a", "artifact_dir": "a/../../b"}}',
            4,
            56,
            "models.m.active.artifact_dir",
            "inside",
        ),
        (M % '{"history": {}}', 4, 20, "models.m.history", "no JSON array"),
        (M % '{"history": [{}, 3]}', 4, 25, "models.m.history[1]", "no JSON object"),
        (M % '{"history": [{"ts_utc": 3}]}', 4, 32, "models.m.history[0].ts_utc", "no time"),
        (M % '{"history": [{"ts_utc": "2026-02-31T10:00:00Z"}]}', 4, 32, "models.m.history[0].ts_utc", "no time"),
        (M % '{"history": [{"ts_utc": "2026-02-01T10:00:00"}]}', 4, 32, "models.m.history[0].ts_utc", "no time"),
        (M % '{"x": {"y": 1, "y": 2}}', 4, 23, "models.m.x.y", "there twice"),
        (M % '{"x": [NaN]}', 4, 15, "models.m.x[0]", "no JSON number"),
        (M % '{"x": -Infinity}', 4, 14, "models.m.x", "no JSON number"),
        (M % '{"x": 1e400}', 4, 14, "models.m.x", "too large"),
        (M % '{"x": -12345678901234567890}', 4, 14, "models.m.x", "20 digits"),
        (M % '{"x": "\\ud83d"}', 4, 14, "models.m.x", "lone surrogate"),
        (M % '{"x": "\\ude00"}', 4, 14, "models.m.x", "lone surrogate"),
        (M % '{"x": "\\ude00\\ud83d"}', 4, 14, "models.m.x", "lone surrogate"),
        (M % '{"x\\u0007": 1}', 4, 9, "models.m.x␇", "control character"),
        (M % '{"x": "a\x7f"}', 4, 14, "models.m.x", "control character"),
        (M % '{"x": "a\x9b31m"}', 4, 14, "models.m.x", "control character"),
        (M % '{"x": "tab\there"}', 4, 18, "models.m.x", "control character"),
        (M % '{"x": 01}', 4, 15, "models.m.x", "no JSON"),
        (M % '{"x": }', 4, 14, "models.m", "no JSON"),
        (M % "{'x': 1}", 4, 9, "models.m", "no JSON"),
        (M % '{"x": 1,}', 4, 16, "models.m", "no JSON"),
        (M % '{"x": tru}', 4, 14, "models.m.x", "no JSON"),
    ],
)
def test_a_refusal_names_the_place(text: str, line: int, column: int, path: str, what: str) -> None:
    with pytest.raises(RegistryInvalid) as refused:
        parse(text.encode(), "file.json")
    assert (refused.value.line, refused.value.column, refused.value.path) == (line, column, path), str(refused.value)
    assert what in refused.value.cause
    assert refused.value.cause.startswith(f"file.json, line {line}, column {column}, at {path}: ")
    assert refused.value.remedy


@pytest.mark.parametrize(
    "harmless",
    [
        '"\\ud83d\\ude00"',
        '"\\\\ud83d"',
        '"\\\\u0007"',
        '"line\\nbreak\\ttab"',
        '"\\u00fc"',
        '"😀 é"',
        "-0.5e-3",
        "123456789012345678",
    ],
)
def test_what_only_looks_suspicious_opens(harmless: str) -> None:
    assert parse((M % f'{{"x": {harmless}}}').encode()).registry.models["m"].model_extra == {"x": json.loads(harmless)}


def test_the_depth_that_is_allowed_does_not_depend_on_who_calls() -> None:
    def at_depth(frames: int, depth: int) -> str:
        if frames:
            return at_depth(frames - 1, depth)
        raw = (M % f'{{"x": {"[" * depth}{"]" * depth}}}').encode()
        try:
            return str(parse(raw).registry.schema_version)
        except RegistryInvalid as refused:
            return refused.path

    assert at_depth(0, 61) == at_depth(500, 61) == "v1"
    assert at_depth(0, 62) == at_depth(500, 62) == "models.m.x[0][0][0][0][0]…"


def test_reading_and_editing_a_large_registry_costs_at_most_four_times_the_plain_reader_and_writer() -> None:
    history = [event(hours, hours % 28 + 1, "shadow>active") for hours in range(49)]
    raw = registry(**{f"m{number}": model(1, shadow=2, history=history) for number in range(60)})

    def ours() -> None:
        promote(parse(raw), "m30", Stage.ACTIVE, by="a@example.com", reason="measured", at=LATER)

    def floor() -> None:
        json.dumps(json.loads(raw))

    assert min(_seconds(ours) for _ in range(5)) <= 4 * min(_seconds(floor) for _ in range(5))


def _seconds(action: Any) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start  # not the wall clock: other tests run beside this one


def test_a_pointer_made_by_hand_is_as_strict_as_a_read_one() -> None:
    value = pointer(1, promoted_at_utc="2026-02-16T10:00:00Z")
    document = parse(registry(m={"active": value}))
    active = document.registry.models["m"].active
    assert active == type(active).model_validate({**value, "promoted_at_utc": active.promoted_at_utc})  # type: ignore[union-attr]
