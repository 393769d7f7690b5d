"""Judging SSH signatures of commits against a list of allowed signers (gitformat-signature, ssh-keygen(1) ``-Y``)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ml.adapters.git_runner import OnRepository, plain
from ml.promotion.repository import Signature
from ml.text import visible

_SSH_HEADER = b"\ngpgsig -----BEGIN SSH SIGNATURE-----"
_SSH_HEADER_SHA256 = b"\ngpgsig-sha256 -----BEGIN SSH SIGNATURE-----"
_FORMAT = "--format=%G?%x00%GS%x00%GF"
_WORDS = {
    "N": "it carries no signature",
    "B": "its signature does not fit its content",
    "U": "the key that signed it belongs to nobody on the list of allowed signers",
    "E": "its signature could not be checked",
    "X": "its signature has expired",
    "Y": "the key that signed it had expired",
    "R": "the key that signed it is revoked",
}


class SignatureJudging(OnRepository):
    """Verification with a list that the caller chose, never with what the repository's configuration names."""

    def signature(self, commit: str, allowed_signers: bytes) -> Signature:
        """Judge a commit's SSH signature. Signatures of other kinds count as none."""
        header = self._git("cat-file", "commit", plain(commit, "a commit")).partition(b"\n\n")[0]
        if _SSH_HEADER not in header and _SSH_HEADER_SHA256 not in header:
            return Signature(good=False, why="it carries no SSH signature")
        with tempfile.NamedTemporaryFile(prefix="mlconsole-signers-") as signers:
            signers.write(allowed_signers)
            signers.flush()
            trust = (
                "gpg.format=ssh",
                f"gpg.ssh.allowedSignersFile={Path(signers.name)}",
                "gpg.ssh.program=ssh-keygen",  # a repository's own setting would let it choose its judge
                "gpg.ssh.revocationFile=",
                "gpg.minTrustLevel=undefined",
            )
            said = self._git("log", "-1", _FORMAT, commit, "--", config=trust)
        state, principal, key = said.decode("utf-8", "replace").rstrip("\n").split("\0")
        if state != "G" or not principal:
            return Signature(good=False, why=_WORDS.get(state, f"git judges its signature as {visible(state)}"))
        return Signature(good=True, why=f"signed by {visible(principal)}", principal=principal, key=key)
