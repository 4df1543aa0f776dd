"""Telling a model call to an unknown host by its path and shape."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.identity.lookalike import MAX_SCAN, looks_like, outline
from ccinspect.wire.registry import DIALECTS

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
LONG = [{"role": "user", "content": "x" * 100_000}]


@pytest.mark.parametrize(
    ("path", "body", "dialect"),
    [
        ("/v1/chat/completions", CHAT, "openai_chat"),
        ("/x/v1/messages?beta=true", CHAT, "anthropic"),
        ("/anything", CHAT, "openai_chat"),
        ("/anything", CHAT | {"system": "s", "max_tokens": 10}, "anthropic"),
        ("/anything", {"messages": LONG, "model": "m"}, "openai_chat"),
        ("/model/x/converse", {"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "bedrock"),
        ("/x", {"messages": CHAT["messages"], "inferenceConfig": {}, "stream": True}, "bedrock"),
        ("/v1beta/models/g:generateContent", {"contents": []}, "gemini"),
        ("/x", {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}, "gemini"),
        ("/x", {"model": "m", "project": "p", "request": {"contents": []}}, "gemini"),
        ("/v1/responses", {"model": "m", "input": "x"}, "openai_responses"),
        ("/x", {"model": "m", "input": [], "tools": []}, "openai_responses"),
        ("/x", {"model": "m", "prompt": "x", "max_tokens": 1}, "openai_completions"),
        ("/api/generate", {"model": "m", "prompt": "x"}, "ollama"),
        ("/x", {"conversationState": {}}, "amazon_q"),
        # What other services send, too.
        ("/v1/messages", {"to": "someone", "text": "x"}, None),
        ("/api/chat", {"room": 1, "messages": []}, None),
        ("/slack", {"messages": [{"role": "admin", "content": "x"}]}, None),
        ("/search", {"input": "x", "model": "car"}, None),
        ("/x", {"prompt": "x", "model": "m"}, None),
        ("/x", {"nested": CHAT}, None),
        ("/x", [CHAT], None),
        ("/x", "messages", None),
        ("/x", {}, None),
    ],
)
def test_calls_are_told_from_other_traffic(path: str, body: object, dialect: str | None) -> None:
    data = json.dumps(body).encode()
    assert looks_like(path, data) == dialect
    assert looks_like(path, b"\xef\xbb\xbf  " + json.dumps(body, indent=2).encode()) == dialect
    assert looks_like(path, data, method="PUT") is None


def test_anthropics_version_header_tells_its_dialect() -> None:
    assert looks_like("/x", json.dumps(CHAT).encode(), headers=[(b"Anthropic-Version", b"2023-06-01")]) == "anthropic"


def test_the_outline_is_of_the_two_uppermost_levels() -> None:
    body = {"a": {"b": {"c": 1}}, "d": [{"e": 1, "f": {"g": 1}}, {"h": 1}], "i": [1, "x"], 'q"\\': 1}
    expected = {"a": {"b"}, "d": {"e", "f"}, "i": frozenset(), r"q\"\\": frozenset()}
    assert outline(json.dumps(body).encode()) == expected


@given(st.dictionaries(st.text("abc"), st.recursive(st.integers() | st.text(), st.lists, max_leaves=5)))
def test_the_outline_has_the_keys_that_json_has(body: dict[str, object]) -> None:
    assert set(outline(json.dumps(body).encode())) == set(body)


@given(st.binary(max_size=500))
def test_no_body_raises(data: bytes) -> None:
    for path, body in (("/v1/messages", data), ("/x", b"{" + data)):
        assert looks_like(path, body) in (None, "opaque", *DIALECTS)


@pytest.mark.parametrize(
    "data",
    [
        b'{"' + b"a" * 10_000_000,
        b"{" + b'"\\' * 5_000_000,
        b"{" * 10_000_000,
        b'{"a":' + b"[" * 10_000_000,
        b'{"a":1,' * 1_000_000,
        b'{"' + b'\\"' * 5_000_000,
    ],
    ids=["open string", "backslashes", "braces", "brackets", "keys", "quotes"],
)
def test_hostile_bodies_cost_no_more_than_the_first_bytes(data: bytes) -> None:
    started = time.process_time()
    outline(data)
    assert time.process_time() - started < 1
    assert len(data) > 20 * MAX_SCAN
