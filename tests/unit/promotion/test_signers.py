"""The list of allowed signers: odd lines let nobody pass, and validity is judged at both clocks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml.promotion.signers import Signer, Unbelieved, believed, hands_of, people_of, read_signers, unbelieved

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIm2N8zJ1sWnJq2m1sY1bqkN2kq0rFzQfKQ2l3T8yQ1x"
NOW = datetime(2026, 2, 16, 10, tzinfo=UTC)


def only(text: str) -> Signer | Unbelieved:
    (found,) = read_signers(text.encode())
    return found


@pytest.mark.parametrize(
    "line",
    [
        f"ann@example.com {KEY}",
        f"ann@example.com,ann@work.example {KEY} a comment",
        f'ann@example.com namespaces="git" {KEY}',
        f'ann@example.com namespaces="file,git",valid-after="20260101Z",valid-before="20270101120000Z" {KEY}',
        f"  ann@example.com\t{KEY}  ",
    ],
)
def test_a_plain_line_is_believed(line: str) -> None:
    found = only(line)
    assert isinstance(found, Signer)
    assert "ann@example.com" in found.people


@pytest.mark.parametrize(
    "line",
    [
        f"*@example.com {KEY}",
        f"* {KEY}",
        f"?nn@example.com {KEY}",
        f"*@example.com,!bob@example.com {KEY}",
        f"ann@example.com,!bob@example.com {KEY}",
        f"ann@example.com cert-authority {KEY}",
        f"*@example.com cert-authority {KEY}",
        f'ann@example.com namespaces="git",cert-authority {KEY}',
        f'ann@example.com namespaces="file" {KEY}',
        f'ann@example.com valid-after="tomorrow" {KEY}',
        f'ann@example.com valid-before="20261301Z" {KEY}',
        f'ann@example.com valid-after="20270101Z",valid-before="20260101Z" {KEY}',
        f"ann@example.com no-touch-required {KEY}",
        f'"ann@example.com" {KEY}',
        f'ann@example.com namespaces="git {KEY}',
        f"ann@example.com, {KEY}",
        "ann@example.com ssh-ed25519",
        "ann@example.com ssh-ed25519 not-base64!",
        f"ann@example.com ssh-rsa {KEY.split()[1]}",
        f"ann@example.com ssh-ed25519-cert-v01@openssh.com {KEY.split()[1]}",
        "ann@example.com",
        f"{KEY}",
        f"ann@example.com\u202e {KEY}",
        f"ann@example.com\x1b[2J {KEY}",
    ],
)
def test_an_odd_line_counts_for_nobody(line: str) -> None:
    found = only(line)
    assert isinstance(found, Unbelieved), found
    assert found.why
    assert believed(line.encode()) == b""
    assert unbelieved(line.encode()) == (found,)


def test_what_is_no_text_counts_for_nobody() -> None:
    assert believed(b"\xff\xfe" + KEY.encode()) == b""
    assert unbelieved(b"x" * (2 << 20))[0].line == 0


def test_comments_and_empty_lines_say_nothing() -> None:
    assert read_signers(f"# a list\n\n   \nann@example.com {KEY}\n".encode())[0] == only(f"\n\n\nann@example.com {KEY}")


def test_each_person_gets_a_line_and_one_can_be_looked_for() -> None:
    raw = f"ann@example.com,ann@work.example {KEY}\n".encode()
    assert believed(raw).decode().split("\n")[:2] == [f"ann@example.com {KEY}", f"ann@work.example {KEY}"]
    assert believed(raw, only="ann@work.example").decode() == f"ann@work.example {KEY}\n"
    assert people_of(raw) == {"ann@example.com", "ann@work.example"}


@pytest.mark.parametrize(
    ("options", "valid"),
    [
        ('valid-before="20260216095959Z"', False),
        ('valid-before="20260216100000Z"', True),
        ('valid-after="20260216100000Z"', True),
        ('valid-after="20260216100001Z"', False),
        ('valid-after="202602160959Z",valid-before="202602161001Z"', True),
    ],
)
def test_a_key_counts_only_while_it_is_valid(options: str, valid: bool) -> None:
    raw = f"ann@example.com {options} {KEY}\n".encode()
    assert bool(believed(raw, NOW)) is valid
    assert believed(raw)


def _key(first: str) -> str:
    return KEY[:-20] + first + KEY[-19:]


def _hands(*lines: str) -> set[frozenset[str]]:
    hands = hands_of("".join(f"{line}\n" for line in lines).encode(), lambda address: address.replace("+old", ""))
    return {frozenset(who for who, hand in hands.items() if hand == one) for one in hands.values()}


def test_who_shares_a_key_directly_or_in_turn_may_be_one_human() -> None:
    a, b, c, d = (_key(first) for first in "abcd")
    ann, ben, eve, kim = (f"{name}@example.com" for name in ("ann", "ben", "eve", "kim"))
    assert _hands(f"{ann} {a}", f"{ben} {b}") == {frozenset({ann}), frozenset({ben})}
    assert _hands(f"{ann} {a}", f"{ann} {b}", f"{ben} {c}") == {frozenset({ann}), frozenset({ben})}
    assert _hands(f"{ann},{ben} {a}", f"{eve} {c}") == {frozenset({ann, ben}), frozenset({eve})}
    # The last line joins two pairs that were apart.
    pairs = (f"{ann} {a}", f"{ben} {a}", f"{eve} {b}", f"{kim} {b}", f"{kim} {d}")
    assert _hands(*pairs) == {frozenset({ann, ben}), frozenset({eve, kim})}
    assert _hands(*pairs, f"{ben} {d}") == {frozenset({ann, ben, eve, kim})}
    assert _hands(f"ann+old@example.com {a}", f"{ann} {a}") == {frozenset({ann})}
    assert _hands(f'{ann} valid-before="20200101Z" {a}', f"{ben} {a}") == {frozenset({ann, ben})}
    assert _hands(f"* {a}", f"{ann} {b}") == {frozenset({ann})}
