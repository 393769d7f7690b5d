"""How a change arrives: every honest way is taken, and no way brings anything but the one judged change (contract §14).

Each is pushed to a bare repository with the real hook. What is refused is refused in the words that the pusher reads.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.clones import OPERATOR, Folder
from support.gatehouse import (
    FRESH,
    LIVE,
    MODEL,
    OLD,
    POLICY,
    SOAKED,
    STRANGER,
    Gatehouse,
    artifact_files,
    life,
    much_later,
    pointer_to,
)
from support.landings import commit_object, merged, rebased, squashed

from ml.registry import changes
from ml.registry.codec import parse
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH, archive_path

MAIN = "refs/heads/main"
BY: dict[str, Any] = {"by": OPERATOR, "reason": "as planned"}


def refusal(house: Gatehouse, server: Folder, head: str, base: str = "") -> str:
    """Push a head to the base branch, see that it is refused and that no ref moved, and return what git push said."""
    _at(house, server, base or house.main)
    before = server.git("for-each-ref")
    said = house.clones.operator.git("push", server.path, f"+{head}:{MAIN}", fails=True)
    assert server.git("for-each-ref") == before
    assert "pre-receive hook declined" in said
    assert "Traceback" not in said
    return said


def taken(house: Gatehouse, server: Folder, head: str, base: str = "") -> None:
    """Push a head to the base branch and see that it is there."""
    _at(house, server, base or house.main)
    house.clones.operator.git("push", server.path, f"{head}:{MAIN}")
    assert server.git("rev-parse", "main") == head


def _at(house: Gatehouse, server: Folder, base: str) -> None:
    server.git("fetch", "-q", house.clones.operator.path, f"+{base}:{MAIN}")


def another_model(house: Gatehouse, on: str, second: str = FRESH) -> str:
    """A base on which another model was staged meanwhile, as an honest change makes it."""
    doc = parse(house.raw(on))
    change = changes.stage(doc, "spacing", pointer_to(second), at=house.now - timedelta(minutes=2), **BY)
    return house.base({REGISTRY_PATH: change.raw, **artifact_files(second)}, on=on)


def with_two_models(house: Gatehouse) -> str:
    """A base on which a second model stands in the registry already."""
    return another_model(house, house.main)


# --- honest landings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrive", [merged, squashed, rebased])
def test_a_change_arrives_on_the_base_that_it_was_made_on(house: Gatehouse, server: Folder, arrive: Any) -> None:
    taken(house, server, arrive(house, house.main, house.made(house.to_active())))


@pytest.mark.parametrize("arrive", [merged, squashed, rebased])
def test_a_change_arrives_on_a_base_that_moved_by_other_files(house: Gatehouse, server: Folder, arrive: Any) -> None:
    moved = house.base({"NOTES.md": "hello\n"})
    taken(house, server, arrive(house, moved, house.made(house.to_active())), moved)


@pytest.mark.parametrize("arrive", [merged, squashed, rebased])
@pytest.mark.parametrize("kind", ["active", "rollback", "withdraw"])
def test_a_change_arrives_on_a_base_that_moved_by_another_model(
    house: Gatehouse, server: Folder, arrive: Any, kind: str
) -> None:
    """The acknowledgement and the evidence are bound to the model's own slice of the registry."""
    base = with_two_models(house)
    make = {"active": house.to_active, "rollback": house.rollback, "withdraw": house.withdraw}[kind]
    change = house.made(make(base))
    doc = parse(house.raw(base))
    other = changes.withdraw(doc, "spacing", "staging", at=house.now - timedelta(minutes=1), **BY)  # type: ignore[arg-type]
    moved = house.base({REGISTRY_PATH: other.raw}, on=base)
    taken(house, server, arrive(house, moved, change), moved)


def test_a_branch_that_was_brought_up_to_date_by_a_merge_arrives_by_a_merge(house: Gatehouse, server: Folder) -> None:
    change = house.made(house.withdraw())
    moved = house.base({"NOTES.md": "hello\n"})
    updated = merged(house, change, moved)
    taken(house, server, merged(house, moved, updated), moved)


