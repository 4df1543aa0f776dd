"""Markers for Anthropic's cache."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.hooks.cache_breakpoints import cache_breakpoints
from tests.hooks.through import run_hook
from tests.pipeline.running import request, states

BODY = (
    b'{"max_tokens": 10.0, "tools": [{"name": "a"}, {"name" : "b"}], "system": [{"type": "text", "text": "s"}],'
    b' "messages": [{"role": "user", "content": [{"type": "text", "text": "hi",'
    b' "cache_control": {"type": "ephemeral"}}]},'
    b' {"role": "assistant", "content": "ho"}, {"role": "user", "content": [{"type": "text", "text": "he"}]}]}'
)


def marked(body: bytes | None) -> list[str]:
    value = json.loads(body or b"")
    found = [f"tool {tool['name']}" for tool in value["tools"] if "cache_control" in tool]
    found += ["system" for block in value["system"] if "cache_control" in block]
    for message in value["messages"]:
        found += [block["text"] for block in message["content"] if isinstance(block, dict) and "cache_control" in block]
    return found


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["tool b", "system", "hi", "he"]),
        ({"count": 2}, ["tool b", "hi"]),
        ({"count": 1}, ["hi"]),
        ({"count": 1, "strip": True}, ["tool b"]),
        ({"where": ["last_user"], "strip": True}, ["he"]),
        ({"where": [".tools[0]"], "strip": True}, ["tool a"]),
        ({"where": [], "strip": True}, []),
    ],
)
def test_places_are_marked(params: dict[str, object], expected: list[str]) -> None:
    result = run_hook(cache_breakpoints, request(BODY), params=params)
    assert states(result) == {"cache_breakpoints": "ran"}
    assert marked(result.outgoing.body) == expected
    # What is not marked keeps its spelling.
    assert b'{"max_tokens": 10.0, "tools": [{"name": "a"' in (result.outgoing.body or b"")


def test_how_long_they_live() -> None:
    result = run_hook(cache_breakpoints, request(BODY), params={"where": ["tools"], "ttl": "1h"})
    assert json.loads(result.outgoing.body or b"")["tools"][1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages/count_tokens", "/v1/models"])
def test_it_is_for_model_calls_to_anthropic(path: str) -> None:
    result = run_hook(cache_breakpoints, request(BODY, path=path))
    assert states(result) == {"cache_breakpoints": "skipped"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"5", b"{}", b'{"messages": 5, "tools": {}, "system": 5}', b'{"messages": [5]}']
)
def test_no_body_breaks_it(body: bytes) -> None:
    outgoing = request(body)
    result = run_hook(cache_breakpoints, outgoing)
    assert states(result) == {"cache_breakpoints": "ran"}
    assert result.outgoing is outgoing


@pytest.mark.parametrize("params", [{"count": 5}, {"count": 0}, {"ttl": "2h"}, {"how": 1}])
def test_parameters_that_make_no_sense(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        run_hook(cache_breakpoints, request(BODY), params=params)
