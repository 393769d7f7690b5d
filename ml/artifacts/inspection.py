"""The checks that need no sandbox: layout, manifest, digests and train report, from one pass over the bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from ml.artifacts.digests import MAX_BYTES, FileDigest, Survey, digest_files, read_small
from ml.artifacts.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MAX_DOCUMENT_BYTES,
    TRAIN_REPORT_FILE,
    UNLISTED,
    Manifest,
    TrainReport,
    parse_golden,
    parse_manifest,
    parse_train_report,
)
from ml.artifacts.protocol import Golden
from ml.contract import REGIME, Contract, InForce, Source, in_force
from ml.errors import Invalid
from ml.ports import Report
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding

_SHOWN = 5
UNGOVERNED = InForce(REGIME, Source.DEFAULT)
"""The contract of an artifact with an unreadable manifest."""
_DOCUMENTS = (MANIFEST_FILE, TRAIN_REPORT_FILE, GOLDEN_FILE)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The results of checking names, documents and digests. Absent or malformed documents are ``None``."""

    checks: tuple[Check, ...]
    files: tuple[FileDigest, ...] = ()
    manifest: Manifest | None = None
    report: TrainReport | None = None
    golden: Golden | None = None
    governed: InForce = UNGOVERNED

    @property
    def model_sha256(self) -> str:
        """The digest of the model file as it is on disk; empty when there is none."""
        name = self.manifest.model_file if self.manifest else ""
        return next((file.sha256 for file in self.files if file.name == name), "")

    @property
    def listed(self) -> tuple[FileDigest, ...]:
        """The files that the manifest lists: what a snapshot needs."""
        return tuple(file for file in self.files if self.manifest and file.name in self.manifest.sha256)

    @property
    def sound(self) -> bool:
        """True if the sandbox may run the model: it matches its manifest, and no check failed.

        A train report about another model, or unusable golden vectors, make the artifact invalid, but the sandbox may
        still run it, and say which line of its contract the model breaks.
        """
        failed = {check.name for check in self.checks if check.verdict is Verdict.FAIL}
        return self.manifest is not None and not failed - {"train_report", "golden"}


def inspect(
    directory: int,
    surveyed: Survey,
    progress: Report | None = None,
    *,
    artifact_id: str = "",
    asked: Contract | None = None,
) -> Inspection:
    """Inspect a surveyed directory (by descriptor). Never raises for its content.

    Args:
        directory: a descriptor of the directory.
        surveyed: its files.
        progress: takes the bytes hashed.
        artifact_id: the artifact's id; its family counts where no contract is asked.
        asked: the contract of the model that the artifact is for.
    """
    try:
        documents = _documents(directory, surveyed)
        files = _digests(directory, surveyed, documents, progress)
    except Invalid as error:
        broken = Check("digests", Verdict.FAIL, str(error), Code.UNREADABLE)
        return Inspection((_layout(surveyed, None), broken))
    try:
        manifest = _manifest(documents)
        governed = in_force(asked, artifact_id, manifest.contract)
        _require_features(manifest, governed.contract)
    except _OtherFeatures as error:
        broken = finding(Verdict.FAIL, Code.CONTRACT_BROKEN, str(error), line="features").check("manifest")
        return Inspection((_layout(surveyed, None), broken), files)
    except Invalid as error:
        broken = Check("manifest", Verdict.FAIL, str(error), Code.UNREADABLE)
        return Inspection((_layout(surveyed, None), broken), files)
    report_check, train_report = _train_report(manifest, documents)
    checks = (
        _layout(surveyed, manifest),
        _listing(manifest),
        _contract_check(governed),
        _digest_check(manifest, files),
        report_check,
    )
    try:
        golden = parse_golden(documents[GOLDEN_FILE], governed.contract) if GOLDEN_FILE in documents else None
    except Invalid as error:
        broken = Check("golden", Verdict.FAIL, str(error), Code.UNREADABLE)
        return Inspection((*checks, broken), files, manifest, train_report, None, governed)
    return Inspection(checks, files, manifest, train_report, golden, governed)


def _documents(directory: int, surveyed: Survey) -> dict[str, bytes]:
    """The small documents, read once: what is parsed is what is hashed."""
    present = [file for name in _DOCUMENTS if (file := surveyed.file(name))]
    return {file.name: read_small(directory, file, MAX_DOCUMENT_BYTES) for file in present}


def _digests(
    directory: int, surveyed: Survey, documents: dict[str, bytes], progress: Report | None
) -> tuple[FileDigest, ...]:
    if sum(file.size for file in surveyed.files) > MAX_BYTES:
        return ()
    rest = [file for file in surveyed.files if file.name not in documents]
    digests = [FileDigest(name, hashlib.sha256(raw).hexdigest(), len(raw)) for name, raw in documents.items()]
    return tuple(sorted([*digests, *digest_files(directory, rest, report=progress)]))


def _manifest(documents: dict[str, bytes]) -> Manifest:
    if MANIFEST_FILE not in documents:
        raise Invalid(f"{MANIFEST_FILE} is missing, or no regular file.")
    manifest = parse_manifest(documents[MANIFEST_FILE])
    if not manifest.model_sha256:
        raise Invalid(f"{MANIFEST_FILE}: sha256 does not list the model file {manifest.model_file}.")
    return manifest


