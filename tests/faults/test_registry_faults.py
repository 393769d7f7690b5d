"""The 15 registry faults (contract §14): what cannot be read safely is shown read-only and never written.

For every one: a typed refusal with line, column, field and a next step; the operator's clone and the remote hold
exactly the old bytes; no gate is open; the kill switch is written within a second, and no lock is left behind.
Four rows are no damage but oddities of files in use: they open, are named, and their unknown keys survive.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.clones import Clones, make_clones
from support.registries import LATER, event, model, name, pointer, registry

from console.invocation import open_session
from console.settings import Settings
from ml.errors import ConsoleError
from ml.registry.changes import promote, stage
from ml.registry.codec import RegistryInvalid, parse
from ml.registry.doctor import examine
from ml.registry.glance import glance_models
from ml.registry.schema import REGISTRY_PATH, Pointer
from ml.session import Session
from ml.stage import Stage

DEADLINE_S = 2.0

SOUND = registry(regime=model(1, shadow=2, history=[event(1, 1, "shadow>active"), event(2, 2, "staging>shadow")]))


def with_value(text: str) -> bytes:
    """A sound registry with one more key, whose value is this text."""
    return SOUND.replace(b'"regime": {', b'"regime": {\n      "x_new": ' + text.encode(), 1).replace(
        text.encode() + b"\n", text.encode() + b",\n", 1
    )


def with_pointer(**more: object) -> bytes:
    return registry(regime={**model(1), "shadow": pointer(2, **more)})


@dataclass(frozen=True)
class Damage:
    """Registry bytes that must be refused, the line, and the field that the refusal must name."""

    raw: bytes
    line: int
    path: str


DAMAGES: dict[str, tuple[Damage, ...]] = {
    "empty": (Damage(b"", 1, "the top level"), Damage(b" \n\n", 1, "the top level")),
    "torn": (
        Damage(SOUND[: SOUND.index(b'"history"') + 3], 24, "models.regime"),
        Damage(SOUND[: SOUND.index(b"git_sha") + 12], 10, "models.regime.shadow.git_sha"),
        Damage(SOUND.rstrip()[:-1], SOUND.count(b"\n"), "models"),
    ),
    "BOM or bad UTF-8": (
        Damage(b"\xef\xbb\xbf" + SOUND, 1, "the top level"),
        Damage(SOUND.decode().encode("utf-16"), 1, "the top level"),
        Damage(SOUND.replace(b"production_data", b"produ\xe9tion_data", 1), 11, "models.regime.shadow.dataset_id"),
    ),
    "duplicate keys": (
        Damage(SOUND.replace(b'"shadow": {', b'"active": null,\n      "shadow": {', 1), 16, "models.regime.active"),
        Damage(SOUND.replace(b'"models": {', b'"models": {"regime": {},', 1), 4, "models.regime"),
        Damage(SOUND.replace(b'"git_sha"', b'"dataset_id"', 1), 11, "models.regime.shadow.dataset_id"),
    ),
    "NaN and Infinity": tuple(
        Damage(with_value(text), 5, "models.regime.x_new") for text in ("NaN", "-Infinity", "1e999")
    ),
    "nesting 100,000 deep": (
        Damage(with_value("[" * 100_000 + "]" * 100_000), 5, "models.regime.x_new[0][0][0][0][0]…"),
        Damage(with_value('{"a":' * 100_000 + "1" + "}" * 100_000), 5, "models.regime.x_new.a.a.a.a.a…"),
        Damage(b"[" * 100_000, 1, "the top level"),
        Damage(with_value("[" * 100_000), 5, "models.regime.x_new[0][0][0][0][0]…"),
    ),
    "5,000-digit integer": (Damage(with_value("7" * 5_000), 5, "models.regime.x_new"),),
    "wrong root type": (
        Damage(b"[]", 1, "the top level"),
        Damage(b"null\n", 1, "the top level"),
        Damage(b'"models"', 1, "the top level"),
        Damage(b'{"schema_version": "v1",\n "models": []}', 2, "models"),
    ),
    "unknown schema": (
        Damage(SOUND.replace(b'"v1"', b'"v2"', 1), 2, "schema_version"),
        Damage(SOUND.replace(b'"v1"', b"1", 1), 2, "schema_version"),
        Damage(b'{"models": {}}', 1, "the top level"),
    ),
    "bad id or path": (
        Damage(with_pointer(artifact_dir="/etc"), 8, "models.regime.shadow.artifact_dir"),
        Damage(with_pointer(artifact_dir="artifacts/../../etc"), 8, "models.regime.shadow.artifact_dir"),
        Damage(with_pointer(artifact_id="../x"), 7, "models.regime.shadow.artifact_id"),
        Damage(with_pointer(artifact_id="--upload-pack=x"), 7, "models.regime.shadow.artifact_id"),
        Damage(registry(**{"../x": {}}), 4, "models.../x"),
    ),
    "lone surrogates and control characters": (
        Damage(with_value('"\\ud800"'), 5, "models.regime.x_new"),
        Damage(with_value('"\\u001b[2J"'), 5, "models.regime.x_new"),
        Damage(with_value('"\x9b2J"'), 5, "models.regime.x_new"),
        Damage(with_value('"a\nb"'), 5, "models.regime.x_new"),
    ),
}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def opened(home: Path, raw: bytes | None) -> tuple[Clones, Session]:
    """A console on a real clone whose base branch holds these registry bytes."""
    clones = make_clones(home, {"README.md": "hello\n"} if raw is None else {REGISTRY_PATH: raw})
    return clones, open_session(Settings(clones.operator.path))


def traces(clones: Clones) -> Iterator[object]:
    """Everything that may not change: both repositories' refs, the working tree, the index, HEAD."""
    yield clones.operator.trace()
    for folder in (clones.operator, clones.remote):
        yield folder.git("for-each-ref")


