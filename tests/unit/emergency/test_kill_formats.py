"""A kill in the form of the engines' own file: only the value of its key changes, whatever else the file holds."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml.emergency.killformats import KillFormat, by_hand, edit, overwrite, read
from ml.emergency.killplaces import Unfit

KEY = ("trading", "ml", "disabled")
JSON, TOML = KillFormat("json", KEY), KillFormat("toml", KEY)
TEXT = KillFormat("text", (), "halted", "running")

# --- any document ----------------------------------------------------------------------------------------------------
_WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _WORDS
)
_TREES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3), max_leaves=8
)
_VALUES = st.booleans() | st.integers(-9, 9) | st.sampled_from(["on", "a/b&c\\d", "a \"quoted\" 'word'", "schön"])
_PAIRS = st.tuples(_VALUES, _VALUES).filter(lambda pair: pair[0] != pair[1])
_KEYS = st.lists(_WORDS, min_size=1, max_size=4).map(tuple)
_INDENTS = st.none() | st.integers(0, 4) | st.just("\t")


@settings(deadline=None)
@given(
    key=_KEYS,
    pair=_PAIRS,
    old=_LEAVES,
    around=st.lists(st.dictionaries(_WORDS, _TREES, max_size=3), min_size=4, max_size=4),
    first=st.booleans(),
    indent=_INDENTS,
    ascii_only=st.booleans(),
    bom=st.booleans(),
    crlf=st.booleans(),
    engage=st.booleans(),
)
def test_any_json_keeps_every_byte_outside_the_value(
    *,
    key: tuple[str, ...],
    pair: tuple[Any, Any],
    old: object,
    around: list[dict[str, object]],
    first: bool,
    indent: int | str | None,
    ascii_only: bool,
    bom: bool,
    crlf: bool,
    engage: bool,
) -> None:
    form = KillFormat("json", key, *pair)

    def document(value: object) -> bytes:
        for name, beside in zip(reversed(key), around, strict=False):
            rest = {each: held for each, held in beside.items() if each != name}
            value = {name: value, **rest} if first else {**rest, name: value}
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
        text = text.replace("\n", "\r\n") if crlf else text
        return b"\xef\xbb\xbf" * bom + text.encode()

    marker = "the one place \u2603 of the value"
    before, _, after = document(marker).partition(json.dumps(marker, ensure_ascii=ascii_only).encode())
    raw = before + json.dumps(old, ensure_ascii=ascii_only).encode() + after
    changed = edit(form, raw, engage=engage)
    assert not changed.caveat
    assert changed.data.startswith(before)
    assert changed.data.endswith(after)
    value = changed.data[len(before) : len(changed.data) - len(after)]
    assert json.loads(value) == pair[0 if engage else 1]
    assert read(form, changed.data) is engage
    assert edit(form, changed.data, engage=engage).data == changed.data


_TOML_LINES = st.lists(
    st.sampled_from(
        [
            "# disabled = true",
            "",
            '  name = "x # no comment" # a comment',
            "when = 1979-05-27 07:32:00",
            'text = """\n[trading.ml]\ndisabled = true\n"""',
            "raw = '''\ndisabled = false ''''",
            'list = [ 1, # ]\n  "]", [ "}" ],\n]',
            'inner = { a = 1, b.c = "}", "disabled" = true, d = [ { e = 1 } ] }',
            "disabled-not = true",
            '"not.disabled" = nan',
            'odd = "\\\\"',
            "empty = ''",
            'other.disabled = "x"',
        ]
    ),
    unique=True,
    max_size=6,
)
_SHAPES = st.sampled_from(
    [
        ("[trading.ml]", "disabled = {}"),
        ("[trading]", "ml.disabled = {}"),
        ("[trading]", "ml = {{ z = 1, disabled = {}, y = [2] }}"),
        ("[ trading . 'ml' ] # head", '"disabled"= {} # why'),
    ]
)


@settings(deadline=None)
@given(
    shape=_SHAPES,
    before=_TOML_LINES,
    inside=_TOML_LINES,
    after=_TOML_LINES,
    pair=_PAIRS,
    old=st.sampled_from(["true", '"on"', "1", "0x1F", "'''a\nb'''", "1.5", "1979-05-27", "inf"]),
    line=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    engage=st.booleans(),
)
def test_any_toml_keeps_every_byte_outside_the_value(
    *,
    shape: tuple[str, str],
    before: list[str],
    inside: list[str],
    after: list[str],
    pair: tuple[Any, Any],
    old: str,
    line: str,
    bom: bool,
    engage: bool,
) -> None:
    form = KillFormat("toml", KEY, *pair)
    if "{{" in shape[1] and "\n" in old:
        old = "'a'"
    lead, _, tail = shape[1].replace("{{", "{").replace("}}", "}").partition("{}")
    parts = [*before, shape[0], *inside, lead + "\0" + tail, *[each for each in after if each not in inside], "[end]"]
    text = (line.join(parts) + line).replace("\r\n", "\n").replace("\n", line)
    head, _, rest = text.encode().partition(b"\0")
    raw = b"\xef\xbb\xbf" * bom + head + old.replace("\n", line).encode() + rest
    changed = edit(form, raw, engage=engage).data
    assert changed.startswith(b"\xef\xbb\xbf" * bom + head)
    assert changed.endswith(rest)
    document = tomllib.loads(changed.removeprefix(b"\xef\xbb\xbf").decode())
    assert document["trading"]["ml"]["disabled"] == pair[0 if engage else 1]
    assert read(form, changed) is engage


@settings(deadline=None)
@given(key=_KEYS, pair=_PAIRS, engage=st.booleans(), kind=st.sampled_from(["json", "toml"]))
def test_a_new_file_holds_the_key_alone(key: tuple[str, ...], pair: tuple[Any, Any], engage: bool, kind: str) -> None:
    form = KillFormat(kind, key, *pair)
    data = edit(form, None, engage=engage).data
    assert read(form, data) is engage
    document = (json if kind == "json" else tomllib).loads(data.decode())
    for name in key:
        assert list(document) == [name]
        document = document[name]
    assert document == pair[0 if engage else 1]


@settings(deadline=None)
@given(
    key=_KEYS,
    tree=st.dictionaries(_WORDS, _TREES, max_size=4),
    depth=st.integers(0, 4),
    indent=_INDENTS,
    engage=st.booleans(),
)
def test_a_key_that_is_missing_is_added_and_nothing_else_changes(
    key: tuple[str, ...], tree: dict[str, object], depth: int, indent: int | str | None, engage: bool
) -> None:
    inner = tree
    for name in key[:-1][:depth]:
        below: dict[str, object] = {"kept": 1}
        inner[name] = below
        inner = below
    inner.pop(key[min(depth, len(key) - 1)], None)
    form = KillFormat("json", key)
    raw = json.dumps(tree, indent=indent).encode()
    with pytest.raises(Unfit, match="is not in it"):
        read(form, raw)
    changed = edit(form, raw, engage=engage)
    assert "was added" in changed.caveat
    assert read(form, changed.data) is engage
    # What was there is there still: taking the insertion away again leaves the old bytes.
    pairs = enumerate(zip(raw, changed.data, strict=False))
    shared = next((at for at, (old, new) in pairs if old != new), len(raw))
    assert changed.data.endswith(raw[shared:])


@settings(deadline=None)
@given(raw=st.binary(max_size=60), form=st.sampled_from([JSON, TOML, TEXT]), engage=st.booleans())
@example(raw=b"\xff", form=JSON, engage=True)
@example(raw=b"[" * 60_000, form=JSON, engage=True)
@example(raw=b"x = " + b"[" * 60_000, form=TOML, engage=True)
@example(raw=b'{"trading": NaN}', form=JSON, engage=True)
def test_whatever_the_file_holds_it_is_set_or_left(raw: bytes, form: KillFormat, engage: bool) -> None:
    try:
        changed = edit(form, raw, engage=engage)
    except Unfit:
        return
    assert read(form, changed.data) is engage


# --- what a file says ------------------------------------------------------------------------------------------------
JSON_SAYS = {
    '{"trading": {"ml": {"disabled": true}}}': True,
    '{"trading": {"ml": {"disabled": false}}}': False,
    '{"trading": {"ml": {"disabled": 1}}}': "is 1 in it, neither true nor false",
    '{"trading": {"ml": {"disabled": "true"}}}': 'is "true" in it, neither true nor false',
    '{"trading": {"ml": {"disabled": null}}}': "is null in it",
    '{"trading": {"ml": {"disabled": {}}}}': "holds further values",
    '{"trading": {"ml": {"disabled": [true]}}}': "holds further values",
    '{"trading": {"ml": true}}': "trading.ml is no object",
    '{"trading": []}': "trading is no object",
    '{"trading": {"ml": {}}}': "trading.ml.disabled is not in it",
    "{}": "trading.ml.disabled is not in it",
    "[]": "no JSON object",
    "true": "no JSON object",
    "": "it is empty",
    "ML_KILL_SWITCH=0\n": "it is not JSON, see line 1",
    '{"trading": {"ml": {"disabled": true}}} // why': "it is not JSON",
    '{"trading": {"ml": {"disabled": true,}}}': "it is not JSON",
    '{"trading": {"ml": {"disabled": true, "disabled": true}}}': True,
    '{"trading": {"ml": {"disabled": true, "disabled": false}}}': "2 times, with different values",
    '{"trading": {"ml": {"disabled": false}}, "trading": {"ml": {"disabled": true}}}': "2 times",
    '{"trading": {"ml": {"disabled": true}}, "trading": {}}': "is not in it",
    '{"tr\\u0061ding": {"ml": {"disabled": true}}}': True,
    '\ufeff{"trading": {"ml": {"disabled": true}}}\r\n': True,
}
TOML_SAYS = {
    "[trading.ml]\ndisabled = true\n": True,
    "trading.ml.disabled = false": False,
    "trading = { ml = { disabled = true } }": True,
    "[trading.ml]\ndisabled = 1\n": "is 1 in it",
    '[trading.ml]\ndisabled = "true"\n': 'is "true" in it',
    "[trading.ml.disabled]\nx = 1\n": "is a table",
    "[[trading.ml]]\ndisabled = true\n": "is not in it",
    "trading = { ml = 3 }": "trading.ml is no table",
    "[trading]\nml = [true]\n": "trading.ml is no table",
    "# [trading.ml]\n# disabled = true\n": "is not in it",
    '{"trading": {"ml": {"disabled": false}}}': "it is not TOML",
    "[trading.ml]\ndisabled = true\ndisabled = true\n": "it is not TOML",
    "a." * 60_000 + "a = 1": "more than 40 dots",
}
TEXT_SAYS = {
    "halted": True,
    "halted\n": True,
    "running\n": False,
    "halted\r\n": "it says halted",
    " halted": "it says  halted",
    "HALTED\n": "it says HALTED",
    "": "it says nothing",
}


@pytest.mark.parametrize(
    ("form", "content", "says"),
    [
        (form, *each)
        for form, all_of in ((JSON, JSON_SAYS), (TOML, TOML_SAYS), (TEXT, TEXT_SAYS))
        for each in all_of.items()
    ],
)
def test_exactly_on_or_off_counts_and_all_else_is_unclear(form: KillFormat, content: str, says: bool | str) -> None:
    if isinstance(says, bool):
        assert read(form, content.encode()) is says
        return
    with pytest.raises(Unfit) as unclear:
        read(form, content.encode())
    assert says in str(unclear.value)


REFUSED = [
    (JSON, b"ML_KILL_SWITCH=0\n"),
    (JSON, b'{"trading": {"ml": true}}'),
    (JSON, b'{"trading": {"ml": {' + b'"disabled": 1, ' * 64 + b'"disabled": 1}}}'),
    (JSON, b'{"trading": {"ml": {"disabled": {"since": 1}}}}'),
    (JSON, b'{"trading": {"ml": {"disabled": "caf\xe9"}}}'),
    (JSON, b'{"a": "' + b"x" * (1 << 20) + b'"}'),
    (TOML, b'{"trading": {"ml": {"disabled": false}}}'),
    (TOML, b"trading = { size = 1 }\n"),
    (TOML, b"[[trading.ml]]\ndisabled = true\n"),
    (TOML, b"[trading.ml.disabled]\nx = 1\n"),
    (TEXT, b'{"trading": false}'),
    (TEXT, b"running\nhalted\n"),
    (TEXT, b"MODE=live\n"),
]


@pytest.mark.parametrize(("form", "raw"), REFUSED)
def test_a_file_of_another_format_is_refused(form: KillFormat, raw: bytes) -> None:
    for engage in (True, False):
        with pytest.raises(Unfit):
            edit(form, raw, engage=engage)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"[trading.ml]\nx = 1", b"[trading.ml]\ndisabled = true\nx = 1"),
        (b"[trading.ml]", b"[trading.ml]\ndisabled = true\n"),
        (b"a = 1\r\n[b]\r\n", b"a = 1\r\n[b]\r\n[trading.ml]\r\ndisabled = true\r\n"),
        (b"a = 1", b"a = 1\n[trading.ml]\ndisabled = true\n"),
    ],
)
def test_a_missing_key_of_toml_goes_into_its_table(raw: bytes, expected: bytes) -> None:
    assert edit(TOML, raw, engage=True).data == expected


def test_every_place_of_a_repeated_name_is_set() -> None:
    raw = b'{"trading": {"ml": {"disabled": 0, "disabled": false}}, "trading": {"ml": {"disabled": "x"}}}'
    changed = edit(JSON, raw, engage=True).data
    assert changed.count(b'"disabled": true') == 3
    assert read(JSON, changed) is True


# --- in place --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("form", "raw", "expected"),
    [
        (JSON, b'{"trading": {"ml": {"disabled": false}}}', b'{"trading": {"ml": {"disabled": true }}}'),
        (
            JSON._replace(on=False, off=True),
            b'{"trading": {"ml": {"disabled": true}}}',
            b'{"trading": {"ml": {"disabled":false}}}',
        ),
        (TOML, b"trading.ml.disabled = false # why", b"trading.ml.disabled = true  # why"),
        (TEXT._replace(on="off", off="run"), b"run\n", b"off\n"),
    ],
)
def test_a_value_is_changed_in_its_room(form: KillFormat, raw: bytes, expected: bytes) -> None:
    start, new = overwrite(form, raw, engage=True)
    assert raw[:start] + new + raw[start + len(new) :] == expected


@pytest.mark.parametrize(
    ("form", "raw"),
    [
        (JSON._replace(on="a long word"), b'{"trading": {"ml": {"disabled": false}}}'),
        (JSON, b'{"trading": {}}'),
        (JSON, b""),
        (TEXT, b"running\n"),
        (TEXT, b'{"a": 1}'),
    ],
)
def test_without_room_nothing_is_changed_in_place(form: KillFormat, raw: bytes) -> None:
    with pytest.raises(Unfit):
        overwrite(form, raw, engage=True)


# --- by hand ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("form", "raw"),
    [
        (JSON, b'{\n  "schon": "sch\xc3\xb6n", "trading": {"ml": {"size": 2, "disabled": false, "x": "false"}}\n}\n'),
        (JSON, b'\xef\xbb\xbf{"trading": {"ml": {"disabled": "a/b*[c]$.^\\\\"}}}'),
        (JSON, b'{"trading": {"ml": {"disabled": 1, "disabled": false}}}'),
        (JSON._replace(on="a/b&c\\d'e"), b'{"trading": {"ml": {"disabled": false}}}'),
        (JSON, None),
        (TOML, b"# x\n[trading]\r\nml = { disabled = 0 } # keep\r\n"),
        (TOML, None),
        (TEXT, b"running\n"),
        (TEXT, None),
    ],
)
def test_the_command_by_hand_works_and_keeps_the_rest(tmp_path: Path, form: KillFormat, raw: bytes | None) -> None:
    file = tmp_path / "kill file's"
    if raw is not None:
        file.write_bytes(raw)
    command = by_hand(form, raw, str(file), engage=True)
    subprocess.run(["sh", "-c", command], check=True, timeout=20, env={"PATH": os.defpath, "LANG": "C.UTF-8"})
    assert file.read_bytes() == edit(form, raw, engage=True).data


@pytest.mark.parametrize(
    ("form", "raw"),
    [*REFUSED, (JSON, b'{"trading": {}}'), (TOML, b"[trading.ml]\ndisabled = '''\nx'''\n")],
)
def test_where_no_command_works_a_person_is_sent_to_an_editor(form: KillFormat, raw: bytes) -> None:
    said = by_hand(form, raw, "/srv/kill", engage=True)
    assert said.startswith("in an editor, let /srv/kill say so: ")
    assert f"is {form.written(engage=True)}, keep the rest" in said


def test_what_says_so_already_needs_no_command() -> None:
    said = by_hand(JSON, b'{"trading": {"ml": {"disabled": true}}}', "/srv/kill", engage=True)
    assert said == "make sure that /srv/kill still says so: trading.ml.disabled is true"
