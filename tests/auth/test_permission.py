"""Who may use a sentinel, as a table."""

from __future__ import annotations

import pytest

from ccinspect.auth.permission import is_loopback, refusal
from ccinspect.pipeline.message import Facts, Headers

REVERSE = Facts("f", "reverse")
PROXY = Facts("f", "proxy")
RUN = Facts("f", "wireguard", run="r1")
RUN_BY_BASE_URL = Facts("f", "reverse", run="r1")
PORTS = (4000, 4080, 8083)


def said(facts: Facts, host: str | None = "127.0.0.1:4000", token: str | None = None, **fields: str) -> str | None:
    headers = Headers((name.replace("_", "-").encode(), value.encode()) for name, value in fields.items())
    return refusal(facts, headers, host=host, listener_ports=PORTS, token_given=token)


@pytest.mark.parametrize(
    ("facts", "host", "fields"),
    [
        (REVERSE, "127.0.0.1:4000", {}),
        (REVERSE, "localhost:4000", {}),
        (REVERSE, "[::1]:4000", {}),
        (REVERSE, "localhost:9999", {}),
        (REVERSE, None, {}),
        (RUN_BY_BASE_URL, "127.0.0.1:4000", {}),
        (RUN, "api.anthropic.com", {}),
        (PROXY, "api.anthropic.com", {}),
        (REVERSE, "127.0.0.1:4000", {"sec_fetch_mode": "cors"}),
        (REVERSE, "127.0.0.1:4000", {"sec_fetch_site": "none"}),
        (REVERSE, "127.0.0.1:4000", {"origin": "http://127.0.0.1:8083"}),
        (REVERSE, "127.0.0.1:4000", {"origin": "http://localhost:4000"}),
    ],
)
def test_programs_may(facts: Facts, host: str | None, fields: dict[str, str]) -> None:
    assert said(facts, host, **fields) is None


@pytest.mark.parametrize("facts", [REVERSE, PROXY, RUN, RUN_BY_BASE_URL])
@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "https://evil.example"},
        {"Origin": "null"},
        {"ORIGIN": ""},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1.evil.example:4000"},
        {"origin": "http://127.0.0.1:4000@evil.example"},
        {"origin": "http://localhost:99999"},
        {"origin": "http://[::1:4000"},
        {"origin": "chrome-extension://abc"},
        {"sec_fetch_site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "what-comes-next"},
        {"origin": "http://127.0.0.1:4000", "sec_fetch_site": "same-origin"},
    ],
)
def test_web_pages_may_not(facts: Facts, fields: dict[str, str]) -> None:
    assert "web pages" in str(said(facts, **fields))


def test_one_foreign_origin_among_several_is_enough() -> None:
    fields = [(b"origin", b"http://127.0.0.1:4000"), (b"origin", b"https://evil.example")]
    assert refusal(REVERSE, Headers(fields), host="localhost:4000", listener_ports=PORTS) is not None


@pytest.mark.parametrize(
    "host", ["evil.example:4000", "evil.example", "127.0.0.1.evil.example", "[::1", "10.0.0.1:4000"]
)
def test_a_name_that_was_rebound_may_not(host: str) -> None:
    assert "rebinding" in str(said(REVERSE, host))
    assert "rebinding" in str(said(RUN_BY_BASE_URL, host))


@pytest.mark.parametrize(
    ("facts", "given", "may"),
    [
        (REVERSE, "hush", True),
        (PROXY, "hush", True),
        (REVERSE, None, False),
        (REVERSE, "", False),
        (REVERSE, "hus", False),
        (REVERSE, "hush\u00e9", False),
        (RUN, None, True),
        (RUN_BY_BASE_URL, "wrong", True),
    ],
)
def test_the_token_is_asked_of_all_but_runs(facts: Facts, given: str | None, may: bool) -> None:
    reason = refusal(facts, Headers(), listener_ports=PORTS, token_required="hush", token_given=given)
    assert (reason is None) is may
    assert "hush" not in (reason or "")


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.evil.example", False),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_names_of_this_machine(name: str, is_ours: bool) -> None:
    assert is_loopback(name) is is_ours