def test_a_branch_that_was_brought_up_to_date_is_taken_as_a_branch(house: Gatehouse, server: Folder) -> None:
    change, moved = house.made(house.withdraw()), house.base({"NOTES.md": "hello\n"})
    _at(house, server, moved)
    updated = merged(house, change, moved)
    house.clones.operator.git("push", server.path, f"{updated}:refs/heads/withdraw/{MODEL}/x")


def test_a_merge_queue_lands_code_and_one_change_together(house: Gatehouse, server: Folder) -> None:
    code = house.commit(house.main, [("engine.py", b"x = 1\n")], "Code", by=STRANGER)
    first = merged(house, house.main, code)
    taken(house, server, merged(house, first, house.made(house.to_active())))


def test_an_artifact_may_be_committed_before_the_change_that_stages_it(house: Gatehouse, server: Folder) -> None:
    files = [(path, bytes(content)) for path, content in artifact_files(FRESH).items()]  # type: ignore[arg-type]
    first = house.commit(house.main, files, "The artifact", by=STRANGER)
    taken(house, server, house.made(house.stage(first)))


def test_a_change_of_the_rules_arrives_by_a_merge_too(house: Gatehouse, server: Folder) -> None:
    stricter = house.commit(house.main, [(POLICY_PATH, POLICY.encode() + b"[soak]\nhours = 48\n")], "Rules")
    moved = house.base({"NOTES.md": "hello\n"})
    taken(house, server, merged(house, moved, stricter), moved)


def test_a_proposed_branch_on_an_older_base_is_judged_as_its_merge(house: Gatehouse) -> None:
    from ml.promotion.gate import judge  # noqa: PLC0415

    moved = house.base({"NOTES.md": "hello\n"})
    gates = judge(house.repository, moved, house.made(house.withdraw()), replace(house.bench, merging=True))
    assert all(gate.verdict.opens for gate in gates)
    assert "the same on" in {gate.name: gate.why for gate in gates}["landing"]


# --- merges that bring something else -----------------------------------------------------------------------


def stricter_base(house: Gatehouse) -> str:
    """A base with stricter rules than `Gatehouse.main` has."""
    return house.base({POLICY_PATH: POLICY + "[soak]\nhours = 48\n"})


def test_a_merge_with_the_old_base_first_cannot_put_it_back(house: Gatehouse, server: Folder) -> None:
    base = stricter_base(house)
    head = commit_object(house, house.main, (house.main, base), by=STRANGER)
    assert "ancestry: the base is not on the first-parent line" in refusal(house, server, head, base)


def test_nor_can_a_merge_of_that_merge(house: Gatehouse, server: Folder) -> None:
    base = stricter_base(house)
    foxtrot = commit_object(house, house.main, (house.main, base), by=STRANGER)
    head = commit_object(house, house.main, (base, foxtrot), by=STRANGER)
    assert "scope: a merge commit changes the registry" in refusal(house, server, head, base)


def test_nor_one_that_takes_the_old_side(house: Gatehouse, server: Folder) -> None:
    base = stricter_base(house)
    head = commit_object(house, house.main, (base, house.main), by=STRANGER)
    assert "scope: a merge commit changes the registry" in refusal(house, server, head, base)


def test_nor_one_in_the_middle_that_is_mended_at_the_end(house: Gatehouse, server: Folder) -> None:
    """Its history would tell of a state that never was legal."""
    base = stricter_base(house)
    middle = commit_object(house, house.main, (base, house.main), by=STRANGER)
    head = commit_object(house, base, (middle, base), by=STRANGER)
    assert "scope: a merge commit changes the registry" in refusal(house, server, head, base)


def test_a_merge_that_leaves_the_change_out(house: Gatehouse, server: Folder) -> None:
    head = commit_object(house, house.main, (house.main, house.made(house.withdraw())))
    assert "scope: a merge commit changes the registry" in refusal(house, server, head)