class _OtherFeatures(Invalid):
    """A manifest that states another feature order than its model's contract."""


def _require_features(manifest: Manifest, contract: Contract) -> None:
    stated, wanted = manifest.stated_features, contract.features
    if stated is not None and wanted and stated != wanted:
        raise _OtherFeatures(f"{MANIFEST_FILE}: feature_order is not the {len(wanted)} features that the engine feeds.")


_SOURCES = {
    Source.MODEL: "as its model's contract says",
    Source.FAMILY: "as the runbook says for its family",
    Source.MANIFEST: "as its own manifest says",
    Source.DEFAULT: "as the runbook says, because neither policy nor manifest states a contract",
}


def _contract_check(governed: InForce) -> Check:
    """The artifact states no other contract than its model's, and no line of that one is left open."""
    source = _SOURCES[governed.source]
    if governed.contradicted:
        line = governed.contradicted
        why = f"{line}: the manifest states another contract than its model's ({source})."
        return finding(Verdict.FAIL, Code.CONTRACT_DIFFERS, why, line=line, source=str(governed.source)).check(
            "contract"
        )
    if governed.open:
        lines = ", ".join(governed.open)
        why = f"The contract leaves open, so that no model could fail it: {visible(lines, limit=400)}."
        return finding(Verdict.VACUOUS, Code.CONTRACT_OPEN, why, lines=visible(lines, limit=2000)).check("contract")
    accepted = governed.contract.left_open
    if accepted:
        why = "; ".join(f"{line} is left open: {reason}" for line, reason in accepted)
        lines = ", ".join(line for line, _ in accepted)
        return finding(Verdict.WAIVED, Code.CONTRACT_OPEN, visible(why, limit=400), lines=visible(lines)).check(
            "contract"
        )
    kinds = ", ".join(f"{one.name} ({one.kind})" for one in governed.contract.required)
    why = f"{kinds}, {source}."
    return finding(Verdict.PASS, Code.SOUND, visible(why, limit=400), source=str(governed.source)).check("contract")


def _listing(manifest: Manifest) -> Check:
    listed = len(manifest.sha256)
    why = f"Schema {manifest.schema_version}, {listed} files listed."
    return finding(Verdict.PASS, Code.SOUND, why, schema=manifest.schema_version, files=listed).check("manifest")


def _layout(surveyed: Survey, manifest: Manifest | None) -> Check:
    faults = [*surveyed.faults, *(_unmatched(surveyed, manifest) if manifest else ())]
    if faults:
        why = f"{'; '.join(faults[:_SHOWN])}."
        return finding(Verdict.FAIL, Code.LAYOUT_WRONG, why, faults=len(faults)).check("layout")
    number = len(surveyed.files)
    why = f"{number} regular files, none missing or unlisted."
    return finding(Verdict.PASS, Code.SOUND, why, files=number).check("layout")


def _unmatched(surveyed: Survey, manifest: Manifest) -> Iterator[str]:
    present, listed = {file.name for file in surveyed.files}, manifest.sha256.keys()
    for name in sorted(listed - present):
        yield f"{visible(name)} is listed in the manifest and missing"
    for name in sorted(present - listed - UNLISTED):
        yield f"{visible(name)} is not listed in the manifest"


def _digest_check(manifest: Manifest, files: tuple[FileDigest, ...]) -> Check:
    found = {file.name: file for file in files}
    wrong = sorted(name for name, digest in manifest.sha256.items() if name in found and found[name].sha256 != digest)
    if wrong:
        names = ", ".join(visible(name) for name in wrong[:_SHOWN])
        why = f"{names}: the content is not what the manifest's digest says."
        return finding(Verdict.FAIL, Code.DIGEST_DIFFERS, why, files=names).check("digests")
    if not manifest.sha256.keys() <= found.keys():
        return Check("digests", Verdict.FAIL, "A listed file could not be hashed.", Code.UNREADABLE)
    total = sum(found[name].size for name in manifest.sha256)
    number = len(manifest.sha256)
    why = f"{number} files, {total:,} bytes match their SHA-256."
    return finding(Verdict.PASS, Code.SOUND, why, files=number, bytes=total).check("digests")


def _train_report(manifest: Manifest, documents: dict[str, bytes]) -> tuple[Check, TrainReport | None]:
    name = "train_report"
    if TRAIN_REPORT_FILE not in documents:
        return Check(name, Verdict.NO_DATA, f"{TRAIN_REPORT_FILE} is absent; staging needs it.", Code.ABSENT), None
    try:
        report = parse_train_report(documents[TRAIN_REPORT_FILE])
    except Invalid as error:
        return Check(name, Verdict.FAIL, str(error), Code.UNREADABLE), None
    if report.model_sha256 != manifest.model_sha256:
        why = f"{TRAIN_REPORT_FILE} names the model {report.model_sha256}, the manifest another."
        return Check(name, Verdict.FAIL, why, Code.DIGEST_DIFFERS), report
    return Check(name, Verdict.PASS, "It names the same model as the manifest.", Code.SOUND), report
