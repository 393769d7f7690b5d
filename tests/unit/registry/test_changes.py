"""Legal changes: what they write, what they leave alone, what the engine and the runbook say to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.engine_loader import complaints, event_complaints, runbook_complaints
from support.registries import LATER, STAGES, event, layouts, model, name, pointer, registries, registry

from ml.errors import Refused
from ml.registry.changes import Change, promote, rollback, stage, withdraw
from ml.registry.codec import Document, empty_document, parse
from ml.registry.edits import event_texts
from ml.registry.history import activates, condemned
from ml.registry.schema import Pointer
from ml.stage import Stage

WHO: Any = {"by": "op@example.com", "reason": "tested", "at": LATER, "base_commit": "c" * 40}
RELAXED = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


def legal_changes(document: Document, of: str) -> dict[str, Callable[[], Change]]:
    """Every change that a model allows just now."""
    now = document.registry.models[of]
    fresh = Pointer.model_validate(pointer(28))
    found: dict[str, Callable[[], Change]] = {"stage": lambda: stage(document, of, fresh, **WHO)}
    if now.staging:
        found["shadow"] = lambda: promote(document, of, Stage.SHADOW, **WHO)
        found["withdraw staging"] = lambda: withdraw(document, of, Stage.STAGING, **WHO)
    if now.shadow:
        found["active"] = lambda: promote(document, of, Stage.ACTIVE, **WHO)
        found["withdraw shadow"] = lambda: withdraw(document, of, Stage.SHADOW, **WHO)
    earlier = {str(each.artifact_id) for each in now.history if activates(each)}
    for target in earlier - condemned(now) - {now.active.artifact_id} if now.active else ():
        facts = Pointer(artifact_id=target, **REST)
        found[f"rollback {target}"] = partial(rollback, document, of, target, pointer=facts, **WHO)
    return found


REST: Any = {
    "artifact_dir": "artifacts/onnx/some",
    "model_sha256": "f" * 64,
    "git_sha": "e" * 40,
    "dataset_id": "data",
}


@st.composite
def changed(draw: st.DrawFn, clean: bool, most: int = 5) -> tuple[Document, str, Change]:
    """A generated registry in a generated layout, the model that is changed, and one legal change of it."""
    value = draw(registries(clean, most))
    document = parse(draw(layouts(value)))
    of = draw(st.sampled_from(sorted(value["models"])))
    choices = legal_changes(document, of)
    return document, of, choices[draw(st.sampled_from(sorted(choices)))]()


@given(changed(clean=False))
@settings(RELAXED, max_examples=50)
def test_a_change_reads_back_as_what_it_says(case: tuple[Document, str, Change]) -> None:
    _, of, change = case
    again = parse(change.raw)
    assert again.registry == change.document.registry
    assert again.spans == change.document.spans
    assert again.text == change.document.text
    assert change.event in again.registry.models[of].history


@given(changed(clean=False))
@settings(RELAXED, max_examples=50)
def test_a_change_leaves_every_other_byte_alone(case: tuple[Document, str, Change]) -> None:
    before, of, change = case
    old, new = before.spans[of], change.document.spans[of]
    assert before.text[: old.start] == change.document.text[: new.start]
    assert before.text[old.end :] == change.document.text[new.end :]
    was, now = json.loads(before.model_text(of)), json.loads(change.document.model_text(of))
    ours = {*STAGES, "history"}
    assert [each for each in was if each not in ours] == [each for each in now if each not in ours]
    assert {key: was[key] for key in was if key not in ours} == {key: now[key] for key in now if key not in ours}
    moved = {str(stage) for stage in (change.event.from_stage, change.event.to_stage) if stage}
    assert {key: was.get(key) for key in set(STAGES) - moved} == {key: now.get(key) for key in set(STAGES) - moved}


@given(changed(clean=False))
@settings(RELAXED, max_examples=50)
def test_history_grows_on_its_newest_side_by_one_event_and_keeps_the_others_as_they_are_written(
    case: tuple[Document, str, Change],
) -> None:
    before, of, change = case
    was, now = event_texts(before, of), event_texts(change.document, of)
    assert was in (now[1:], now[:-1])
    times = [event.at for event in change.document.registry.models[of].history if event.at]
    assert times in (sorted(times), sorted(times, reverse=True))


@given(changed(clean=True))
@settings(RELAXED, max_examples=50)
def test_the_engine_takes_every_file_that_we_make_of_one_that_it_took(case: tuple[Document, str, Change]) -> None:
    before, _, change = case
    assert complaints(before.raw) == []
    assert complaints(change.raw) == []


@given(changed(clean=False))
@settings(RELAXED, max_examples=50)
def test_every_event_that_we_write_speaks_both_vocabularies(case: tuple[Document, str, Change]) -> None:
    before, of, change = case
    new = next(text for text in event_texts(change.document, of) if text not in event_texts(before, of))
    words = json.loads(new)
    assert event_complaints(words) == []
    assert runbook_complaints(words) == []
    assert words["timestamp_utc"] == words["ts_utc"]
    assert words["by"] == words["actor"]
    assert words["artifact_id"] == words["pointer"]["artifact_id"]


@given(changed(clean=False))
@settings(RELAXED, max_examples=60)
def test_the_pointer_that_is_written_is_the_pointer_that_the_event_records(case: tuple[Document, str, Change]) -> None:
    _, of, change = case
    now = change.document.registry.models[of]
    if change.event.action != "withdraw":
        assert change.event.to_stage
        assert now.pointer(Stage(change.event.to_stage)) == change.event.pointer


@given(changed(clean=True, most=50), st.sampled_from([b"", b'{"older":1}\n', b'{"older":1}']))
@settings(RELAXED, max_examples=15)
def test_events_beyond_fifty_move_to_the_archive_and_none_is_lost(
    case: tuple[Document, str, Change], archive: bytes
) -> None:
    before, of, _ = case
    change = stage(before, of, Pointer.model_validate(pointer(28)), archive=archive, **WHO)
    kept = [json.loads(text) for text in event_texts(change.document, of)]
    was = [json.loads(text) for text in event_texts(before, of)]
    assert len(kept) <= 50
    if change.archive is None:
        assert len(was) < 50
        return
    assert change.archive.startswith(archive)
    lines = [json.loads(line) for line in change.archive.splitlines()][archive.count(b"older") :]
    oldest_first = sorted(was, key=lambda each: str(each["ts_utc"]))
    assert lines == oldest_first[: len(lines)]
    assert len(lines) + len(kept) == len(was) + 1


LAYOUTS: list[dict[str, Any]] = [
    *({"indent": indent, "separators": (",", ": ")} for indent in (0, 1, 2, 4, "\t")),
    {"indent": 3, "separators": (",", ":")},
    {"separators": (", ", ": ")},
    {"separators": (",", ":")},
]


@given(st.data(), registries(clean=False), st.sampled_from(LAYOUTS), st.booleans())
@settings(RELAXED, max_examples=50)
def test_a_neatly_written_file_stays_as_neat_as_it_was(
    data: st.DataObject, value: dict[str, Any], layout: dict[str, Any], escape: bool
) -> None:
    def written(whole: object) -> bytes:
        return (json.dumps(whole, ensure_ascii=escape, **layout) + "\n").encode()

    document = parse(written(value))
    of = data.draw(st.sampled_from(sorted(value["models"])))
    choices = legal_changes(document, of)
    change = choices[data.draw(st.sampled_from(sorted(choices)))]()
    assert change.raw == written(json.loads(change.raw))


# --- told by hand -----------------------------------------------------------------------------------------


def test_events_written_on_one_line_each_stay_on_one_line_each() -> None:
    line = json.dumps(event(1, 1, "->staging"))
    before = f"""{{
  "schema_version": "v1",
  "models": {{
    "regime": {{
      "staging": {json.dumps(pointer(1))},
      "shadow": null,
      "active": null,
      "history": [
        {line}
      ]
    }}
  }}
}}
"""
    change = promote(parse(before.encode()), "regime", Stage.SHADOW, **WHO)
    was, now = before.splitlines(), change.document.text.splitlines()
    assert [line for line in was if line not in now] == [was[4], was[5], was[8]]
    assert now[8] == was[8] + ","
    assert json.loads(now[9])["to_stage"] == "shadow"
    assert len(now) == len(was) + 1


def test_windows_line_ends_and_tabs_are_kept() -> None:
    before = json.dumps({"schema_version": "v1", "models": {"m": model(staging=1)}}, indent="\t").replace("\n", "\r\n")
    after = promote(parse(before.encode()), "m", Stage.SHADOW, **WHO).raw
    assert after.count(b"\r\n") == after.count(b"\n") > before.count("\n")
    assert json.dumps(json.loads(after), indent="\t").replace("\n", "\r\n").encode() == after


def test_a_file_written_in_ascii_stays_in_ascii() -> None:
    before = json.dumps({"schema_version": "v1", "models": {"m": model(staging=1)}, "owner": "Müller"}).encode()
    after = promote(parse(before), "m", Stage.SHADOW, **{**WHO, "reason": "geprüft"}).raw
    assert after.isascii()
    assert b"gepr\\u00fcft" in after


def test_numbers_and_unknown_keys_of_a_moved_pointer_keep_their_spelling() -> None:
    text = json.dumps({"schema_version": "v1", "models": {"m": model(staging=1)}}, indent=2)
    before = text.replace('"dataset_id"', '"x_ratio": 1.50e+00, "x_é": [1,  2], "dataset_id"')
    after = promote(parse(before.encode()), "m", Stage.SHADOW, **WHO).document.text
    assert after.count('"x_ratio": 1.50e+00, "x_é": [1,  2], "dataset_id"') == 2


def test_a_whole_life_obeys_the_engine_at_every_step() -> None:
    document, at = empty_document(), LATER
    for number in range(1, 25):
        for step in ("stage", "shadow", "active"):
            at += timedelta(hours=1)
            who = {**WHO, "at": at}
            if step == "stage":
                change = stage(document, "regime", Pointer.model_validate(pointer(number)), **who)
            else:
                change = promote(document, "regime", Stage(step), **who)
            assert complaints(change.raw) == []
            document = change.document
    change = rollback(document, "regime", name(23), **{**WHO, "at": at})
    assert complaints(change.raw) == []
    assert change.document.registry.models["regime"].active
    assert change.event.model_extra
    assert change.event.model_extra["left_artifact_id"] == name(24)
    assert len(change.document.registry.models["regime"].history) == 50


def test_an_empty_model_and_a_model_without_keys_are_filled() -> None:
    for value in ({}, {"history": []}, {"x_owner": "ml"}):
        change = stage(parse(registry(m=value)), "m", Pointer.model_validate(pointer(1)), **WHO)
        assert complaints(change.raw) == []
        assert json.loads(change.raw)["models"]["m"] | value | {"history": 0} == json.loads(change.raw)["models"][
            "m"
        ] | {"history": 0}
        assert change.document.registry.models["m"].staging


def test_the_rest_of_an_event_is_in_the_event() -> None:
    extra = {"waivers": {"p99": "known spike"}, "ack": {"by": "op@example.com"}}
    change = promote(parse(registry(m=model(shadow=1))), "m", Stage.ACTIVE, extra=extra, **WHO)
    assert change.event.model_extra
    assert {key: change.event.model_extra[key] for key in extra} == extra
    assert change.event.model_extra["registry_git_sha"] == "c" * 40


def test_a_commit_that_the_engine_cannot_read_is_not_recorded() -> None:
    change = stage(empty_document(), "m", Pointer.model_validate(pointer(1)), **{**WHO, "base_commit": "d" * 64})
    assert change.event.model_extra
    assert change.event.model_extra["registry_git_sha"] is None


@pytest.mark.parametrize("typed", ["a\x1b[2J", "\ud800", "\x9b"])
def test_extra_words_that_would_make_the_file_unreadable_are_refused(typed: str) -> None:
    document = parse(registry(m=model(staging=1)))
    with pytest.raises(Refused, match="cannot be written"):
        promote(document, "m", Stage.SHADOW, extra={"waivers": {"p99": typed}}, **WHO)


# --- time -------------------------------------------------------------------------------------------------


def test_an_event_is_never_older_than_the_one_it_follows() -> None:
    before = parse(
        registry(m=model(staging=1, history=[{**event(1, 1, "->staging"), "timestamp_utc": "2026-06-01T00:00:02.5Z"}]))
    )
    change = promote(before, "m", Stage.SHADOW, **WHO)
    assert change.document.text.count('"2026-06-01T00:00:03Z"') == 4  # both words, and both copies of the pointer
    assert change.event.at == LATER + timedelta(seconds=3)


def test_a_history_from_the_future_blocks_everything_but_a_rollback() -> None:
    history = [event(1, 1, "shadow>active"), {**event(9, 2, "shadow>active"), "timestamp_utc": "2026-06-01T01:00:00Z"}]
    document = parse(registry(m=model(2, shadow=3, history=history)))
    with pytest.raises(Refused, match="in the future"):
        promote(document, "m", Stage.ACTIVE, **WHO)
    assert rollback(document, "m", name(1), **WHO).event.at == LATER + timedelta(hours=1)


# --- refused ----------------------------------------------------------------------------------------------


def _without(number: int, *keys: str, **more: object) -> dict[str, Any]:
    return {key: value for key, value in pointer(number, **more).items() if key not in keys}


GOLDEN = {"artifact_id": "golden_regime_v1", "artifact_dir": "golden/v1"}
ACTIVE = model(2, shadow=3, staging=4, history=[event(1, 1, "shadow>active"), event(2, 2, "shadow>active")])


@pytest.mark.parametrize(
    ("value", "attempt", "why"),
    [
        (ACTIVE, lambda doc: promote(doc, "m", Stage.STAGING, **WHO), "Nothing is promoted to staging"),
        (model(1), lambda doc: promote(doc, "m", Stage.SHADOW, **WHO), "Staging of m is empty"),
        (model(1, staging=2), lambda doc: promote(doc, "m", Stage.ACTIVE, **WHO), "Shadow of m is empty"),
        (model(1, shadow=1), lambda doc: promote(doc, "m", Stage.ACTIVE, **WHO), "is in active as well"),
        (ACTIVE, lambda doc: promote(doc, "n", Stage.ACTIVE, **WHO), "no model n"),
        (ACTIVE, lambda doc: withdraw(doc, "m", Stage.ACTIVE, **WHO), "cannot be withdrawn"),
        (model(1), lambda doc: withdraw(doc, "m", Stage.SHADOW, **WHO), "empty already"),
        (model(shadow=1), lambda doc: rollback(doc, "m", name(2), **WHO), "Nothing is active"),
        (ACTIVE, lambda doc: rollback(doc, "m", name(2), **WHO), "active already"),
        (ACTIVE, lambda doc: rollback(doc, "m", name(3), **WHO), "never active"),
        (ACTIVE, lambda doc: stage(doc, "m", Pointer(**pointer(3)), **WHO), "already in shadow"),
        (ACTIVE, lambda doc: stage(doc, "M", Pointer(**pointer(5)), **WHO), "no model name"),
        (ACTIVE, lambda doc: stage(doc, "m", Pointer(**GOLDEN), **WHO), "no artifact id"),
        (ACTIVE, lambda doc: stage(doc, "m", Pointer(**pointer(5, artifact_dir="a/b")), **WHO), "not named"),
        (ACTIVE, lambda doc: stage(doc, "m", Pointer(**pointer(5, git_sha="abc")), **WHO), "40 lowercase hex"),
        (ACTIVE, lambda doc: stage(doc, "m", Pointer(**_without(5, "model_sha256")), **WHO), "model_sha256"),
        (ACTIVE, lambda doc: stage(doc, "m", Pointer(**pointer(5)), **{**WHO, "reason": " "}), "reason is empty"),
        (ACTIVE, lambda doc: stage(doc, "m", Pointer(**pointer(5)), **{**WHO, "reason": "a\x1b[2J"}), "no plain text"),
        (ACTIVE, lambda doc: stage(doc, "m", Pointer(**pointer(5)), **{**WHO, "by": ""}), "author is empty"),
        (
            {"shadow": _without(3, "git_sha"), "history": []},
            lambda doc: promote(doc, "m", Stage.ACTIVE, **WHO),
            "needs git_sha",
        ),
        (
            {"shadow": _without(3, "dataset_id"), "history": []},
            lambda doc: promote(doc, "m", Stage.ACTIVE, **WHO),
            "needs dataset_id",
        ),
        ({"staging": GOLDEN, "history": []}, lambda doc: promote(doc, "m", Stage.SHADOW, **WHO), "model_sha256"),
        (
            {"staging": {**pointer(1), "created_at_utc": "2026-02-01T01:00:00+01:00"}, "history": []},
            lambda doc: promote(doc, "m", Stage.SHADOW, **WHO),
            "end in Z",
        ),
    ],
)
def test_everything_else_is_refused(value: dict[str, Any], attempt: Callable[[Document], Change], why: str) -> None:
    with pytest.raises(Refused, match=why):
        attempt(parse(registry(m=value)))


def test_a_rollback_to_an_artifact_known_only_by_name_takes_its_facts_from_the_manifest() -> None:
    history = [event(1, 1, "shadow>active", words="runbook"), event(2, 2, "shadow>active", words="runbook")]
    document = parse(registry(m=model(2, history=history)))
    with pytest.raises(Refused, match="needs git_sha"):
        rollback(document, "m", name(1), **WHO)
    facts = Pointer.model_validate(pointer(1, artifact_dir="elsewhere/first"))
    active = rollback(document, "m", name(1), pointer=facts, **WHO).document.registry.models["m"].active
    assert active
    assert (active.artifact_dir, active.git_sha, active.actor) == ("elsewhere/first", f"{1:040x}", "op@example.com")


def test_no_rollback_leads_back_to_what_a_rollback_left() -> None:
    history = [event(1, 1, "shadow>active"), event(2, 2, "shadow>active"), event(3, 1, "active>active")]
    with pytest.raises(Refused, match="A rollback left"):
        rollback(parse(registry(m=model(1, history=history))), "m", name(2), **WHO)


@pytest.mark.parametrize("words", ["both", "runbook"])
def test_a_rollback_takes_nothing_from_a_staging_however_full_its_pointer(words: str) -> None:
    """Whoever may stage would decide what trades."""
    foreign = {**pointer(1), "model_sha256": "0" * 64, "artifact_dir": f"elsewhere/{name(1)}", "notes": "fuller"}
    history = [
        event(1, 1, "shadow>active", words=words),
        event(2, 2, "shadow>active"),
        {**event(3, 1, "->staging"), "pointer": foreign},
    ]
    facts = Pointer.model_validate(pointer(1))
    change = rollback(parse(registry(m=model(2, history=history))), "m", name(1), pointer=facts, **WHO)
    active = change.document.registry.models["m"].active
    assert active
    assert (active.model_sha256, active.artifact_dir) == (facts.model_sha256, facts.artifact_dir)


@pytest.mark.parametrize(
    ("otherwise", "says"),
    [({"model_sha256": "0" * 64}, "another digest"), ({"artifact_dir": f"elsewhere/{name(1)}"}, "another folder")],
)
@pytest.mark.parametrize("where", ["history", "archive", "another model"])
def test_an_id_is_never_staged_with_another_digest_or_folder(otherwise: dict[str, str], says: str, where: str) -> None:
    known = [event(1, 1, "->staging"), event(2, 1, "staging>staging")]
    models = {"m": model(history=known if where == "history" else [])}
    if where == "another model":
        models["other"] = model(history=known)
    archive = "".join(json.dumps(each) + "\n" for each in known).encode() if where == "archive" else b""
    again = Pointer.model_validate({**pointer(1), **otherwise})
    with pytest.raises(Refused, match=says):
        stage(parse(registry(**models)), "m", again, **WHO, archive=archive)
    same = Pointer.model_validate(pointer(1))
    assert stage(parse(registry(**models)), "m", same, **WHO, archive=archive).event.artifact_id == name(1)


def test_a_rollback_mends_what_the_engine_would_refuse_in_the_old_pointer() -> None:
    history = [{**event(1, 1, "shadow>active"), "pointer": pointer(1, git_sha="short")}, event(2, 2, "shadow>active")]
    facts = Pointer.model_validate(pointer(1))
    change = rollback(parse(registry(m=model(2, history=history))), "m", name(1), pointer=facts, **WHO)
    assert json.loads(change.raw)["models"]["m"]["active"]["git_sha"] == f"{1:040x}"


def test_a_withdrawal_of_a_broken_pointer_does_not_copy_what_is_broken() -> None:
    change = withdraw(
        parse(registry(m={"shadow": {**GOLDEN, "git_sha": "short"}, "history": []})), "m", Stage.SHADOW, **WHO
    )
    assert complaints(change.raw) == []
    assert json.loads(change.raw)["models"]["m"]["history"][0]["pointer"] == GOLDEN


# --- the runbook's own commands -----------------------------------------------------------------------------


def jq(path: Path, query: str) -> Any:
    """What the runbook's jq prints."""
    ended = subprocess.run(["jq", query, path], capture_output=True, check=True, timeout=20)
    return json.loads(ended.stdout)


