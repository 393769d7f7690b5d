"""Who may see the console in a browser, rule by rule."""

from __future__ import annotations

import pytest

from console.serve import Guard

LOCAL = Guard("http://127.0.0.1:8000", ("127.0.0.1:8000", "localhost:8000"), "")
BEHIND_PROXY = Guard("https://console.example.com", ("127.0.0.1:8000",), "")
OPEN = Guard("http://desk:8000", ("0.0.0.0:8000",), "secret")


@pytest.mark.parametrize(
    ("guard", "host", "origin", "token", "status"),
    [
        (LOCAL, "127.0.0.1:8000", None, "", None),
        (LOCAL, "LOCALHOST:8000", "http://localhost:8000", "", None),
        (LOCAL, "127.0.0.1:8000", "http://localhost:8000", "", 403),
        (LOCAL, "127.0.0.1:8000", "http://127.0.0.1:8001", "", 403),
        (LOCAL, "127.0.0.1:8000", "https://127.0.0.1", "", 403),
        (LOCAL, "127.0.0.1:8000", "null", "", 403),
        (LOCAL, "127.0.0.1:8000", "", "", 403),
        (LOCAL, "127.0.0.1", None, "", 403),
        (LOCAL, "rebound.example:8000", "http://rebound.example:8000", "", 403),
        (LOCAL, "127.0.0.1:8000.evil.example", None, "", 403),
        (LOCAL, "", None, "", 403),
        (LOCAL, "[::1", "http://[::1", "", 403),
        (BEHIND_PROXY, "console.example.com:443", "https://console.example.com", "", None),
        (BEHIND_PROXY, "127.0.0.1:8000", "https://console.example.com", "", None),
        (BEHIND_PROXY, "console.example.com", "https://console.example.com", "", None),
        (BEHIND_PROXY, "127.0.0.1:8000", "https://evil.example.com", "", 403),
        (OPEN, "any-name:8000", "http://any-name:8000", "secret", None),
        (OPEN, "any-name:8000", None, "", 401),
        (OPEN, "desk:8000", "http://desk:8000", "secret ", 401),
        (OPEN, "desk:8000", None, "é\udcff", 401),
        (OPEN, "[::1", "null", "secret", 403),
        (OPEN, "desk:8000", "http://evil.example", "secret", 403),
    ],
)
def test_a_request_is_let_in_only_by_a_name_and_a_page_of_ours_and_with_the_token(
    guard: Guard, host: str, origin: str | None, token: str, status: int | None
) -> None:
    refusal = guard.refusal(host, origin, token)
    assert (refusal and refusal.status) == status
