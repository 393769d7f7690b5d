"""The server's hook as a file. A repository that has it refuses the changes that the gate refuses (contract §8)."""

from __future__ import annotations

from pathlib import Path

PRE_RECEIVE = Path(__file__).with_name("pre-receive")
"""The ``pre-receive`` hook; `ml.adapters.git_hooks.install_gate` puts it into a repository."""
