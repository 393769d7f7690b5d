"""The kill file in an adopter's own form: one key of a JSON or TOML file, or a file that is one word.

An edit replaces the bytes of that one value and keeps all others. A file that is of another format is never edited,
and a value that is neither exactly the configured one for on nor the one for off is *unclear*, as in the env file
(`ml.emergency.killfile`). Nothing here opens a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ml.emergency.killplaces import Hole, Place, Unfit, parse_json, parse_toml, places_in_json, places_in_toml
from ml.text import visible

Value = bool | int | str
MOST_BYTES = 1 << 20
"""Size limit of such a file: a larger one would delay the kill key."""
_BOM = b"\xef\xbb\xbf"
_WORD = re.compile(r"[\w.+-]{0,64}")
"""The content of a text file that may be replaced although it says neither on nor off."""
_MOST_PLACES = 64
"""How often a JSON file may repeat a key; more would delay the kill key."""
_WIDEST = 32_000
"""``sed`` counts no more characters than this."""


class KillFormat(NamedTuple):
    """The form of a kill file: ``json``, ``toml`` or ``text``, the path of the key, and the values for on and off."""

    kind: str
    key: tuple[str, ...] = ()
    on: Value = True
    off: Value = False

    def wanted(self, *, engage: bool) -> Value:
        """The value for on or for off."""
        return self.on if engage else self.off

    def written(self, *, engage: bool) -> str:
        """The same value as the file spells it."""
        value = self.wanted(engage=engage)
        return str(value) if self.kind == "text" else _spelled(value)

    @property
    def name(self) -> str:
        """``trading.ml.disabled``, or ``the content`` of a text file; safe to print."""
        return visible(".".join(self.key), limit=200) if self.key else "the content"


class Edit(NamedTuple):
    """The new content of the whole file, and a caveat (empty: none)."""

    data: bytes
    caveat: str = ""


def read(form: KillFormat, raw: bytes) -> bool:
    """True if the content says on, False if it says off. Raises Unfit when it says neither, or different things."""
    if form.kind == "text":
        return _text_says(form, raw)
    text, document = _parsed(form, raw)
    places = _places(form, text)
    if any(isinstance(place, Hole) for place in places):
        raise Unfit(f"{form.name} is not in it")
    says = {_says(form, value) for value in _values(form, document, places)}
    if len(says) > 1:
        raise Unfit(f"it names {form.name} {len(places)} times, with different values")
    return says.pop()


def edit(form: KillFormat, raw: bytes | None, *, engage: bool) -> Edit:
    """Return the content with the switch set. ``raw`` is ``None`` when there is no file yet.

    Raises:
        Unfit: the file is of another format, or the key has no place in it. It must be left as it is.
    """
    if form.kind == "text":
        return _text_edit(form, raw, engage=engage)
    if raw is None or not raw.removeprefix(_BOM).strip():
        return Edit(_new(form, engage=engage), "it was empty: it holds this key alone now" * (raw is not None))
    text, before = _parsed(form, raw)
    places = _places(form, text)
    _values(form, before, places)
    changed, value = text, form.written(engage=engage)
    for place in reversed(places):
        if isinstance(place, Hole):
            changed = f"{changed[: place.at]}{place.before}{value}{place.after}{changed[place.at :]}"
        else:
            changed = changed[: place.start] + value + changed[place.end :]
    added = any(isinstance(place, Hole) for place in places)
    data = _BOM * raw.startswith(_BOM) + changed.encode()
    _require_only_that(form, before, data, engage=engage, added=added)
    return Edit(data, f"{form.name} was not in the file and was added: make sure that engines read it" * added)


def overwrite(form: KillFormat, raw: bytes, *, engage: bool) -> tuple[int, bytes]:
    """The position and the bytes that set the switch in place, in a file that may not grow.

    Blanks beside a value of JSON or TOML make up for a difference in length.

    Raises:
        Unfit: the value cannot be replaced in its room.
    """
    new = form.written(engage=engage).encode()
    if form.kind == "text":
        read(form, raw)
        start, end = 0, len(raw.rstrip(b"\n"))
    else:
        text, document = _parsed(form, raw)
        places = _places(form, text)
        if len(places) != 1 or isinstance(places[0], Hole):
            raise Unfit("there is no single value to change in place")
        _values(form, document, places)
        lead = len(_BOM) * raw.startswith(_BOM)
        start, end = (lead + len(text[:at].encode()) for at in (places[0].start, places[0].end))
        while end - start < len(new) and raw[start - 1 : start] == b" ":
            start -= 1
        while end - start < len(new) and raw[end : end + 1] == b" ":
            end += 1
        new = new.ljust(end - start)
    if len(new) != end - start:
        raise Unfit("the value does not fit in its place")
    if read(form, raw[:start] + new + raw[end:]) is not engage:
        raise Unfit("the value cannot be changed in place")
    return start, new


def by_hand(form: KillFormat, raw: bytes | None, path: str, *, engage: bool) -> str:
    """The command, or the step, with which a person sets the switch in the file as it is now."""
    import shlex  # noqa: PLC0415 - the kill key does not pay for it

    shown, value = visible(path), visible(form.written(engage=engage))
    try:
        says = read(form, raw) if raw is not None else None
    except Unfit:
        says = None
    if says is engage:
        return f"make sure that {shown} still says so: {form.name} is {value}"
    try:
        if raw is None or form.kind == "text":
            lines = edit(form, raw, engage=engage).data.decode().removesuffix("\n").split("\n")
            return f"printf '%s\\n' {visible(shlex.join(lines))} > {shlex.quote(shown)}"
        return f"LC_ALL=C sed -i {shlex.quote(_script(form, raw, engage=engage))} {shlex.quote(shown)}"
    except (Unfit, UnicodeDecodeError) as error:
        return in_editor(form, path, str(error), engage=engage)


def in_editor(form: KillFormat, path: str, why: str, *, engage: bool) -> str:
    """The step with which a person sets the switch in a file that no short command changes."""
    what = f"{form.name} is {visible(form.written(engage=engage))}, keep the rest"
    return f"in an editor, let {visible(path)} say so: {what} ({visible(why, limit=200)})"


def _script(form: KillFormat, raw: bytes, *, engage: bool) -> str:
    """A ``sed`` script that replaces the value by its line and column. Raises Unfit."""
    text, document = _parsed(form, raw)
    places = _places(form, text)
    _values(form, document, places)
    commands = []
    for place in places:
        if isinstance(place, Hole):
            raise Unfit(f"{form.name} is not in it")
        begun = text.rfind("\n", 0, place.start) + 1
        old = text[place.start : place.end]
        lead = len(_BOM) * (begun == 0 and raw.startswith(_BOM)) + len(text[begun : place.start].encode())
        if "\n" in old or not old.isascii() or not old.isprintable() or lead > _WIDEST:
            raise Unfit("no short command does it")
        line = text.count("\n", 0, place.start) + 1
        new = re.sub(r"[\\/&]", r"\\\g<0>", form.written(engage=engage))
        old = re.sub(r"[].*^$/[\\]", r"\\\g<0>", old)
        commands.append(rf"{line}s/^\(.\{{{lead}\}}\){old}/\1{new}/")
    return "; ".join(reversed(commands))


# --- one value -------------------------------------------------------------------------------------------------------
def _parsed(form: KillFormat, raw: bytes) -> tuple[str, Any]:
    if len(raw) > MOST_BYTES:
        raise Unfit(f"it is larger than {MOST_BYTES >> 10} KiB")
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unfit("it is not UTF-8 text") from error
    if not text.strip():
        raise Unfit("it is empty")
    return text, (parse_json if form.kind == "json" else parse_toml)(text)


def _places(form: KillFormat, text: str) -> list[Place | Hole]:
    places = (places_in_json if form.kind == "json" else places_in_toml)(text, form.key)
    if len(places) > _MOST_PLACES:
        raise Unfit(f"it names {form.name} {len(places)} times")
    return places


def _values(form: KillFormat, document: Any, places: Sequence[Place | Hole]) -> list[object]:
    """The value at each place. Raises Unfit for one that holds others: replacing it would lose them."""
    found = [place.value for place in places if isinstance(place, Place)]
    if form.kind == "toml" and found:
        value = document
        for name in form.key:
            value = value[name]
        found = [value]
    if any(isinstance(value, dict | list) for value in found):
        raise Unfit(f"{form.name} holds further values in it, where one value is meant")
    return found


def _says(form: KillFormat, value: object) -> bool:
    for engaged in (True, False):
        wanted = form.wanted(engage=engaged)
        if type(value) is type(wanted) and value == wanted:
            return engaged
    spelled = _spelled(value) if isinstance(value, bool | int | float | str) or value is None else str(value)
    meant = f"neither {form.written(engage=True)} nor {form.written(engage=False)}"
    raise Unfit(f"{form.name} is {visible(spelled, limit=60)} in it, {visible(meant, limit=200)}")


def _require_only_that(form: KillFormat, before: Any, data: bytes, *, engage: bool, added: bool) -> None:
    """Make sure that the new content differs from the old one in the value of the key alone. Raises Unfit."""
    try:
        right = read(form, data) is engage
    except Unfit as error:
        raise Unfit(f"{form.name} cannot be set in it without breaking it") from error
    _, after = _parsed(form, data)
    for document in (before, after):
        table = document
        for name in form.key[:-1]:
            table = table.setdefault(name, {})
        table[form.key[-1]] = None
    # An added key may stand before the others.
    same = _sorted(before) == _sorted(after) if added else repr(before) == repr(after)
    if not right or not same:
        raise Unfit(f"{form.name} cannot be set in it without changing more")


def _sorted(document: Any) -> str:
    if isinstance(document, dict):
        return repr(sorted((name, _sorted(value)) for name, value in document.items()))
    return repr([_sorted(value) for value in document]) if isinstance(document, list) else repr(document)


def _new(form: KillFormat, *, engage: bool) -> bytes:
    import json  # noqa: PLC0415 - only a file that is made needs it

    value = form.written(engage=engage)
    if form.kind == "json":
        names = [json.dumps(name, ensure_ascii=False) for name in form.key]
        return f"{{{': {'.join(names)}: {value}{'}' * len(names)}\n".encode()
    hole = places_in_toml("", form.key)[0]
    assert isinstance(hole, Hole)  # an empty text holds no key
    return f"{hole.before}{value}{hole.after}".encode()


def _spelled(value: object) -> str:
    """A value as JSON and TOML write it alike."""
    import json  # noqa: PLC0415 - as above

    # DEL is the one character that JSON takes as it is and TOML does not.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- text ------------------------------------------------------------------------------------------------------------
def _text_says(form: KillFormat, raw: bytes) -> bool:
    for engaged in (True, False):
        said = form.written(engage=engaged).encode()
        if raw in (said, said + b"\n"):
            return engaged
    shown = visible(raw[:200].decode("utf-8", "replace"), limit=60)
    meant = f"neither {form.written(engage=True)} nor {form.written(engage=False)}"
    raise Unfit(f"it says {shown or 'nothing'}, {visible(meant, limit=200)}")


def _text_edit(form: KillFormat, raw: bytes | None, *, engage: bool) -> Edit:
    new = form.written(engage=engage).encode()
    if raw is None:
        return Edit(new + b"\n")
    try:
        core = raw.removeprefix(_BOM).decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise Unfit("it is not UTF-8 text") from error
    known = core in (form.written(engage=True), form.written(engage=False))
    if not known and not _WORD.fullmatch(core):
        raise Unfit("it holds more than one word")
    return Edit(new + b"\n" * (raw.endswith(b"\n") or not core))