def test_the_runbooks_jq_lines_read_what_we_write(tmp_path: Path) -> None:
    document = stage(empty_document(), "regime_classifier", Pointer.model_validate(pointer(1)), **WHO).document
    for to_stage in (Stage.SHADOW, Stage.ACTIVE):
        document = promote(document, "regime_classifier", to_stage, **WHO).document
    path = tmp_path / "models.json"
    path.write_bytes(document.raw)
    assert jq(path, ".models.regime_classifier.active.artifact_id") == name(1)
    assert jq(path, ".models.regime_classifier.shadow.artifact_id") is None
    assert jq(path, ".models.regime_classifier.history[-2]")["to_stage"] == "shadow"
    newest = jq(path, ".models.regime_classifier.history[-3:]")
    assert [each["action"] for each in newest] == ["stage", "promote", "promote"]
    assert [each["timestamp_utc"] for each in newest] == ["2026-06-01T00:00:00Z"] * 3


@pytest.mark.parametrize("key", ["by", "actor", "ts_utc", "pointer", "to_stage", "reason", "notes", "action"])
def test_extra_words_never_replace_our_own(key: str) -> None:
    document = parse(registry(m=model(staging=1)))
    assert b"forged" not in promote(document, "m", Stage.SHADOW, extra={key: "forged"}, **WHO).raw