def test_a_merge_of_a_history_of_its_own(house: Gatehouse, server: Folder) -> None:
    orphan = commit_object(house, house.main, (), by=STRANGER)
    head = commit_object(house, house.main, (house.main, orphan), by=STRANGER)
    assert "has no parent, so it would bring a history of its own" in refusal(house, server, head)
    assert "has no parent" in refusal(house, server, orphan)


def test_a_merge_of_many_branches_at_once(house: Gatehouse, server: Folder) -> None:
    sides = [house.commit(house.main, [(name, b"x")], "Code", by=STRANGER) for name in ("a.py", "b.py")]
    head = commit_object(house, house.main, (house.main, *sides), by=STRANGER)
    assert "merges 2 branches at once; merge one at a time" in refusal(house, server, head)


def test_a_merge_that_replaces_the_bytes_of_an_artifact(house: Gatehouse, server: Folder) -> None:
    tampered = house.commit(house.main, [(f"artifacts/onnx/{LIVE}/model.onnx", b"other")], "x", by=STRANGER)
    code = house.commit(house.main, [("engine.py", b"x = 1\n")], "Code", by=STRANGER)
    head = commit_object(house, tampered, (house.main, code), by=STRANGER)
    assert f"{LIVE}/model.onnx" in refusal(house, server, head)


# --- one change, and nothing that touches what it brings ------------------------------------------------------


def test_staged_bytes_replaced_by_an_ordinary_commit_behind_the_change(house: Gatehouse, server: Folder) -> None:
    staged = house.made(house.stage(by=STRANGER))
    path = f"artifacts/onnx/{FRESH}/model.onnx"
    head = house.commit(staged, [(path, b"other weights")], "Tidy up", by=STRANGER)
    assert "is what the change brings, and another commit touches it too" in refusal(house, server, head)


def test_staged_bytes_replaced_by_the_merge_that_brings_them(house: Gatehouse, server: Folder) -> None:
    staged = house.made(house.stage(by=STRANGER))
    other = house.commit(staged, [(f"artifacts/onnx/{FRESH}/model.onnx", b"other weights")], "x", by=STRANGER)
    head = commit_object(house, other, (house.main, staged), by=STRANGER)
    assert "a merge commit changes the registry" in refusal(house, server, head)


def test_two_models_staged_in_one_push(house: Gatehouse, server: Folder) -> None:
    first = house.made(house.withdraw())
    assert "2 changes of the registry at once" in refusal(house, server, house.made(house.rollback(first)))


def test_a_change_that_the_base_moved_away_from(house: Gatehouse, server: Folder) -> None:
    """The slice is another now; whoever merges by hand cannot bring the change over it."""
    change = house.made(house.withdraw())
    moved = house.base({REGISTRY_PATH: life(house.now, staged=True).raw, **artifact_files(FRESH)})
    head = commit_object(house, change, (moved, change))
    assert "was changed on" in refusal(house, server, head, moved)


def test_registry_bytes_that_our_planner_would_not_write(house: Gatehouse, server: Folder) -> None:
    plan = house.withdraw()
    content = dict(plan.files)
    content[REGISTRY_PATH] = json.dumps(json.loads(content[REGISTRY_PATH])).encode()
    head = house.commit(house.main, sorted(content.items()), plan.message)
    assert "the registry says the same in other bytes" in refusal(house, server, head)


def test_an_event_of_next_year(house: Gatehouse, server: Folder) -> None:
    """It would hold up every promotion until then."""
    head = house.made(house.stage(at=house.now + timedelta(days=300)), at=house.now)
    assert "transition: " in refusal(house, server, head)


# --- pointers have one origin ----------------------------------------------------------------------------------


def forged(pointer: dict[str, Any]) -> dict[str, Any]:
    """A pointer to other bytes under the same id, with more in it than the honest one has."""
    more = {"notes": "fuller", "feature_order_hash": "f" * 64}
    return {**pointer, "model_sha256": pointer_to(FRESH).model_sha256, **more}


