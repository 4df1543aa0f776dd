"""Shapes from captured requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.errors import ShapeError
from ccinspect.shapes.audit import audit
from ccinspect.shapes.capture import Seen, capture, strip
from ccinspect.shapes.shape import parse_shape, shape_text
from tests.shapes.samples import PATHS, body_of, filled, seen

AT = "2026-11-21T07:00:00Z"
NOW = 1_795_244_400.0
HEADERS = [
    ("Host", "api.anthropic.com"),
    ("Content-Type", "application/json"),
    ("Content-Length", "5"),
    ("User-Agent", "claude-cli/2.1.3 (external, cli)"),
    ("Authorization", "Bearer REDACTED~abcd~0123456789ab"),
    ("X-Stainless-Lang", "js"),
    ("x-app", "cli"),
    ("x-client-request-id", "0f8fad5b-d9cb-469f-a165-70867728950e"),
    ("X-Claude-Code-Session-Id", "0f8fad5b-d9cb-469f-a165-70867728950e"),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14"),
    ("x-ccinspect-hooks", "-shape"),
    ("x-team", "blue"),
]
CACHED = {"cache_control": {"type": "ephemeral"}}
BODY: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 32000,
    "stream": True,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "metadata": {"user_id": "user_0123_account__session_0f8fad5b-d9cb-469f-a165-70867728950e"},
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.3; cch=abc;"},
        {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude.", **CACHED},
        {"type": "text", "text": "Work with care.\nYour home is /home/alice/src", **CACHED},
    ],
    "tools": [{"name": "Bash", "description": "Runs a command.", "input_schema": {"type": "object"}}],
    "messages": [{"role": "user", "content": "my password is hunter2, mail alice@corp.org"}],
}


def test_what_a_request_says_of_its_sender_is_gone() -> None:
    shape = capture(seen(BODY, headers=HEADERS, agent="claude-code", path="/v1/messages?beta=true"), "cc", AT)
    assert shape.body == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 32000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    assert shape.headers == {
        "anthropic-beta": "interleaved-thinking-2025-05-14",
        "anthropic-version": "2023-06-01",
        "x-team": "blue",
    }
    assert (shape.agent, shape.path, shape.saved_from, shape.saved_at) == (
        "claude-code",
        "/v1/messages?beta=true",
        "f1",
        AT,
    )
    assert audit(shape, NOW) == []
    text = shape_text(shape)
    for word in ("alice", "hunter2", "abcd", "0f8fad5b", "claude-cli", "oauth", "Bash", "billing"):
        assert word not in text
    assert parse_shape(text.encode(), "it") == shape


def test_headers_can_be_dropped() -> None:
    headers = [("X-Team", "of alice@corp.org")]
    with pytest.raises(ShapeError) as caught:
        capture(seen(BODY, headers=headers), "cc", AT)
    assert caught.value.hint == "leave those parts out: --drop 'headers.X-Team'"
    assert capture(seen(BODY, headers=headers), "cc", AT, drop=["headers.x-team"]).headers == {}


def test_what_was_left_out_is_told_without_its_values() -> None:
    captured = strip(seen(BODY, headers=HEADERS), "cc", AT)
    assert ("headers.Authorization", "credential") in captured.removed
    assert ("body.messages", "content") in captured.removed
    assert ("body.metadata.user_id", "id") in captured.removed
    assert "hunter2" not in str(captured.removed)
    assert "0123456789ab" not in str(captured.removed)
    assert captured.left == ()


def test_it_can_be_filled_with_another_request() -> None:
    shape = capture(seen(BODY, headers=HEADERS, agent="claude-code"), "cc", AT)
    result = filled(shape, {"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    assert body_of(result) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 32000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    assert result.outgoing.headers.get("x-client-request-id") == "new-id"
    assert result.outgoing.headers.get("user-agent") is None


def test_a_system_prompt_with_something_private_is_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        capture(seen(BODY), "cc", AT, keep=[".system"])
    assert "body.system[0].text: home directory (/home/alice)" in caught.value.message
    assert "--drop '.system[0].text'" in caught.value.hint


def test_what_is_kept_is_kept_without_the_clients_name() -> None:
    body = BODY | {"system": [*BODY["system"][:2], {"type": "text", "text": "Work with care.", **CACHED}]}
    shape = capture(seen(body), "cc", AT, keep=[".system", ".tools"])
    assert shape.body["system"] == [{"type": "text", "text": "Work with care."}]
    assert shape.body["tools"] == BODY["tools"]
    assert shape.merge_strategies == {".system": "append"}
    result = filled(shape, {"model": "m", "messages": [], "system": "And be quick."})
    assert [block["text"] for block in body_of(result)["system"]] == ["Work with care.", "And be quick."]


def test_parts_can_be_dropped() -> None:
    body = {"model": "m", "tools": [{"name": "a"}, {"name": "/home/alice/x"}, {"name": "c"}, {"name": "/home/bob/x"}]}
    with pytest.raises(ShapeError, match="something private"):
        capture(seen(body), "cc", AT, keep=[".tools"])
    shape = capture(seen(body), "cc", AT, keep=[".tools"], drop=[".tools[1]", ".tools[3]"])
    assert shape.body["tools"] == [{"name": "a"}, {"name": "c"}]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("sk-ant-api03-AbCdEfGhIjKl0123", "credential"),
        ("sk-ccinspect-work", "sentinel"),
        ("alice@corp.org", "e-mail address"),
        ("/Users/alice/x", "home directory"),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", "id"),
        ("alicebox is up", "name"),
    ],
)
def test_anything_private_that_is_left_refuses_the_whole(value: str, kind: str) -> None:
    for body, where in (
        ({"odd_field": {"deep": [value]}}, "body.odd_field.deep[0]"),
        ({"odd_field": {value: 1}}, "body.odd_field (a key)"),
    ):
        with pytest.raises(ShapeError) as caught:
            capture(seen(BODY | body), "cc", AT, names=["alicebox"])
        assert f"{where}: {kind}" in caught.value.message
    with pytest.raises(ShapeError) as caught:
        capture(seen(BODY, headers=[("x-odd", value)]), "cc", AT, names=["alicebox"])
    assert f"headers.x-odd: {kind}" in caught.value.message


CALLS: dict[str, dict[str, Any]] = {
    "openai_chat": {
        "model": "gpt-5",
        "messages": [{"role": "user", "content": "x"}],
        "user": "bob",
        "prompt_cache_key": "s1",
        "tools": [],
        "temperature": 0.2,
        "metadata": {"trace": "t"},
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "openai_responses": {
        "model": "gpt-5",
        "input": [],
        "instructions": "x",
        "client_metadata": {"session_id": "s"},
        "prompt_cache_key": "s",
        "previous_response_id": "resp_1",
        "temperature": 0.2,
        "include": ["reasoning.encrypted_content"],
    },
    "gemini": {
        "contents": [],
        "systemInstruction": {"parts": []},
        "system_instruction": {},
        "tools": [],
        "labels": {"user": "bob"},
        "cachedContent": "cachedContents/1",
        "generationConfig": {"temperature": 0.2, "responseSchema": {}},
    },
    "ollama": {
        "model": "llama",
        "messages": [],
        "context": [1, 2],
        "images": ["x"],
        "options": {"temperature": 0.2, "stop": ["x"]},
    },
}


@pytest.mark.parametrize("dialect", CALLS)
def test_every_dialect_keeps_its_settings_only(dialect: str) -> None:
    shape = capture(seen(CALLS[dialect], dialect), "it", AT)
    assert shape.dialect == dialect
    left = {key: value for key, value in shape.body.items() if key not in ("model",)}
    assert json.dumps(left) in (
        '{"temperature": 0.2}',
        '{"generationConfig": {"temperature": 0.2}}',
        '{"options": {"temperature": 0.2}}',
    )
    assert [remark for remark in audit(shape, NOW) if remark.level != "note"] == []


@pytest.mark.parametrize(
    ("path", "became"),
    [
        ("/v1/messages?beta=true&key=abc", "/v1/messages?beta=true"),
        ("/v1/messages?user_id=1", "/v1/messages"),
        ("/v1/messages?x=a%40corp.org&alt=sse", "/v1/messages"),
    ],
)
def test_the_query_is_stripped(path: str, became: str) -> None:
    assert capture(seen(BODY, path=path), "cc", AT).path == became


@pytest.mark.parametrize(
    ("path", "became"),
    [
        ("/v1/0a1b2c3d/corp-gateway/anthropic/v1/messages", "/v1/messages"),
        ("/v1/projects/corp/locations/eu/publishers/anthropic/models/claude-sonnet-4-5:rawPredict", "/v1/messages"),
        ("/openai/deployments/corp-secret/chat/completions?api-version=2025-01-01",
         "/v1/chat/completions?api-version=2025-01-01"),
        ("/v1/projects/corp/locations/eu/publishers/google/models/gemini-3-pro:streamGenerateContent?alt=sse",
         "/v1beta/models/gemini-3-pro:streamGenerateContent"),
        ("/v1beta/tunedModels/corp-secret:generateContent", "/v1beta/models/gemini:generateContent"),
        ("/v1/models/gemini-3-pro:generateContent", "/v1beta/models/gemini-3-pro:generateContent"),
        ("/api/generate", "/api/generate"),
    ],
)  # fmt: skip
def test_the_path_names_no_project_and_no_deployment(path: str, became: str) -> None:
    assert capture(seen({"temperature": 0.5}, path=path), "it", AT).path == became


@pytest.mark.parametrize("model", ["ft:gpt-4o:corp:x:1", "projects/corp/locations/x", "arn:aws:x"])
def test_a_model_of_ones_own_is_not_kept(model: str) -> None:
    assert "model" not in capture(seen({"model": model, "seed": 1}, "openai_chat"), "it", AT).body


@pytest.mark.parametrize(
    ("request_seen", "said"),
    [
        (seen(b"{"), "no JSON body"),
        (seen(b""), "no JSON body"),
        (seen([1]), "no JSON body"),
        (seen({"a": 1}, path="/v1/messages/count_tokens"), "no model call"),
        (seen({"a": 1}, path="/v1/embeddings"), "no model call"),
        (seen({"a": 1}, path="/index.html"), "no model call"),
        (seen({"a": 1}, method="GET"), "no model call"),
        (seen({"a": 1}, path="/model/x/invoke"), "no model call"),
    ],
)
def test_other_flows_are_refused(request_seen: Seen, said: str) -> None:
    with pytest.raises(ShapeError, match=said):
        capture(request_seen, "it", AT)


@pytest.mark.parametrize(
    ("keep", "said"),
    [(".messages", "cannot hold"), (".", "whole body"), ("..", "no path"), (".system[0]", "by itself")],
)
def test_what_cannot_be_kept_is_said(keep: str, said: str) -> None:
    with pytest.raises(ShapeError, match=said):
        capture(seen(BODY), "it", AT, keep=[keep])


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ShapeError, match="no shape can be made"):
        capture(seen(BODY), "../x", AT)


def test_odd_bodies_do_not_break_it() -> None:
    for system in (5, None, "", [], [None, 1, {"text": None}], {"a": 1}):
        for path in PATHS.values():
            body = {
                "system": system,
                "metadata": 7,
                "container": None,
                "generationConfig": [],
                "options": "x",
                "user": 5,
            }
            captured = strip(seen(body, path=path), "it", AT, keep=[".system"])
            # What tells who somebody is goes.
            assert "user" not in captured.shape.body
