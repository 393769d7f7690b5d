"""Every ``bash`` and ``promql`` block of the runbook, block by block, as it is typed there, on the running demo."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.demo import SOURCE, Demo

pytestmark = pytest.mark.xdist_group("stack")

RUNBOOK = SOURCE / "docs" / "RUNBOOK_19_ML_MODEL_PROMOTION.md"
TRAINED = "artifacts/onnx/regime_v2026_02_16_001"
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>bash|jq|promql)\n(?P<body>.*?)^(?P=indent)```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block: the line of its first command in the runbook, its language, its text."""

    line: int
    language: str
    body: str

    @property
    def commands(self) -> list[str]:
        """Its commands or queries, without comments; a trailing backslash continues one."""
        joined = self.body.replace("\\\n", " ")
        return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def blocks(*languages: str) -> list[Block]:
    text = RUNBOOK.read_text("utf-8")
    found = (
        Block(text.count("\n", 0, match.start("body")) + 1, match["language"], textwrap.dedent(match["body"]))
        for match in _FENCE.finditer(text)
    )
    return [block for block in found if block.language in languages]


def named(block: Block) -> str:
    return f"line {block.line}"


def has_pointer_fields(answer: Any) -> bool:
    return {"artifact_id", "artifact_dir", "model_sha256", "git_sha", "dataset_id"} <= set(answer)


def is_event(answer: Any) -> bool:
    return {"timestamp_utc", "action", "from_stage", "to_stage", "artifact_id", "by", "reason"} <= set(answer)


JQ_ANSWERS: dict[str, Callable[[Any], bool]] = {
    ".models.regime_classifier": lambda answer: has_pointer_fields(answer["active"]) and len(answer["history"]) >= 8,
    ".models.regime_classifier.active.artifact_id": lambda answer: answer.startswith("regime_v2026_02_1"),
    ".models.regime_classifier.shadow.artifact_id": lambda answer: answer.startswith("regime_v2026_02_1"),
    ".models.regime_classifier.history[-3:]": lambda answer: len(answer) == 3 and all(map(is_event, answer)),
    ".models.regime_classifier.history[-2]": is_event,
}
"""What each jq line of the runbook must answer."""


def training() -> Block:
    """The block that makes the artifact which the others need."""
    (block,) = (block for block in blocks("bash") if "train_regime_model" in block.body)
    return block


@pytest.fixture(scope="module")
def trained(demo: Demo) -> Demo:
    """A demo in which the runbook's own training command has been run."""
    ended = demo.shell(training().body)
    assert ended.returncode == 0, ended.stderr
    return demo


def test_copy_is_verbatim() -> None:
    """The tests below prove something about the runbook only while the copy is the runbook."""
    digest = "9240241d63e96d14ab95cb6b70811ab64c5cb9f941027eeeda8bbef166e36973"
    assert sha256(RUNBOOK.read_bytes()).hexdigest() == digest


def test_no_block_is_overlooked() -> None:
    fences = re.findall(r"^ *```(?:bash|jq|promql)$", RUNBOOK.read_text("utf-8"), re.M)
    assert len(blocks("bash", "jq", "promql")) == len(fences) == 12


def test_training_makes_the_artifact_that_the_runbook_names(trained: Demo) -> None:
    made = trained.clone / TRAINED
    assert {path.name for path in made.iterdir()} >= {"model.onnx", "manifest.json", "train_report.json"}
    report = json.loads((made / "train_report.json").read_bytes())
    assert report["model_sha256"] == sha256((made / "model.onnx").read_bytes()).hexdigest()
    assert (report["dataset_id"], report["seed"]) == ("production_data_v4", 42)


@pytest.mark.parametrize("block", [block for block in blocks("bash") if block != training()], ids=named)
def test_bash_block(trained: Demo, block: Block) -> None:
    """The block as it stands, then each command by itself for its answer; the placeholder gets a value."""
    whole = trained.shell(block.body.replace("<artifact_dir>", TRAINED))
    assert whole.returncode == 0, whole.stderr
    for command in block.commands:
        ended = trained.shell(command.replace("<artifact_dir>", TRAINED))
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        check_output(command, ended.stdout)


def check_output(command: str, output: str) -> None:
    expression = re.search(r"jq '(.*)'$", command)
    if expression:
        assert JQ_ANSWERS[expression[1]](json.loads(output)), output
    elif "verify_onnx_artifact" in command:
        assert "PASS" in output
        assert "FAIL" not in output
    elif command.startswith("ls "):
        assert len(re.findall(r"regime_v2026_02_1\d_00\d/model\.onnx", output)) == 4
    else:
        assert command in ("export ML_KILL_SWITCH=1", "unset ML_KILL_SWITCH"), f"what should {command!r} answer?"
        assert output == ""


@pytest.mark.parametrize(
    ("block", "query"),
    [(block, query) for block in blocks("promql") for query in block.commands],
    ids=lambda value: named(value) if isinstance(value, Block) else value[:50],
)
def test_promql_query(demo: Demo, block: Block, query: str) -> None:
    answer = demo.query(query)
    assert answer, "an empty answer says nothing"
    assert all(math.isfinite(value) for _, value in answer)
    assert all(0 <= value < 1000 for _, value in answer)


def test_exporting_the_switch_reaches_no_running_engine(demo: Demo) -> None:
    """Why docs/runbook-mapping.md sends the operator to the kill key: the runbook's line changes its own shell only."""
    moved = 'increase(grinder_ml_inference_total{instance="regime_night-active"}[20s])'
    ended = demo.shell("export ML_KILL_SWITCH=1")
    assert ended.returncode == 0
    file = Path(demo.document["kill_file"])
    assert not file.exists() or "ML_KILL_SWITCH=1" not in file.read_text()
    demo.wait_for("inferences go on", lambda: any(value > 0 for _, value in demo.query(moved)))
