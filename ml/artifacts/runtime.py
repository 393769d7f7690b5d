"""Does this machine's onnxruntime still compute what it should? One golden artifact, shipped with us, asks it.

An upgrade of onnxruntime may change results without an error. The artifact votes with a linear, a neural
and a tree model, so that every operator family that we serve takes part; its expected probabilities come
from scikit-learn. Its digest is pinned here, so that neither can be replaced unnoticed.
"""

from __future__ import annotations

from pathlib import Path

from ml.artifacts.verification import Verification
from ml.artifacts.verify import Verifier
from ml.ports import Report
from ml.verdict import Check, Code, Verdict, finding

GOLDEN_ARTIFACT = Path(__file__).with_name("golden") / "golden_regime_v1"
GOLDEN_SHA256 = "d9cdce3372004be9c2400a93b6fe8afa8c837a7632aef6f7769050e8a76f8f5b"


def check_runtime(verifier: Verifier, report: Report | None = None) -> Check:
    """Verify the golden artifact: ``PASS`` only when its vectors agree on this machine.

    Raises:
        Unavailable: there is no onnxruntime.
    """
    return judge_runtime(_verified(verifier, report))


def check_cage(verifier: Verifier) -> Check:
    """What the cage shuts off from a model on this machine: ``PASS`` where it is network and files.

    Raises:
        Unavailable: there is no onnxruntime.
    """
    return _verified(verifier, None).check("cage")


def _verified(verifier: Verifier, report: Report | None) -> Verification:
    return verifier.verify(GOLDEN_ARTIFACT, report=report, expect_sha256=GOLDEN_SHA256)


def judge_runtime(found: Verification) -> Check:
    """The runtime's check out of a verification of the golden artifact."""
    wrong = next((check for check in found.checks if check.verdict is not Verdict.PASS and check.name != "cage"), None)
    if wrong is None:
        why = f"onnxruntime agrees with {found.artifact_id}: {found.check('golden').why}"
        return Check("runtime", Verdict.PASS, why, Code.SOUND)
    why = f"onnxruntime and {found.artifact_id} disagree: {wrong.name}: {wrong.why}"
    return finding(Verdict.FAIL, Code.RUNTIME_DISAGREES, why, check=wrong.name, found=str(wrong.code)).check("runtime")


def golden_gate(runtime: Check, verification: Verification) -> Check:
    """ "No regressions in golden artifact tests": the runtime's own, and the artifact's where it ships vectors."""
    own = verification.check("golden")
    if not runtime.verdict.opens:
        return runtime.found.check("golden")
    if own.verdict is Verdict.NO_DATA and verification.valid:
        why = f"{runtime.why} The artifact ships no vectors of its own."
        return Check("golden", Verdict.PASS, why, Code.NO_VECTORS)
    return own
