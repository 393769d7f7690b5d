"""The format of the kill file, from the settings of ``[kill_switch]``.

The kill key reads this module; the parts for other formats than the env file are imported only for these.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from console.settings import KillSwitch
from ml.errors import Usage
from ml.text import visible

if TYPE_CHECKING:
    from ml.emergency.killformats import KillFormat

_PART = re.compile(r'(?:"([^"]+)"|([^".\s]+))(\.|$)')
_LONGEST = 200
_MOST_PARTS = 20
_HALF = 1 << 63


def is_value(value: object) -> bool:
    """True for what may stand for on or off: a text of one line, a whole number of 64 bits, true or false."""
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST and value == value.strip() and value.isprintable()
    return isinstance(value, bool) or (isinstance(value, int) and -_HALF <= value < _HALF)


def kill_format(configured: KillSwitch) -> KillFormat | None:
    """Return the kill file's format; ``None`` for an env file.

    Raises:
        Usage: ``format``, ``key``, ``on`` and ``off`` do not fit together.
    """
    kind = configured.format
    if kind in ("env", "text") and configured.key:
        raise Usage(f"kill_switch.key is set, but a kill file of format {kind} has no keys.", _NEEDS)
    if kind == "env":
        if configured.on is not None or configured.off is not None:
            raise Usage("kill_switch.on or off is set, but an env file says ML_KILL_SWITCH=1 or 0.", _NEEDS)
        return None
    from ml.emergency.killformats import KillFormat  # noqa: PLC0415 - see the module's docstring

    on, off = _values(configured)
    return KillFormat(kind, () if kind == "text" else _parts(configured.key, kind), on, off)


_NEEDS = 'Set kill_switch.format = "json" or "toml" with key, or "text" without, and on and off with it.'


def _values(configured: KillSwitch) -> tuple[bool | int | str, bool | int | str]:
    on, off = configured.on, configured.off
    if (on is None) != (off is None):
        raise Usage("kill_switch has one of on and off without the other.", "Set both, or neither.")
    text = configured.format == "text"
    if on is None or off is None:
        return ("1", "0") if text else (True, False)
    if text:
        on, off = (str(each).lower() if isinstance(each, bool) else str(each) for each in (on, off))
    if on == off:
        # 1 and true are different values to the file, but hardly to all of its readers.
        raise Usage("kill_switch.on and off are the same value.", "Correct one of them.")
    return on, off


def _parts(key: str, kind: str) -> tuple[str, ...]:
    """The parts of a dotted key; a part with dots or blanks in it stands in double quotes."""
    if not key:
        raise Usage(f"kill_switch.key is missing, which a kill file of format {kind} needs.", _EXAMPLE)
    parts, at = [], 0
    while found := _PART.match(key, at):
        parts.append(found[1] or found[2])
        at = found.end()
        if not found[3]:
            break
    whole = at == len(key) and key[-1:] != "."
    if not whole or len(parts) > _MOST_PARTS or not key.isprintable() or len(key) > _LONGEST:
        raise Usage(f"kill_switch.key {visible(key, limit=80)!r} is no path of a key.", _EXAMPLE)
    return tuple(parts)


_EXAMPLE = 'Write it as "trading.ml.disabled"; a part with a dot in it stands in double quotes.'
