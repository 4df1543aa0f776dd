"""Where `proxy.token` may be shown, where not, and that it is taken off."""

from __future__ import annotations

import base64

import pytest

from ccinspect.auth.shown_token import is_right, takes_token
from ccinspect.pipeline.message import Headers

TOKEN = "s\u00e9cret/4711"
QUOTED = "s%C3%A9cret%2F4711"


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("name", "value", "path", "left"),
    [
        (b"x-ccinspect-token", TOKEN.encode(), "/a", "/a"),
        (b"Proxy-Authorization", basic(f"me:{TOKEN}"), "/a", "/a"),
        (b"Proxy-Authorization", basic(TOKEN), "/a", "/a"),
        (b"Proxy-Authorization", basic(f"{TOKEN}:"), "/a", "/a"),
        (b"Proxy-Authorization", b"bearer " + TOKEN.encode(), "/a", "/a"),
        (b"Authorization", basic(f"me:{TOKEN}"), "/a", "/a"),
        (b"Authorization", b"Bearer " + TOKEN.encode(), "/a", None),
        (b"Authorization", b"Basic ???", "/a", None),
        (b"Authorization", b"Basic", "/a", None),
        (b"x-ccinspect-token", b"", "/a", None),
        (b"x-other", TOKEN.encode(), "/a", None),
        (b"x-other", b"", f"/t/{QUOTED}/v1/messages?b=1", "/v1/messages?b=1"),
        (b"x-other", b"", f"/t/{QUOTED}", "/"),
        (b"x-other", b"", f"/t/{QUOTED}?b=1", "/?b=1"),
        (b"x-other", b"", f"/t/{QUOTED}//x", "//x"),
        (b"x-other", b"", "/t//v1", None),
        (b"x-other", b"", "/t/", None),
        (b"x-other", b"", f"/v1?token={QUOTED}", None),
        (b"x-other", b"", f"/x/t/{QUOTED}/v1", None),
    ],
)
def test_places(name: bytes, value: bytes, path: str, left: str | None) -> None:
    assert takes_token(TOKEN, Headers(((name, value), (b"a", b"b"))), path) == left


def test_it_is_taken_off_wherever_it_stands() -> None:
    fields = ((b"Proxy-Authorization", basic(f"me:{TOKEN}")), (b"Authorization", b"Bearer sk-mine"), (b"a", b"b"))
    headers = Headers(fields)
    assert takes_token(TOKEN, headers, f"/t/{QUOTED}/v1") == "/v1"
    assert headers.fields == fields[1:]


def test_a_tunnel_is_asked_for_with_what_is_meant_for_proxies() -> None:
    shown = Headers(((b"Authorization", basic(f"me:{TOKEN}")),))
    assert takes_token(TOKEN, shown, "example.test:443", proxy_only=True) is None


@pytest.mark.parametrize("required", [None, ""])
def test_where_no_token_is_set_nobody_has_it(required: str | None) -> None:
    assert takes_token(required, Headers(((b"x-ccinspect-token", b""),)), "/t//v1") is None
    assert not is_right("", required)
    assert not is_right(None, required)


def test_what_is_endless_is_not_compared() -> None:
    assert not is_right("x" * 5000, "x" * 5000)


@pytest.mark.parametrize(
    "shown", [TOKEN[:-1], TOKEN + "x", "x" + TOKEN, TOKEN[:1], TOKEN.upper(), f" {TOKEN}", "other"]
)
def test_only_the_whole_token_is_right(shown: str) -> None:
    assert is_right(TOKEN, TOKEN)
    assert not is_right(shown, TOKEN)