def with_foreign_staging(house: Gatehouse) -> tuple[str, dict[str, Any]]:
    """A base in which somebody staged other bytes as OLD, as the first edition allowed, and the forged pointer."""
    values = json.loads(house.raw(house.main))
    model = values["models"][MODEL]
    event = json.loads(json.dumps(next(one for one in model["history"] if one["artifact_id"] == OLD)))
    moment = (house.now - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    event |= {"timestamp_utc": moment, "ts_utc": moment, "by": STRANGER, "actor": STRANGER}
    event["pointer"] = forged(event["pointer"])
    model["history"].append(event)
    model["staging"] = event["pointer"]
    return house.base({REGISTRY_PATH: json.dumps(values, indent=2) + "\n"}), event["pointer"]


def test_a_rollback_with_the_pointer_of_a_staging(house: Gatehouse, server: Folder) -> None:
    base, pointer = with_foreign_staging(house)
    plan = house.rollback(base)

    def swap(model: dict[str, Any]) -> None:
        newest = model["history"][-1]
        for key in ("model_sha256", "notes", "feature_order_hash"):
            model["active"][key] = newest["pointer"][key] = pointer[key]

    head = house.bent(plan, registry=swap)
    assert "transition: " in refusal(house, server, head, base)
    taken(house, server, house.made(plan), base)
    active = parse(house.raw(house.made(plan))).registry.models[MODEL].active
    assert active
    assert active.model_sha256 == pointer_to(OLD).model_sha256


@pytest.mark.parametrize(
    ("otherwise", "says"),
    [
        ({"model_sha256": "0" * 64}, "with another digest"),
        ({"artifact_dir": f"elsewhere/{OLD}"}, "in another folder"),
    ],
)
def test_an_id_that_history_knows_otherwise_is_not_staged(
    house: Gatehouse, server: Folder, otherwise: dict[str, str], says: str
) -> None:
    plan = house.stage(by=STRANGER)

    def rename(model: dict[str, Any]) -> None:
        newest = model["history"][-1]
        newest["artifact_id"] = OLD
        newest["pointer"] |= {**pointer_to(OLD).model_dump(mode="json", exclude_none=True), **otherwise}
        model["staging"] = newest["pointer"]

    assert says in refusal(house, server, house.bent(plan, registry=rename))


def test_a_rollback_by_a_stranger_onto_what_a_rollback_left(house: Gatehouse, server: Folder) -> None:
    base = house.made(house.rollback())

    def forward(model: dict[str, Any]) -> None:
        newest, left = model["history"][-1], model["history"][-2]
        assert left["left_artifact_id"] == LIVE
        pointer = {**newest["pointer"], **pointer_to(LIVE).model_dump(mode="json", exclude_none=True)}
        pointer["created_at_utc"] = newest["pointer"]["created_at_utc"]
        newest |= {"artifact_id": LIVE, "pointer": pointer, "left_artifact_id": OLD}
        model["active"] = pointer

    values = json.loads(house.raw(base))
    model = values["models"][MODEL]
    model["history"].append({**model["history"][-1], "by": STRANGER, "actor": STRANGER})
    forward(model)
    head = house.commit(base, [(REGISTRY_PATH, (json.dumps(values, indent=2) + "\n").encode())], "x", by=STRANGER)
    assert "A rollback left" in refusal(house, server, head, base)


def test_bytes_that_only_the_archive_names_stay_what_they_are(house: Gatehouse, server: Folder) -> None:
    """Fifty stagings later the activation stands in the archive; its folder is guarded all the same."""
    doc, archive = much_later(life(house.now), house.now - timedelta(hours=2))
    assert OLD.encode() not in doc.raw
    base = house.base({REGISTRY_PATH: doc.raw, archive_path(MODEL): archive})
    head = house.commit(base, [(f"artifacts/onnx/{OLD}/model.onnx", b"other")], "Tidy up", by=STRANGER)
    assert "belongs to an artifact that the registry names" in refusal(house, server, head, base)


def test_bytes_of_an_artifact_that_history_knows_by_name_alone(house: Gatehouse, server: Folder) -> None:
    values = json.loads(house.raw(house.main))
    for event in values["models"][MODEL]["history"]:
        event.pop("pointer")
    base = house.base({REGISTRY_PATH: json.dumps(values, indent=2) + "\n"})
    head = house.commit(base, [(f"artifacts/onnx/{OLD}/model.onnx", b"other")], "Tidy up", by=STRANGER)
    assert "belongs to an artifact that the registry names" in refusal(house, server, head, base)


def test_the_same_bytes_staged_from_elsewhere_hold_up_no_rollback(house: Gatehouse, server: Folder) -> None:
    values = json.loads(house.raw(house.main))
    model = values["models"][MODEL]
    event = json.loads(json.dumps(next(one for one in model["history"] if one["artifact_id"] == OLD)))
    moment = (house.now - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    event |= {"timestamp_utc": moment, "ts_utc": moment}
    event["pointer"] |= {"artifact_dir": f"elsewhere/{OLD}", "notes": "fuller", "feature_order_hash": "f" * 64}
    model["history"].append(event)
    model["staging"] = event["pointer"]
    base = house.base({REGISTRY_PATH: json.dumps(values, indent=2) + "\n", f"elsewhere/{OLD}/model.onnx": "broken"})
    head = house.made(house.rollback(base))
    taken(house, server, head, base)
    active = parse(house.raw(head)).registry.models[MODEL].active
    assert active
    assert active.artifact_dir == f"artifacts/onnx/{OLD}"


def test_a_branch_that_would_stand_in_the_way_of_rollbacks(house: Gatehouse, server: Folder) -> None:
    code = house.commit(house.main, [("engine.py", b"x = 1\n")], "Code", by=STRANGER)
    for ref in ("refs/heads/rollback", f"refs/heads/rollback/{MODEL}", f"refs/heads/rollback/{MODEL}/a/b"):
        assert "is refused" in house.clones.operator.git("push", server.path, f"{code}:{ref}", fails=True)
    head = house.made(house.rollback())
    house.clones.operator.git("push", server.path, f"{head}:refs/heads/rollback/{MODEL}/{OLD}-to-active-x")


# --- ten more that were tried before this was called done ---------------------------------------------------------


def raw_commit(house: Gatehouse, tree_of: str, headers: str, message: str = "x\n") -> str:
    """A commit object in the attacker's own words."""
    git = house.clones.operator.git
    text = f"tree {git('rev-parse', f'{tree_of}^{{tree}}')}\n{headers}\n\n{message}"
    return git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=text)


def tampered(house: Gatehouse) -> str:
    """The base with other bytes in the active artifact."""
    return house.commit(house.main, [(f"artifacts/onnx/{LIVE}/model.onnx", b"other")], "x", by=STRANGER)


def test_the_same_parent_twice_hides_nothing(house: Gatehouse, server: Folder) -> None:
    person = f"x <{STRANGER}> {int(house.now.timestamp())} +0000"
    headers = f"parent {house.main}\nparent {house.main}\nauthor {person}\ncommitter {person}"
    assert "is refused: " in refusal(house, server, raw_commit(house, tampered(house), headers))


@pytest.mark.parametrize("encoding", ["UTF-7", "UTF-16", "nonsense"])
def test_a_message_in_another_encoding_forges_no_other_commit(house: Gatehouse, server: Folder, encoding: str) -> None:
    """``+AAA-`` is NUL in UTF-7; what follows it would read as the fields of another commit."""
    person = f"x+AAA-y+AAA- <{STRANGER}> {int(house.now.timestamp())} +0000"
    headers = f"parent {house.main}\nauthor {person}\ncommitter {person}\nencoding {encoding}"
    clean = house.repository.history.commit(house.main)
    fields = ["", "e" * 40, house.main, clean.tree, "x", STRANGER, "x", STRANGER, "1", "x"]
    head = raw_commit(house, tampered(house), headers, "x" + "+AAA-".join(fields))
    assert "mlconsole: refs/heads/main is refused: " in refusal(house, server, head)


@pytest.mark.parametrize("moment", ["99999999999999999999", "253402300800", "-99999999999"])
def test_a_date_beyond_all_calendars_gets_a_sentence(house: Gatehouse, server: Folder, moment: str) -> None:
    # Some servers do not let git look at objects first; the gate itself has a sentence then.
    server.git("config", "receive.fsckObjects", "false")
    person = f"x <{STRANGER}> {moment} +0000"
    headers = f"parent {house.main}\nauthor {person}\ncommitter {person}"
    head = raw_commit(house, house.made(house.withdraw()), headers)
    assert "mlconsole: refs/heads/main is refused: " in refusal(house, server, head)


def test_a_tag_object_is_no_base(house: Gatehouse, server: Folder) -> None:
    operator = house.clones.operator
    operator.git("tag", "-f", "-a", "-m", "x", "attack", tampered(house))
    refusal(house, server, operator.git("rev-parse", "refs/tags/attack"))


def test_archive_and_evidence_do_not_change_by_themselves(house: Gatehouse, server: Folder) -> None:
    for path in (archive_path(MODEL), archive_path("other"), f"ml/registry/evidence/{OLD}/x-promote/evidence.json"):
        head = house.commit(house.main, [(path, b"{}\n")], "x", by=STRANGER)
        assert "is refused: " in refusal(house, server, head)


def test_the_slice_of_another_model_does_not_change_along(house: Gatehouse, server: Folder) -> None:
    base = with_two_models(house)
    plan = house.withdraw(base)
    content = dict(plan.files)
    content[REGISTRY_PATH] = content[REGISTRY_PATH].replace(b'"spacing": {', b'"spacing":  {')
    head = house.commit(base, sorted(content.items()), plan.message)
    assert "in other bytes" in refusal(house, server, head, base)


def test_an_emptied_tree_is_no_change(house: Gatehouse, server: Folder) -> None:
    operator = house.clones.operator
    operator.git("read-tree", "--empty")
    person = f"x <{STRANGER}> {int(house.now.timestamp())} +0000"
    text = f"tree {operator.git('write-tree')}\nparent {house.main}\nauthor {person}\ncommitter {person}\n\nx\n"
    head = operator.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=text)
    assert "is refused: " in refusal(house, server, head)


