"""A check of this machine's onnxruntime with a golden artifact that we ship: its outputs must be as expected.

An upgrade of onnxruntime may change results without an error. The artifact votes with a linear, a neural
and a tree model, so that every operator family that we serve takes part; its expected probabilities come
from scikit-learn. Its digest is pinned here, so that neither can be replaced unnoticed.
"""

from __future__ import annotations

from pathlib import Path

from ml.artifacts.compare import Comparison
from ml.artifacts.verification import Verification
from ml.artifacts.verify import Verifier
from ml.contract import REGIME
from ml.ports import Report
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding

GOLDEN_ARTIFACT = Path(__file__).with_name("golden") / "golden_regime_v1"
GOLDEN_SHA256 = "d9cdce3372004be9c2400a93b6fe8afa8c837a7632aef6f7769050e8a76f8f5b"


def check_runtime(verifier: Verifier, report: Report | None = None) -> Check:
    """Verify the golden artifact: ``PASS`` only when its vectors agree on this machine.

    Raises:
        Unavailable: there is no onnxruntime.
    """
    return judge_runtime(_verified(verifier, report))


def check_sandbox(verifier: Verifier) -> Check:
    """Check the sandbox on this machine: ``PASS`` where it closes off network and files.

    Raises:
        Unavailable: there is no onnxruntime.
    """
    return _verified(verifier, None).check("cage")


def _verified(verifier: Verifier, report: Report | None) -> Verification:
    return verifier.verify(GOLDEN_ARTIFACT, report=report, expect_sha256=GOLDEN_SHA256, contract=REGIME)


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


# The runbook's troubleshooting questions about artifacts. Pure: the caller supplies the findings.
#
# A check that passes says "this is not it"; one that fails names a likely cause.

_MUCH_MORE = 2.0


def not_loading(artifact_dir: str, exists: bool, verification: Verification | None) -> tuple[Check, ...]:
    """ "Model not loading after promotion", points 2 and 3: is the directory there, and does it verify?

    Args:
        artifact_dir: the directory as the registry's pointer names it.
        exists: whether the configured base has such a directory.
        verification: what verification said, ``None`` when there was nothing to verify.
    """
    shown = visible(artifact_dir)
    if not exists or verification is None:
        why = f"{shown} does not exist below the configured artifact base."
        return (Check("artifact_dir", Verdict.FAIL, why, Code.ABSENT),)
    here = Check("artifact_dir", Verdict.PASS, f"{shown} exists.", Code.SOUND)
    broken = tuple(check for check in verification.checks if check.verdict in (Verdict.FAIL, Verdict.ERROR))
    if broken:
        return (here, *broken)
    why = f"{verification.artifact_id} verifies; it is not the artifact."
    return (here, Check("verify", verification.verdict, why, Code.SOUND))


def latency_spike(comparison: Comparison) -> tuple[Check, ...]:
    """ "Latency spike after promotion": is the left artifact larger, has it more parameters, is it slower?

    Only ``NO_DATA`` where one of the two is not valid.
    """
    if comparison.why:
        return (Check("latency spike", Verdict.NO_DATA, comparison.why, Code.NOTHING_TO_COMPARE),)
    sizes = [sum(file.size for file in one.files) for one in (comparison.left, comparison.right)]
    checks = [_growth("size", sizes[0], sizes[1], "bytes")]
    if comparison.left.graph and comparison.right.graph:
        left, right = comparison.left.graph, comparison.right.graph
        checks.append(_growth("parameters", left.parameters, right.parameters, "parameters"))
        checks.append(_growth("nodes", left.nodes, right.nodes, "nodes"))
    if comparison.latency is not None:
        checks.append(comparison.latency.check)
    return tuple(checks)


def results_differ(comparison: Comparison) -> Check:
    """ "Shadow and active showing different results": on how many of the same inputs they decide differently."""
    if comparison.decided is None:
        return Check("decisions", Verdict.NO_DATA, comparison.why, Code.NOTHING_TO_COMPARE)
    if comparison.disagreement is None:
        why = "Each of the two gives one answer to all inputs that were tried, so a difference could not show."
        return Check("decisions", Verdict.VACUOUS, why, Code.ONE_ANSWER)
    share = f"{comparison.disagreement:.2%}"
    verb = "decide" if comparison.decided.confusion else "answer"
    why = f"Two models: on the same inputs they {verb} differently in {share} of cases."
    return finding(Verdict.PASS, Code.DECISIONS_COMPARED, why, share=comparison.disagreement).check("decisions")


def _growth(name: str, left: int, right: int, unit: str) -> Check:
    much = right > 0 and left >= _MUCH_MORE * right
    times = f", {left / right:.1f}×" if right else ""
    verdict, code = (Verdict.FAIL, Code.GREW) if much else (Verdict.PASS, Code.DID_NOT_GROW)
    return finding(verdict, code, f"{left:,} {unit} against {right:,}{times}.", left=left, right=right).check(name)
