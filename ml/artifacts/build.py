"""Builder of an artifact from a model that was trained elsewhere (``mlconsole build``)."""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ml.artifacts.digests import FileDigest, FileIdentity, digest_files, opened
from ml.artifacts.graph import GraphFacts
from ml.artifacts.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    TRAIN_REPORT_FILE,
    encode,
    golden_document,
    manifest_document,
    named_golden_document,
    new_directory,
    sha256,
    write_documents,
)
from ml.artifacts.protocol import Answered, Request, Signature, Subject, Task
from ml.artifacts.verification import Verification
from ml.artifacts.verify import Verifier
from ml.clock import format_utc
from ml.contract import REGIME, Contract, Source, in_force
from ml.errors import ConsoleError, Invalid, Usage
from ml.ports import Report, Runner
from ml.text import visible
from ml.verdict import Verdict

_OURS = (MODEL_FILE, MANIFEST_FILE, TRAIN_REPORT_FILE, GOLDEN_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a model, as its manifest and report state it."""

    dataset_id: str
    notes: str = ""
    git_sha: str | None = None


def build_artifact(
    verifier: Verifier,
    model_file: Path,
    out_dir: Path,
    origin: Origin,
    *,
    now: datetime,
    report: Report | None = None,
    contract: Contract | None = None,
) -> Verification:
    """Make an artifact from an ONNX file and the external data beside it; nothing appears unless it verifies.

    The model's own answers to 16 questions become its golden vectors. ``contract`` is the one of the model that it is
    for; without it, the artifact's id says the family.

    Raises:
        Usage: the model cannot be read, or the directory is taken.
        Invalid: the model does not verify; the sentence says why.
        Unavailable: there is no room, or no onnxruntime.
    """
    held = in_force(contract, out_dir.name, None)
    governed = held.contract
    with new_directory(out_dir) as workshop:
        model = _take(model_file.parent, model_file.name, workshop, report)
        (workshop / model_file.name).rename(workshop / MODEL_FILE)
        facts = verifier.sandbox.ask(Request(Task.DESCRIBE, (_subject(workshop, (), governed),)), GraphFacts)
        external = [_take_external(model_file.parent, name, workshop, report) for name in facts.external]
        subject = _subject(workshop, facts.external, governed)
        golden = _answers(verifier, subject, held.source)
        files = {
            GOLDEN_FILE: _golden(golden),
            TRAIN_REPORT_FILE: _report(model_file.name, model.sha256, origin, now),
        }
        digests = {name: sha256(content) for name, content in files.items()}
        digests |= {MODEL_FILE: model.sha256} | {file.name: file.sha256 for file in external}
        manifest = manifest_document(
            digests,
            created_at=now,
            git_sha=origin.git_sha,
            dataset_id=origin.dataset_id,
            notes=origin.notes,
            contract=governed,
        )
        write_documents(workshop, files, manifest)
        found = replace(verifier.verify(workshop, report=report, contract=governed), artifact_id=visible(out_dir.name))
        if not found.valid:
            amiss = found.amiss
            why = f"{amiss.name} is {amiss.verdict}: {amiss.why}" if amiss else "nothing was judged"
            raise Invalid(f"{visible(model_file.name)} makes no valid artifact: {why}")
    return found


def _answers(verifier: Verifier, subject: Subject, source: Source) -> Answered:
    """The model's own answers. A refusal says how to state a contract where nothing states one."""
    try:
        return verifier.sandbox.ask(Request(Task.ANSWER, (subject,)), Answered)
    except Invalid as error:
        if source is not Source.DEFAULT:
            raise
        remedy = "If it is another kind of model, `mlconsole contract infer` proposes its contract for the policy."
        raise Invalid(error.cause, remedy) from error


def infer_contract(verifier: Verifier, model_file: Path) -> Signature:
    """Read the inputs and outputs of an ONNX file in the sandbox, and ask it which outputs look like probabilities.

    Raises:
        Usage: the model cannot be read.
        Invalid: it is no model, or cannot be loaded.
        Unavailable: there is no room, or no onnxruntime.
    """
    with tempfile.TemporaryDirectory(prefix="mlconsole-infer-") as folder:
        workshop = Path(folder)
        _take(model_file.parent, model_file.name, workshop, None)
        (workshop / model_file.name).rename(workshop / MODEL_FILE)
        facts = verifier.sandbox.ask(Request(Task.DESCRIBE, (_subject(workshop, (), REGIME),)), GraphFacts)
        for name in facts.external:
            _take_external(model_file.parent, name, workshop, None)
        return verifier.sandbox.ask(Request(Task.INFER, (_subject(workshop, facts.external, REGIME),)), Signature)


def _subject(workshop: Path, external: tuple[str, ...], contract: Contract) -> Subject:
    return Subject(str(workshop), MODEL_FILE, (MODEL_FILE, *external), contract)


def _golden(answered: Answered) -> bytes:
    """The simple form for one input and one output, which every released version reads."""
    if len(answered.inputs) == len(answered.outputs) == 1:
        (inputs,), (outputs,) = answered.inputs.values(), answered.outputs.values()
        return golden_document(inputs, outputs)
    return named_golden_document(answered.inputs, answered.outputs)


def _take_external(source: Path, name: str, workshop: Path, report: Report | None) -> FileDigest:
    if name in _OURS or Path(name).name != name:
        raise Invalid(f"The model keeps data in {visible(name)!r}; in an artifact it must be a plain name of its own.")
    return _take(source, name, workshop, report)


def _take(source: Path, name: str, workshop: Path, report: Report | None) -> FileDigest:
    """Copy one regular file into the workshop."""
    try:
        with opened(source.resolve()) as directory:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                raise Usage(f"{visible(name)} is not a regular file.")
            (digest,) = digest_files(
                directory, [FileIdentity.of(name, found)], step="copy", report=report, copy_to=workshop
            )
    except FileNotFoundError as error:
        raise Usage(f"{visible(str(source / name))} does not exist.") from error
    (workshop / name).chmod(0o644)
    return digest


def _report(model_file: str, digest: str, origin: Origin, now: datetime) -> bytes:
    return encode(
        {
            "schema_version": "v1",
            "model_sha256": digest,
            "created_at_utc": format_utc(now),
            "git_sha": origin.git_sha,
            "dataset_id": origin.dataset_id,
            "notes": origin.notes,
            "algorithm": None,
            "built_from": model_file,
        }
    )


# The command line of the verification (runbook, step 2 and "Verify Artifact").


def main(argv: Sequence[str], run: Runner) -> int:
    """Verify one directory; returns the exit code: 0 valid, 1 invalid, 2 usage, 3 onnxruntime is not there."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verify_onnx_artifact", description="Verify an ONNX artifact directory."
    )
    parser.add_argument("artifact_dir", type=Path, help="directory with model.onnx, manifest.json, train_report.json")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every check, not only what is wrong")
    asked = parser.parse_args(argv)
    if not asked.artifact_dir.is_dir():
        parser.error(f"{visible(str(asked.artifact_dir))} is not a directory")
    try:
        found = Verifier(run).verify(asked.artifact_dir.absolute())
    except ConsoleError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    for check in found.checks:
        if asked.verbose or check.verdict not in (Verdict.PASS, Verdict.NO_DATA):
            sys.stdout.write(f"[{check.verdict:^7}] {check.name:<12} {check.why}\n")
    sys.stdout.write(f"{found.artifact_id}: {found.verdict}\n")
    if asked.verbose and found.model_sha256:
        sys.stdout.write(f"model_sha256 {found.model_sha256}\n")
    return 0 if found.verdict is Verdict.PASS else 1
