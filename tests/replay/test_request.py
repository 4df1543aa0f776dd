"""What `flows replay` would send, without sending it."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from ccinspect.errors import CcinspectError, CredentialsError
from ccinspect.identity.providers import Providers
from ccinspect.replay.request import Replay, Wish, replay_of

KEY = "REDACTED~abcd~0123456789ab"
OTHER = "REDACTED~wxyz~ba9876543210"
BODY = b'{"model":"claude-sonnet-4-5",  "max_tokens":1e2, "messages":[]}'


def message(**changes: Any) -> dict[str, Any]:
    return {
        "method": "POST",
        "scheme": "https",
        "host": "api.anthropic.com",
        "pretty_host": "api.anthropic.com",
        "port": 443,
        "path": "/v1/messages?beta=true",
        "headers": [
            ["Host", "api.anthropic.com"],
            ["X-Api-Key", KEY],
            ["Content-Type", "application/json"],
            ["Accept-Encoding", "gzip, br"],
            ["Content-Length", "60"],
            ["X-Ccinspect-Project", "p"],
            ["X-Ccinspect-Session", "s"],
        ],
    } | changes


def made(
    asked: dict[str, Any] | None = None,
    wish: Wish | None = None,
    environ: dict[str, str] | None = None,
    body: bytes = BODY,
    token: str | None = None,
    **record: Any,
) -> Replay:
    asked = asked or message()
    whole = {"id": "f1", "source": "proxy", "request": asked, **record}
    found = {"ANTHROPIC_API_KEY": "sk-real", "GEMINI_API_KEY": "AI-real"} if environ is None else environ
    return replay_of(whole, asked, body, wish or Wish(), Providers(), found, token)


def headers(replay: Replay) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in replay.headers}


def test_the_clients_request_goes_out_as_it_was() -> None:
    replay = made()
    assert (replay.method, replay.path, replay.body) == ("POST", "/v1/messages?beta=true", BODY)
    assert headers(replay) == {
        "x-api-key": "sk-real",
        "content-type": "application/json",
        "accept-encoding": "gzip, br",
        "x-ccinspect-project": "p",
        "x-ccinspect-parent": "f1",
        "x-ccinspect-upstream": "https://api.anthropic.com",
    }


@pytest.mark.parametrize(
    ("source", "path", "request_", "changes", "upstream", "sent"),
    [
        ("wireguard", "/v1/messages", {}, None, "https://api.anthropic.com", "/v1/messages"),
        ("proxy", "/v1/x", {"port": 8443, "scheme": "http"}, None, "http://api.anthropic.com:8443", "/v1/x"),
        ("reverse", "/r/0ab1/anthropic/v1/messages", {}, None, "https://upstream.example", "/v1/messages"),
        ("reverse", "/v1/messages", {}, {"route": {"action": "none"}}, "https://upstream.example", "/v1/messages"),
        ("reverse", "/r/0a/x/v1/messages", {}, {"route": {"action": "redirect"}}, None, "/v1/messages"),
        ("proxy", "/v1/x", {}, {"route": {"action": "transform"}}, "https://api.anthropic.com", "/v1/x"),
    ],
)
def test_it_goes_where_the_client_wanted_it_to_go(
    source: str,
    path: str,
    request_: dict[str, Any],
    changes: dict[str, Any] | None,
    upstream: str | None,
    sent: str,
) -> None:
    forwarded = message(host="upstream.example", pretty_host="upstream.example")
    asked = message(path=path, headers=[], **request_)
    replay = made(asked, source=source, request=forwarded, changes=changes)
    assert headers(replay).get("x-ccinspect-upstream") == upstream
    assert replay.path == sent


def test_a_path_of_any_bytes_can_be_sent() -> None:
    asked = message(path="/v1/ü\udcff x\r\n?a=%20", headers=[])
    assert made(asked).path == "/v1/%C3%BC%FF%20x%0D%0A?a=%20"


def test_a_model_and_values_are_set_and_the_rest_keeps_its_bytes() -> None:
    replay = made(wish=Wish(model="claude-opus-4-5", assignments=("max_tokens=7", "metadata={}")))
    assert replay.body == b'{"model":"claude-opus-4-5",  "max_tokens":7, "messages":[],  "metadata":{}}'


def test_a_changed_body_is_sent_without_its_encoding() -> None:
    zipped = gzip.compress(BODY)
    asked = message(headers=[["Content-Encoding", "gzip"], ["X-Api-Key", KEY]])
    assert made(asked, body=zipped).body == zipped
    assert headers(made(asked, body=zipped))["content-encoding"] == "gzip"
    changed = made(asked, Wish(model="m"), body=zipped)
    assert json.loads(changed.body)["model"] == "m"
    assert "content-encoding" not in headers(changed)


def test_the_model_of_gemini_is_in_the_path() -> None:
    asked = message(
        host="generativelanguage.googleapis.com",
        pretty_host="generativelanguage.googleapis.com",
        path=f"/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse&key={OTHER}",
        headers=[],
    )
    replay = made(asked, Wish(model="gemini-3-flash"), body=b"{}")
    assert replay.path == "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse&key=AI-real"
    assert replay.body == b"{}"
    sentinel = made(asked, Wish(with_auth=frozenset(["gemini"])), environ={}, body=b"{}")
    assert sentinel.path.endswith("key=sk-ccinspect-gemini")


@pytest.mark.parametrize(
    ("carried", "environ", "expected"),
    [
        ([["Authorization", f"Bearer {KEY}"]], {"ANTHROPIC_AUTH_TOKEN": "t"}, {"authorization": "Bearer t"}),
        ([["Authorization", f"Bearer {KEY}"]], {"ANTHROPIC_API_KEY": "k"}, {"x-api-key": "k"}),
        ([["authorization", f"Bearer {OTHER}"], ["x-api-key", KEY]], {"ANTHROPIC_API_KEY": "k"}, {"x-api-key": "k"}),
        ([], {}, {}),
    ],
)
def test_credentials_come_from_the_environment(
    carried: list[list[str]], environ: dict[str, str], expected: dict[str, str]
) -> None:
    found = headers(made(message(headers=carried), environ=environ))
    assert {name: found[name] for name in ("authorization", "x-api-key") if name in found} == expected


def test_a_provider_with_auth_gets_its_sentinel() -> None:
    found = headers(made(wish=Wish(with_auth=frozenset(["anthropic"])), environ={}, token="secret"))
    assert found["authorization"] == "Bearer sk-ccinspect-anthropic"
    assert "x-api-key" not in found
    assert found["x-ccinspect-token"] == "secret"
    other = headers(made(wish=Wish(provider="mine", with_auth=frozenset(["mine", "anthropic"])), environ={}))
    assert other["authorization"] == "Bearer sk-ccinspect-mine"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(CredentialsError) as caught:
        made(environ={})
    assert "ANTHROPIC_API_KEY" in caught.value.hint
    with pytest.raises(CredentialsError, match="no `auth` for a provider 'other'") as caught:
        made(wish=Wish(provider="other", with_auth=frozenset(["work"])))
    assert "`auth` stands at work" in caught.value.hint


@pytest.mark.parametrize("key", ["secret\n", "se cret", "secret\r\nX-Evil: 1", "sécret"])
def test_a_key_that_cannot_be_one_is_not_quoted(key: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        made(environ={"ANTHROPIC_API_KEY": key})
    assert "ANTHROPIC_API_KEY" in caught.value.message
    assert "cret" not in caught.value.message + caught.value.hint


def test_a_key_only_goes_to_its_providers_hosts() -> None:
    asked = message(host="evil.example", pretty_host="evil.example")
    with pytest.raises(CredentialsError) as caught:
        made(asked)
    assert "ANTHROPIC" not in caught.value.hint


def test_other_secrets_are_left_out() -> None:
    asked = message(headers=[["X-Api-Key", KEY], ["Cookie", f"a={OTHER}"], ["X-Csrf-Token", OTHER], ["X-A", "1"]])
    replay = made(asked)
    assert replay.left_out == ("Cookie", "X-Csrf-Token")
    assert "REDACTED" not in repr(replay)
    assert headers(replay)["x-a"] == "1"


@pytest.mark.parametrize(
    ("body", "wish", "said"),
    [
        (b"not JSON", Wish(model="m"), "no JSON"),
        (b"7", Wish(assignments=("a=1",)), "no JSON"),
        (b"{}", Wish(assignments=("a.b=1",)), "the request has no .a"),
        (b"{}", Wish(assignments=("nonsense",)), "no assignment"),
    ],
)
def test_what_cannot_be_changed_is_said(body: bytes, wish: Wish, said: str) -> None:
    with pytest.raises(CcinspectError, match=said):
        made(wish=wish, body=body)


def test_a_body_that_cannot_be_decoded_cannot_be_changed() -> None:
    asked = message(headers=[["Content-Encoding", "gzip"], ["X-Api-Key", KEY]])
    with pytest.raises(CcinspectError, match="cannot be decoded"):
        made(asked, Wish(model="m"))