def assert_nothing_is_possible(clones: Clones, console: Session) -> None:
    """The console looks, every change is refused with a sentence, no byte moves, and the kill key works."""
    before = list(traces(clones))
    started = time.monotonic()
    board = console.boards.poll()
    assert board.registry.problem
    assert not any(gate.verdict.opens for shown in board.models for gate in shown.gates)
    for attempt in (
        lambda: console.changes.target("regime", Stage.ACTIVE),
        lambda: console.changes.plan_withdraw("regime", Stage.SHADOW, "because"),
        lambda: console.rollbacks.plan("regime"),
    ):
        with pytest.raises(ConsoleError) as refused:
            attempt()
        assert refused.value.cause.endswith(".")
        assert refused.value.remedy.endswith(".")
    assert time.monotonic() - started < 5 * DEADLINE_S
    assert list(traces(clones)) == before
    pressed = time.monotonic()
    console.kill.engage()
    assert time.monotonic() - pressed < 1
    assert b"ML_KILL_SWITCH=1\n" in (clones.operator.path / "var/kill_switch.env").read_bytes()
    assert not list(clones.operator.path.rglob("*.lock"))


@pytest.mark.fault("registry")
@pytest.mark.parametrize("fault", DAMAGES)
def test_damage_is_refused_where_it_is_and_never_written(fault: str, tmp_path: Path) -> None:
    for damage in DAMAGES[fault]:
        started = time.monotonic()
        with pytest.raises(RegistryInvalid) as refused:
            parse(damage.raw)
        glance_models(damage.raw)
        assert time.monotonic() - started < DEADLINE_S
        where = (refused.value.line, refused.value.path)
        assert where == (damage.line, damage.path), str(refused.value)
        assert refused.value.cause.startswith(
            f"{REGISTRY_PATH}, line {damage.line}, column {refused.value.column}, at "
        )
        assert refused.value.cause.isprintable()
        assert len(refused.value.cause) < 400
        assert refused.value.remedy
    clones, console = opened(tmp_path, DAMAGES[fault][0].raw)
    assert_nothing_is_possible(clones, console)
    with pytest.raises(RegistryInvalid):
        parse(DAMAGES[fault][0].raw)


@pytest.mark.fault("registry")
def test_a_missing_registry_is_said_and_nothing_is_made_up(tmp_path: Path) -> None:
    clones, console = opened(tmp_path, None)
    assert_nothing_is_possible(clones, console)
    assert "no registry" in console.boards.poll().registry.problem


# --- oddities: they open, are named, and survive a change -----------------------------------------------------


def codes(raw: bytes) -> dict[str, bool]:
    """The doctor's codes, and whether each is severe."""
    return {finding.code: finding.severe for finding in examine(parse(raw))}


def assert_it_works(raw: bytes, home: Path) -> dict[str, Any]:
    """The file opens on the board, and a change can be planned on it; the model as it would be then."""
    clones, console = opened(home, raw)
    before = list(traces(clones))
    assert not console.boards.poll().registry.problem
    plan = console.changes.plan_withdraw("regime", Stage.SHADOW, "because")
    assert list(traces(clones)) == before
    planned = json.loads(dict(plan.files)[REGISTRY_PATH])
    assert planned["models"]["regime"]["shadow"] is None
    result: dict[str, Any] = planned["models"]["regime"]
    return result


@pytest.mark.fault("registry")
def test_unknown_fields_are_named_and_kept(tmp_path: Path) -> None:
    value = {
        **model(1, shadow=2, history=[event(1, 2, "staging>shadow", x_ticket="OPS-1")]),
        "x_owner": {"team": ["é"]},
    }
    raw = registry(regime=value)
    assert codes(raw)["unknown-key"] is False
    planned = assert_it_works(raw, tmp_path)
    assert planned["x_owner"] == {"team": ["é"]}
    assert planned["history"][0]["x_ticket"] == "OPS-1"


@pytest.mark.fault("registry")
def test_two_stages_with_one_artifact_are_named_and_never_promoted(tmp_path: Path) -> None:
    raw = registry(regime=model(1, shadow=1, staging=1))
    assert codes(raw)["artifact-in-two-stages"] is False
    for to_stage in (Stage.SHADOW, Stage.ACTIVE):
        with pytest.raises(ConsoleError, match="as well as"):
            promote(parse(raw), "regime", to_stage, by="a@example.com", reason="because", at=LATER)
    assert_it_works(raw, tmp_path)


@pytest.mark.fault("registry")
def test_a_history_over_fifty_or_out_of_order_is_named_and_the_next_change_loses_nothing(tmp_path: Path) -> None:
    events = [event(hours, 2, "staging>shadow") for hours in (5, 1, *range(6, 60), 2)]
    raw = registry(regime=model(1, shadow=2, history=events))
    assert codes(raw)["history-too-long"] is True
    assert codes(raw)["history-out-of-order"] is False
    planned = assert_it_works(raw, tmp_path)
    assert len(planned["history"]) == 50
    change = stage(
        parse(raw), "regime", Pointer(**pointer(9)), by="a@example.com", reason="because", at=LATER, archive=b""
    )
    assert change.archive
    archived = [json.loads(line)["ts_utc"] for line in change.archive.splitlines()]
    assert archived == sorted(each["ts_utc"] for each in events)[: len(archived)]
    kept = json.loads(change.raw)["models"]["regime"]["history"]
    assert len(archived) + len(kept) == len(events) + 1
    assert kept[-1]["artifact_id"] == name(9)
