"""What decides what trades is governed, wherever it lies and however it is spelled (contract §14).

A stranger with push access tries each through the real hook. Operators may change the rules, as the old rules ask.
"""

from __future__ import annotations

import pytest
from support.artifacts import ROOT
from support.clones import OPERATOR, Folder
from support.gatehouse import LIVE, MODEL, POLICY, STRANGER, Gatehouse
from support.landings import with_entry
from test_gate_landing import refusal, taken

from ml.promotion.paths import Places
from ml.promotion.repository import REGULAR_FILE
from ml.registry.codec import parse
from ml.registry.doctor import Finding
from ml.registry.schema import REGISTRY_PATH
from ml.session.standings import altered_files

WORKFLOW = ".github/workflows/registry-gate.yml"
CONFIG = b'[environment]\nname = "prod"\n'
ONLY_OPERATORS = "only operators change the rules"


def altered(house: Gatehouse, base: str) -> list[Finding]:
    """The findings about files of a base that a checkout alters."""
    objects, clone = house.repository.objects, house.repository.clone
    return list(altered_files(objects, clone, base, parse(house.raw(base)), Places(), "."))


def by(house: Gatehouse, who: str, files: dict[str, bytes], base: str = "") -> str:
    return house.commit(base or house.main, sorted(files.items()), "Tidy up", by=who)


RULES = {
    "console.toml": CONFIG,
    ".lfsconfig": b"[lfs]\nurl = http://elsewhere/\n",
    ".gitattributes": b"* text eol=crlf\n",
    "artifacts/.gitattributes": b"*.onnx ident\n",
    "artifacts/onnx/.gitattributes": b"*.onnx text eol=crlf\n",
    "ml/.gitattributes": b"models.json eol=crlf\n",
    "ml/registry/.gitattributes": b"models.json eol=crlf\n",
    "ml/registry/allowed_signers": b"stranger@example.com ssh-ed25519 AAAA\n",
    WORKFLOW: b"run: mlconsole gate --base A --head B || true\n",
}


@pytest.mark.parametrize("path", RULES)
def test_a_stranger_changes_no_rule_and_an_operator_does(house: Gatehouse, server: Folder, path: str) -> None:
    assert ONLY_OPERATORS in refusal(house, server, by(house, STRANGER, {path: RULES[path]}))
    taken(house, server, by(house, OPERATOR, {path: RULES[path]}))


@pytest.mark.parametrize("path", ["console.toml", WORKFLOW, ".gitattributes"])
def test_a_rule_that_is_there_is_not_taken_away_either(house: Gatehouse, server: Folder, path: str) -> None:
    base = house.base({path: RULES[path]})
    head = with_entry(house, base, "100644", house.repository.objects.blob_id(base, "README.md"), path, by=STRANGER)
    assert ONLY_OPERATORS in refusal(house, server, head, base)


def test_a_rule_and_code_are_two_commits(house: Gatehouse, server: Folder) -> None:
    head = by(house, OPERATOR, {"console.toml": CONFIG, "engine.py": b"x = 1\n"})
    assert "engine.py changes together with the rules" in refusal(house, server, head)


def test_settings_that_cannot_be_read_are_no_rule(house: Gatehouse, server: Folder) -> None:
    assert "console.toml cannot be read" in refusal(house, server, by(house, OPERATOR, {"console.toml": b"[[["}))


def test_settings_do_not_lead_to_another_registry(house: Gatehouse, server: Folder) -> None:
    base = house.base({"mine/models.json": house.raw(house.main)})
    head = by(house, OPERATOR, {"console.toml": b'[registry]\npath = "mine/models.json"\n'}, base)
    assert "registry.path would lead away from ml/registry/models.json" in refusal(house, server, head, base)


ELSEWHERE = "conf/trading/models.json"


@pytest.mark.parametrize("path", [ELSEWHERE, "models.json"])
def test_the_registry_is_where_the_base_says(house: Gatehouse, server: Folder, path: str) -> None:
    """With ``registry.path`` set, the first edition's hook looked at the default path, and anything landed."""
    places = Places(path)
    settings = f'[registry]\npath = "{path}"\n'
    base = house.base({"console.toml": settings, path: house.raw(house.main), places.policy: POLICY})
    forged = house.raw(house.main).replace(b"as planned", b"as it pleases")
    said = refusal(house, server, by(house, STRANGER, {path: forged}, base), base)
    assert "history: " in said
    relaxed = by(house, STRANGER, {places.policy: b'[roles]\noperators = ["stranger@example.com"]\n'}, base)
    assert ONLY_OPERATORS in refusal(house, server, relaxed, base)


def test_workflows_that_have_nothing_to_do_with_the_gate_are_anybodys(house: Gatehouse, server: Folder) -> None:
    base = house.base({WORKFLOW: (ROOT / WORKFLOW).read_text()})
    docs = b"name: docs\njobs:\n  docs:\n    runs-on: ubuntu-latest\n"
    taken(house, server, by(house, STRANGER, {".github/workflows/docs.yml": docs}, base), base)


