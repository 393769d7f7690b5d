"""The history doctor: what it names, and that its repair is a real patch that mends and takes nothing away."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.engine_loader import complaints
from support.registries import LATER, START, event, layouts, model, name, pointer, registries, registry

from ml.registry.codec import Document, parse
from ml.registry.doctor import Finding, examine, repair_diff, repairable

CLEAN = model(
    2,
    shadow=3,
    history=[
        event(1, 1, "shadow>active"),
        event(2, 2, "shadow>active"),
        event(3, 3, "->staging"),
        event(4, 3, "staging>shadow"),
    ],
)


def found(value: dict[str, Any]) -> tuple[Finding, ...]:
    return examine(parse(registry(m=value)))


def test_a_sound_registry_has_no_findings_and_no_repair() -> None:
    document = parse(registry(m=CLEAN))
    assert examine(document, LATER) == ()
    assert repair_diff(document) == ""


def _pointer_in_event(**more: object) -> dict[str, Any]:
    return {**CLEAN, "history": [{**event(1, 2, "shadow>active"), "pointer": pointer(2, **more)}]}


OLD = {"artifact_id": "golden_regime_v1", "artifact_dir": "golden/regime"}

SYMPTOMS: list[tuple[str, dict[str, Any], str, bool]] = [
    ("key-missing", {key: CLEAN[key] for key in CLEAN if key != "staging"}, "models.m.staging", False),
    ("key-missing", {"staging": None, "shadow": None, "active": None}, "models.m.history", False),
    ("unknown-key", {**CLEAN, "shaddow": None}, "models.m.shaddow", False),
    ("unknown-key", {**CLEAN, "staging": pointer(4, artifcat_dir="x")}, "models.m.staging.artifcat_dir", False),
    ("history-empty", {**CLEAN, "history": []}, "models.m.history", False),
    (
        "history-too-long",
        {**CLEAN, "history": [event(hours, 2, "shadow>active") for hours in range(51)]},
        "models.m.history",
        True,
    ),
    (
        "history-out-of-order",
        {**CLEAN, "history": [event(hours, 2, "shadow>active") for hours in (1, 3, 2, 4)]},
        "models.m.history",
        False,
    ),
    ("artifact-in-two-stages", {**CLEAN, "staging": pointer(3)}, "models.m.staging", False),
    (
        "pointer-without-event",
        {**CLEAN, "active": pointer(5, promoted_at_utc="2026-02-01T00:00:00Z")},
        "models.m.active",
        True,
    ),
    ("pointer-without-event", {**CLEAN, "shadow": None}, "models.m.shadow", False),
    (
        "active-condemned",
        {
            **CLEAN,
            "history": [
                *CLEAN["history"][:2],
                event(3, 1, "active>active"),
                event(4, 2, "shadow>active", waivers=[{"gate": "condemned", "why": "mended"}]),
            ],
        },
        "models.m.active",
        False,
    ),
    (
        "active-condemned",
        {**CLEAN, "history": [*CLEAN["history"][:2], event(3, 1, "active>active"), event(4, 2, "shadow>active")]},
        "models.m.active",
        True,
    ),
    (
        "active-condemned",
        {**CLEAN, "history": [*CLEAN["history"][:2], event(3, 1, "active>active"), event(4, 2, "active>active")]},
        "models.m.active",
        True,
    ),
    (
        "rollback-of-other-origin",
        {
            **CLEAN,
            "history": [
                *CLEAN["history"][:2],
                {**event(3, 1, "->staging"), "pointer": pointer(1, model_sha256="0" * 64)},
                {**event(4, 1, "active>active"), "pointer": pointer(1, model_sha256="0" * 64)},
            ],
        },
        "models.m.history",
        True,
    ),
    (
        "rollback-of-other-origin",
        {**CLEAN, "history": [event(2, 2, "shadow>active"), event(4, 1, "active>active")]},
        "models.m.history",
        False,
    ),
    (
        "id-used-twice",
        {
            **CLEAN,
            "history": [*CLEAN["history"], {**event(9, 1, "->staging"), "pointer": pointer(1, artifact_dir="other/x")}],
        },
        "models.m.history",
        True,
    ),
    ("id-outside-convention", {**CLEAN, "staging": OLD}, "models.m.staging.artifact_id", False),
    ("artifact-elsewhere", {**CLEAN, "staging": OLD}, "models.m.staging.artifact_dir", False),
    ("directory-other-name", {**CLEAN, "staging": OLD}, "models.m.staging.artifact_dir", False),
    ("digest-missing", {**CLEAN, "staging": OLD}, "models.m.staging.model_sha256", False),
    ("digest-malformed", {**CLEAN, "staging": pointer(4, model_sha256="ABC")}, "models.m.staging.model_sha256", True),
    ("engine-refuses", {**CLEAN, "staging": pointer(4, git_sha="ABC")}, "models.m.staging.git_sha", True),
    ("engine-refuses", {**CLEAN, "active": pointer(2)}, "models.m.active.promoted_at_utc", True),
    (
        "engine-refuses",
        _pointer_in_event(created_at_utc="2026-02-01T00:00:00+00:00"),
        "models.m.history[0].pointer.created_at_utc",
        True,
    ),
    (
        "event-lacks-engine-words",
        {**CLEAN, "history": [event(1, 2, "shadow>active", words="runbook")]},
        "models.m.history[0]",
        True,
    ),
    (
        "event-lacks-runbook-words",
        {**CLEAN, "history": [event(1, 2, "shadow>active", words="engine")]},
        "models.m.history[0]",
        False,
    ),
    (
        "time-not-utc",
        {**CLEAN, "history": [{**event(1, 2, "shadow>active"), "ts_utc": "2026-02-01T01:00:00+00:00"}]},
        "models.m.history[0].ts_utc",
        True,
    ),
    (
        "vocabularies-disagree",
        {**CLEAN, "history": [{**event(1, 2, "shadow>active"), "actor": "somebody else"}]},
        "models.m.history[0]",
        True,
    ),
    (
        "vocabularies-disagree",
        {**CLEAN, "history": [{**event(1, 2, "shadow>active"), "pointer": pointer(3)}]},
        "models.m.history[0]",
        True,
    ),
    ("no-such-stage", {**CLEAN, "history": [event(1, 2, "active>retired")]}, "models.m.history[0].to_stage", True),
    ("unusual-move", {**CLEAN, "history": [event(1, 2, "staging>active")]}, "models.m.history[0]", False),
    (
        "unusual-move",
        {**CLEAN, "history": [event(1, 2, "shadow>active", action="bless")]},
        "models.m.history[0]",
        False,
    ),
]


@pytest.mark.parametrize(("code", "value", "path", "severe"), SYMPTOMS)
def test_each_symptom_is_named_where_it_is(code: str, value: dict[str, Any], path: str, severe: bool) -> None:
    named = {(finding.code, finding.path): finding for finding in found(value)}
    assert (code, path) in named, sorted(named)
    finding = named[code, path]
    assert (finding.severe, finding.model) == (severe, "m")
    assert finding.what.endswith(".")
    assert finding.remedy.endswith(".")


def test_unknown_keys_of_the_file_itself_are_named() -> None:
    (finding,) = examine(parse(b'{"schema_version": "v1", "models": {}, "modles": {}}'))
    assert (finding.code, finding.path, finding.model) == ("unknown-key", "modles", "")


def test_times_in_the_future_are_named_when_the_present_is_known() -> None:
    document = parse(registry(m=CLEAN))
    paths = {finding.path for finding in examine(document, START) if finding.code == "time-in-future"}
    assert "models.m.history[3]" in paths
    assert "models.m.active.promoted_at_utc" in paths


@given(st.data(), registries(clean=True))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_the_engine_takes_is_never_said_to_be_refused_by_it(data: st.DataObject, value: dict[str, Any]) -> None:
    document = parse(data.draw(layouts(value)))
    assert complaints(document.raw) == []
    assert [finding for finding in examine(document) if "engine refuses" in finding.what] == []


# --- the repair ---------------------------------------------------------------------------------------------


def repaired(document: Document, folder: Path) -> Document:
    """The document after git has applied the printed repair."""
    path = folder / "ml/registry/models.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document.raw)
    diff = repair_diff(document)
    if diff:
        apply = ["git", "apply", "--whitespace=nowarn", "-"]
        subprocess.run(apply, cwd=folder, input=diff.encode(), check=True, timeout=30)
    return parse(path.read_bytes())


def test_the_repair_of_runbook_words_makes_the_engine_take_the_file(tmp_path: Path) -> None:
    history = [
        event(hours, number, "shadow>active", words=words)
        for hours, number, words in ((1, 1, "engine"), (4, 2, "runbook"), (3, 1, "runbook"), (5, 2, "engine"))
    ]
    value = {"active": pointer(2, promoted_at_utc="2026-02-01T02:00:00+01:00"), "history": history, "x": [1.50, "é"]}
    document = parse(registry(m=value))
    assert complaints(document.raw)
    after = repaired(document, tmp_path)
    assert complaints(after.raw) == []
    assert {finding.code for finding in examine(after)} == {"unknown-key"}
    times = [each["ts_utc"] for each in json.loads(after.raw)["models"]["m"]["history"]]
    assert times == sorted(times)
    assert repair_diff(after) == ""


def test_a_repaired_history_keeps_its_newest_event_where_the_file_has_it(tmp_path: Path) -> None:
    jumbled = [event(hours, 2, "shadow>active") for hours in (9, 7, 8, 5, 4)]
    after = repaired(parse(registry(m={**CLEAN, "history": jumbled})), tmp_path)
    times = [each["ts_utc"] for each in json.loads(after.raw)["models"]["m"]["history"]]
    assert times == sorted((each["ts_utc"] for each in jumbled), reverse=True)


def test_the_repair_shows_only_what_it_mends() -> None:
    value = {**CLEAN, "history": [*CLEAN["history"][:3], event(4, 3, "staging>shadow", words="engine")]}
    diff = repair_diff(parse(registry(m=value)))
    removed = [line for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")]
    added = [line[1:].strip() for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert len(removed) == 1  # the line that was the last of the event gets a comma
    assert added[1:] == [
        '"timestamp_utc": "2026-02-01T04:00:00Z",',
        '"action": "promote",',
        f'"artifact_id": "{name(3)}",',
        '"by": "dev@example.com"',
    ]


@given(data=st.data(), value=registries(clean=False))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_repair_applies_and_takes_nothing_away(
    data: st.DataObject, value: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = parse(data.draw(layouts(value)))
    assert repair_diff(document, models=repairable(examine(document))) == repair_diff(document)
    after = json.loads(repaired(document, tmp_path_factory.mktemp("repair")).raw)
    for of, was in value["models"].items():
        now = after["models"][of]
        assert {key: now[key] for key in was if key != "history"} == {key: was[key] for key in was if key != "history"}
        missing = [each for each in was.get("history", ()) if not any(_holds(one, each) for one in now["history"])]
        assert missing == []
    assert repair_diff(parse(json.dumps(after).encode())) == ""


def _holds(now: dict[str, Any], was: dict[str, Any]) -> bool:
    return all(now.get(key) == value for key, value in was.items() if value is not None)


def test_a_broken_event_and_an_empty_model_are_left_to_people() -> None:
    assert repair_diff(parse(registry(m={}, n={**CLEAN, "history": [{}]}))) == ""


def test_what_only_the_archive_condemned_is_named_too() -> None:
    document = parse(registry(m={**CLEAN, "history": [event(4, 2, "shadow>active")], "shadow": None}))
    left = [event(1, 1, "shadow>active"), event(2, 2, "shadow>active"), event(3, 1, "active>active")]
    archive = b"".join(json.dumps(each).encode() + b"\n" for each in left)
    assert "active-condemned" not in {finding.code for finding in examine(document)}
    assert "active-condemned" in {finding.code for finding in examine(document, archives={"m": archive})}
