"""Who is at the keyboard, as far as the machine knows without asking git: ``user@host``."""

import os

from ml.text import visible


def person() -> str:
    """The login name behind sudo if there is one, and the host. For records of kills, which wait for nothing."""
    environ = os.environ
    name = environ.get("SUDO_USER") or environ.get("USER") or environ.get("LOGNAME") or f"uid{os.getuid()}"
    return visible(f"{name}@{os.uname().nodename}", limit=120)