def test_a_change_and_its_undoing_are_two_changes(house: Gatehouse, server: Folder) -> None:
    there = house.made(house.rollback())
    back = commit_object(house, house.main, (there,), by=STRANGER)
    assert "2 changes of the registry at once" in refusal(house, server, back)


def test_a_withdrawal_with_false_pins_holds_up_no_rollback(house: Gatehouse, server: Folder) -> None:
    """Its evidence is not compared with any bytes, so that it must not say what the bytes should be."""
    from ml.promotion.evidence import pinned  # noqa: PLC0415
    from ml.promotion.evidence_formats import opened, sealed  # noqa: PLC0415
    from ml.promotion.paths import Places  # noqa: PLC0415

    plan = house.withdraw()
    path = next((path for path, _ in plan.files if path.endswith("evidence.json")), "")
    values = opened(dict(plan.files)[path])
    values.pop("seal")
    values["files"] = [{"path": "model.onnx", "sha256": "0" * 64, "size": 1}]
    document = sealed(values)
    digest = hashlib.sha256(document).hexdigest()
    head = house.bent(
        plan,
        registry=lambda model: model["history"][-1]["evidence"].update(sha256=digest),
        files={path: document},
        message=lambda text: text.replace(plan.evidence_sha256, digest),
    )
    taken(house, server, head)
    events = parse(house.raw(head)).registry.models[MODEL].history
    assert pinned(house.repository.objects, head, Places(), events, SOAKED) == {}
