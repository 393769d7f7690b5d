"""Judging SSH signatures of commits against a list of allowed signers (gitformat-signature, ssh-keygen(1) ``-Y``)."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from ml.adapters.git_runner import OnRepository, plain
from ml.promotion.repository import Signature
from ml.text import visible

_SSH_HEADER = b"\ngpgsig -----BEGIN SSH SIGNATURE-----"
_SSH_HEADER_SHA256 = b"\ngpgsig-sha256 -----BEGIN SSH SIGNATURE-----"
_FORMAT = "--format=%G?%x00%GS%x00%GF"
_KEY = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[A-Za-z0-9@.-]+)[ \t]+([A-Za-z0-9+/=]+)(?:\s|$)")
_LONGEST_KEY = 1 << 14
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

    def signing_key(self) -> str:
        """The SSH key that git signs with here, as its type and Base64 text; empty where git does not sign by SSH.

        ``user.signingKey`` may be the key itself, its file, or the file of the private key beside it.
        """
        if self._setting("gpg.format").lower() != "ssh":
            return ""
        named = self._setting("user.signingKey")
        text = named.removeprefix("key::")
        if named and not _KEY.match(text):
            text = _public(Path(named).expanduser())
        found = _KEY.match(text)
        return f"{found[1]} {found[2]}" if found else ""

    def _setting(self, key: str) -> str:
        return self._git.finished("config", "--get", key).out.decode("utf-8", "replace").strip()


def _public(path: Path) -> str:
    for each in (path if path.suffix == ".pub" else Path(f"{path}.pub"), path):
        try:
            with each.open("rb") as file:
                return file.read(_LONGEST_KEY).decode("ascii", "replace").strip()
        except OSError:
            continue
    return ""