def test_no_other_workflow_answers_in_the_name_of_the_gate(house: Gatehouse, server: Folder) -> None:
    base = house.base({WORKFLOW: (ROOT / WORKFLOW).read_text()})
    spoof = b"name: x\non: pull_request\njobs:\n  gate:\n    runs-on: ubuntu-latest\n    steps: []\n"
    head = by(house, STRANGER, {".github/workflows/x.yml": spoof}, base)
    assert ONLY_OPERATORS in refusal(house, server, head, base)


def test_what_the_gates_workflow_runs_of_the_repository_is_governed_too(house: Gatehouse, server: Folder) -> None:
    workflow = (
        "jobs:\n  gate:\n    steps:\n      - uses: ./.github/actions/prepare\n      - run: mlconsole gate --base A\n"
    )
    base = house.base({WORKFLOW: workflow, ".github/actions/prepare/action.yml": "runs: {}\n"})
    head = by(house, STRANGER, {".github/actions/prepare/action.yml": b"runs: {using: composite}\n"}, base)
    assert ONLY_OPERATORS in refusal(house, server, head, base)


@pytest.mark.parametrize(
    "path",
    [
        "ml/registry/Policy.toml",
        "ML/registry/models.json",
        "Console.toml",
        "ml/registry/policy.toml.",
        "ml/regi\u200bstry/models.json",
        "ml/registry/models.json/x",
        "ml/registry/policy.toml/x",
        "ml/Registry/evidence/x/y/evidence.json",
        ".GitAttributes",
    ],
)
def test_no_other_spelling_takes_the_place_of_a_governed_file(house: Gatehouse, server: Folder, path: str) -> None:
    said = refusal(house, server, by(house, STRANGER, {path: b"x"}))
    assert "is refused: " in said


@pytest.mark.parametrize("path", ["ml/registry", "ml", "artifacts", "artifacts/onnx", f"artifacts/onnx/{LIVE}"])
@pytest.mark.parametrize("mode", ["120000", "160000", REGULAR_FILE])
def test_no_link_submodule_or_file_takes_the_place_of_a_folder(
    house: Gatehouse, server: Folder, path: str, mode: str
) -> None:
    blob = house.main if mode == "160000" else house.repository.objects.blob_id(house.main, "README.md")
    assert "is refused: " in refusal(house, server, with_entry(house, house.main, mode, blob, path, by=STRANGER))


def test_an_executable_registry_is_no_change(house: Gatehouse, server: Folder) -> None:
    blob = house.repository.objects.blob_id(house.main, REGISTRY_PATH)
    head = with_entry(house, house.main, "100755", blob, REGISTRY_PATH, by=STRANGER)
    assert "is refused: " in refusal(house, server, head)


@pytest.mark.parametrize("path", ["docs/.gitattributes", "engine/models.json", "docs/console.toml", "Makefile"])
def test_what_decides_nothing_is_anybodys(house: Gatehouse, server: Folder, path: str) -> None:
    taken(house, server, by(house, STRANGER, {path: b"x\n"}))


def test_rules_beside_a_staging_do_not_ride_along(house: Gatehouse, server: Folder) -> None:
    head = house.bent(house.stage(), files={"artifacts/onnx/.gitattributes": b"*.onnx ident\n"})
    assert "a change cannot bring its own rules" in refusal(house, server, head)


def test_a_repository_without_a_registry_is_left_alone(house: Gatehouse, server: Folder) -> None:
    operator = house.clones.operator
    operator.git("read-tree", "--empty")
    tree = operator.git("write-tree")
    person = f"Operator <{OPERATOR}> {int(house.now.timestamp())} +0000"
    said = f"tree {tree}\nauthor {person}\ncommitter {person}\n\nNothing yet\n"
    empty = operator.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=said)
    both = {"console.toml": CONFIG, ".gitattributes": b"* text=auto\n", "engine.py": b"x = 1\n"}
    taken(house, server, by(house, STRANGER, both, empty), empty)


# --- check tells of what is there already -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("*.onnx text eol=crlf\n", "other line ends"),
        ("*.onnx filter=evil\n", "the filter evil"),
        ("*.onnx ident\n", "object ids"),
        ("*.onnx working-tree-encoding=UTF-16\n", "another encoding"),
        ("*.onnx text\n", "takes it for text"),
    ],
)
@pytest.mark.parametrize(
    "where", [".gitattributes", "artifacts/.gitattributes", f"artifacts/onnx/{LIVE}/.gitattributes"]
)
def test_attributes_that_alter_checked_out_bytes_are_found(house: Gatehouse, where: str, line: str, says: str) -> None:
    base = house.base({where: line})
    found = altered(house, base)
    assert found
    assert all(finding.severe and finding.model == MODEL for finding in found)
    assert says in found[0].what
    assert "model.onnx" in found[0].what


@pytest.mark.parametrize(
    "line", ["*.onnx -text\n", "*.onnx filter=lfs -text\n", "*.py text eol=crlf\n", "* text=auto\n"]
)
def test_attributes_that_alter_nothing_are_passed_over(house: Gatehouse, line: str) -> None:
    base = house.base({".gitattributes": f"{line}\n"})
    assert altered(house, base) == []


def test_the_registry_itself_is_looked_at(house: Gatehouse) -> None:
    base = house.base({"ml/registry/.gitattributes": "models.json eol=crlf\n"})
    (found,) = altered(house, base)
    assert (found.path, found.model) == (REGISTRY_PATH, MODEL)
