"""Names and forms of tools that the target does not know: told so that it does, and restored in the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.pipeline.message import Headers
from ccinspect.transform.request import Translated, translate_request
from ccinspect.transform.response import ResponseTranslator
from ccinspect.wire.model import Response, StopReason, ToolCall
from ccinspect.wire.registry import DIALECTS
from ccinspect.wire.stream import StreamDecoder
from tests.transform import natives
from tests.transform.matrix import destination
from tests.transform.test_request import body_of, outgoing
from tests.wire import judges

LONG = "mcp__a_server_with_a_long_name__and_a_tool_with_an_even_longer_name_that_goes_on"
PATCH = "*** Begin Patch\n*** End Patch\n"
STREAMED = pytest.mark.parametrize("streamed", [True, False], ids=["stream", "buffered"])

CODEX: dict[str, Any] = {
    "model": "a",
    "stream": True,
    "input": [
        {"type": "message", "role": "user", "content": "x"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": PATCH},
        {"type": "function_call", "call_id": "c2", "name": "search", "namespace": "github", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        {"type": "function_call_output", "call_id": "c2", "output": "found"},
    ],
    "tools": [
        {"type": "custom", "name": "apply_patch", "description": "Patch", "format": {"type": "text"}},
        {"type": "function", "name": "search", "parameters": {"type": "object"}, "strict": None},
        {
            "type": "namespace",
            "name": "github",
            "description": "GitHub",
            "tools": [{"type": "function", "name": "search", "parameters": {"type": "object"}, "strict": None}],
        },
    ],
}


def sent_to(target: str, body: Any, client: str, path: str, **more: Any) -> Translated:
    return translate_request(outgoing(body, path), client, destination(target, **more))


def calls_of(target: str, sent: Translated) -> list[ToolCall]:
    request = DIALECTS[target].decode_request(sent.outgoing.body or b"", sent.outgoing.path)
    return [block for message in request.messages for block in message.blocks if isinstance(block, ToolCall)]


def answered(sent: Translated, calls: tuple[ToolCall, ...], streamed: bool) -> list[ToolCall]:
    """The calls that the client sees of an answer in which the upstream's model made `calls`."""
    upstream, client = sent.client.upstream, sent.client.dialect
    encode = DIALECTS[upstream].encode_response
    assert encode is not None
    body = encode(Response(upstream, "i", "m", calls, stop_reason=StopReason.TOOL_USE)).data()
    translate = ResponseTranslator(sent.client, now=0, unique="u")
    if not streamed:
        # A client that asked for a stream gets the whole answer as one.
        data = translate.buffered(200, Headers(), body).body
    else:
        told = translate.stream("application/json")
        data = told.feed(body) + told.close()
    judges.STREAMS[client](data)
    decoder: StreamDecoder = DIALECTS[client].open_stream(natives.content_type(client, True))
    decoder.feed(data)
    return [block for block in decoder.close().blocks if isinstance(block, ToolCall)]


@pytest.mark.parametrize("target", ["anthropic", "openai_chat", "gemini", "ollama"])
@STREAMED
def test_codexs_tools_go_anywhere_and_come_back(target: str, streamed: bool) -> None:
    sent = sent_to(target, CODEX, "openai_responses", "/v1/responses", only_max_tokens=True)
    judges.accept_request(target, body_of(sent))
    patch, search = calls_of(target, sent)
    assert (patch.name, patch.arguments, patch.kind) == ("apply_patch", {"input": PATCH}, "function")
    request = DIALECTS[target].decode_request(sent.outgoing.body or b"", sent.outgoing.path)
    names = [tool.name for tool in request.tools]
    assert names == ["apply_patch", "search", "github__search"]
    assert search.name == "github__search"
    assert request.tools[0].schema is not None
    assert request.tools[0].schema["properties"] == {"input": {"type": "string"}}
    made = (
        ToolCall("d1", "apply_patch", {"input": PATCH}),
        ToolCall("d2", "github__search", {"q": 1}),
        ToolCall("d3", "search", {}),
    )
    assert [(call.name, call.server, call.kind, call.arguments) for call in answered(sent, made, streamed)] == [
        ("apply_patch", None, "custom", PATCH),
        ("search", "github", "function", {"q": 1}),
        ("search", None, "function", {}),
    ]


def test_free_text_that_comes_in_pieces() -> None:
    sent = sent_to("anthropic", CODEX, "openai_responses", "/v1/responses")
    start = {"type": "tool_use", "id": "d1", "name": "apply_patch", "input": {}}
    text = json.dumps({"input": PATCH})
    events = [
        {"type": "message_start", "message": {"id": "m", "model": "x", "content": [], "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        *[
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": letter}}
            for letter in text
        ],
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    told = ResponseTranslator(sent.client, now=0, unique="u").stream("text/event-stream")
    data = b"".join(told.feed(f"data: {json.dumps(event)}\n\n".encode()) for event in events) + told.close()
    [item] = judges.STREAMS["openai_responses"](data)["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", PATCH)


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "gemini"])
@STREAMED
def test_names_that_are_too_long_are_shortened_and_restored(target: str, streamed: bool) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": LONG, "input": {}}
    body = {
        "model": "a",
        "max_tokens": 9,
        "stream": True,
        "tools": [{"name": name, "input_schema": {"type": "object"}} for name in (LONG, LONG + "2", "short")],
        "tool_choice": {"type": "tool", "name": LONG},
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}]},
        ],
    }
    sent = sent_to(target, body, "anthropic", "/v1/messages")
    request = DIALECTS[target].decode_request(sent.outgoing.body or b"", sent.outgoing.path)
    first, second, short = (tool.name for tool in request.tools)
    assert len({first, second}) == 2
    assert all(len(name) <= 64 for name in (first, second))
    assert short == "short"
    assert request.tool_choice is not None
    assert request.tool_choice.names == (first,)
    [call] = calls_of(target, sent)
    assert call.name == first
    assert [note.severity for note in sent.diagnostics if note.code == "tool_changed"] == ["info", "info"]
    made = (ToolCall("d1", second, {}), ToolCall("d2", "short", {}), ToolCall("d3", "unheard_of", {}))
    assert [made.name for made in answered(sent, made, streamed)] == [LONG + "2", "short", "unheard_of"]


def test_openai_takes_free_text_itself() -> None:
    sent = sent_to("openai_chat", CODEX, "openai_responses", "/v1/responses")
    assert body_of(sent)["tools"][0]["type"] == "custom"
    assert sent.client.tools.keys() == {"github__search"}


def test_names_that_everybody_takes_are_left_alone() -> None:
    body = natives.request("anthropic", "tools", True)
    sent = sent_to("openai_chat", body, "anthropic", "/v1/messages")
    assert sent.client.tools == {}
