"""Requests: read into the model, written back as they were, and changed only where they were changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ccinspect.wire.codec import Encoded
from ccinspect.wire.model import (
    Block,
    CacheMarker,
    Media,
    Message,
    OutputFormat,
    Reasoning,
    Refusal,
    Request,
    Sampling,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Unknown,
    format_path,
)
from ccinspect.wire.registry import DIALECTS
from tests.wire import samples


def decode(dialect: str, body: Any, path: str = "") -> Request:
    return DIALECTS[dialect].decode_request(json.dumps(body).encode(), path)


def encode(dialect: str, request: Request) -> Encoded:
    encoder = DIALECTS[dialect].encode_request
    assert encoder is not None
    return encoder(request)


def blocks_of(request: Request) -> list[Block]:
    found: list[Block] = list(request.system)
    for message in request.messages:
        for block in message.blocks:
            found.append(block)
            if isinstance(block, ToolResult):
                found += block.content
    return found


def at(raw: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        raw = raw[step]
    return raw


@pytest.mark.parametrize(("dialect", "path", "body"), samples.REQUESTS)
def test_every_block_stands_where_its_path_says(dialect: str, path: str, body: dict[str, Any]) -> None:
    request = decode(dialect, body, path)
    assert not request.diagnostics
    for block in blocks_of(request):
        if block.path and isinstance(block.raw, dict | str):
            there = at(body, block.path)
            assert there == block.raw or block.raw in (there or {}).values(), format_path(block.path)
    for thing in (*request.messages, *request.tools):
        there = at(body, thing.path)
        assert thing.raw == there or thing.raw in (there if isinstance(there, list) else [there]) or thing.extra


@pytest.mark.parametrize(("dialect", "path", "body"), [case for case in samples.REQUESTS if case[0] in samples.FIVE])
def test_at_home_a_request_is_written_as_it_came(dialect: str, path: str, body: dict[str, Any]) -> None:
    encoded = encode(dialect, decode(dialect, body, path))
    assert encoded.body == body
    assert list(encoded.body) == list(body)
    assert encoded.path == path
    assert not encoded.diagnostics


@pytest.mark.parametrize(("dialect", "path", "body"), [case for case in samples.REQUESTS if case[0] in samples.FIVE])
def test_a_change_changes_only_what_it_says(dialect: str, path: str, body: dict[str, Any]) -> None:
    request = decode(dialect, body, path)
    last = request.messages[-1]
    changed = replace(
        request, model="other-model", messages=(*request.messages[:-1], last, Message("user", (Text("More."),)))
    )
    encoded = encode(dialect, changed)
    again = DIALECTS[dialect].decode_request(encoded.data(), path)
    assert again.messages[:-1] == request.messages
    assert again.messages[-1].blocks == (Text("More."),)
    inside = body.get("request", body)
    told = encoded.body.get("request", encoded.body)
    changed_keys = {key for key in {*inside, *told} if inside.get(key) != told.get(key)}
    assert changed_keys <= {"model", "messages", "input", "contents"}
    history = next(key for key in ("messages", "input", "contents") if key in inside)
    assert told[history][:-1] == inside[history]


def test_unknown_fields_and_blocks_survive_a_change_beside_them() -> None:
    body = json.loads(json.dumps(samples.ANTHROPIC_REQUEST))
    body["messages"][0]["content"].append({"type": "hologram", "beam": [1, {"x": None}]})
    body["messages"][0]["content"][0]["sparkle"] = True
    body["messages"][0]["mood"] = "good"
    request = decode("anthropic", body, "/v1/messages")
    first = request.messages[0]
    assert isinstance(first.blocks[-1], Unknown)
    assert first.blocks[0].extra == {"sparkle": True}
    text = first.blocks[0]
    assert isinstance(text, Text)
    changed = replace(first, blocks=(replace(text, text="Changed"), *first.blocks[1:]))
    told = encode("anthropic", replace(request, messages=(changed, *request.messages[1:]))).body["messages"][0]
    assert told["mood"] == "good"
    assert told["content"][0] == {"type": "text", "text": "Changed", "sparkle": True}
    assert told["content"][1:] == body["messages"][0]["content"][1:]


def test_anthropic() -> None:
    request = decode("anthropic", samples.ANTHROPIC_REQUEST, "/v1/messages?beta=true")
    assert (request.kind, request.model, request.stream) == ("generate", "claude-sonnet-4-5-20250929", True)
    assert request.system[1] == Text("You are Claude Code.", cache=CacheMarker("1h"))
    user, assistant, answer = request.messages
    assert user.blocks[1] == Media("image", "image/png", samples.PNG)
    assert user.blocks[2] == Media("document", "application/pdf", samples.PDF, name="spec.pdf")
    assert assistant.blocks[0] == Thinking("Read both.", signature=Signature("EqQBCkYIBxgCKkDsig==", "anthropic"))
    assert assistant.blocks[1] == Thinking(redacted=True, signature=Signature("EmwKAhgBsealed==", "anthropic"))
    assert assistant.blocks[3] == ToolCall("toolu_01A", "Read", {"file_path": "/a"})
    assert answer.blocks[0] == ToolResult("toolu_01A", None, (Text("contents of a"),))
    failed = answer.blocks[1]
    assert isinstance(failed, ToolResult)
    assert (failed.is_error, failed.cache, len(failed.content)) == (True, CacheMarker(None), 2)
    assert [(tool.name, tool.kind) for tool in request.tools] == [
        ("Read", "function"),
        ("mcp__github__search", "function"),
        ("web_search", "web_search_20250305"),
    ]
    assert request.tool_choice == ToolChoice("auto", (), True)
    assert request.reasoning == Reasoning(enabled=True, budget=10000)
    assert request.sampling == Sampling(max_tokens=32000, temperature=1)
    assert request.user == "user_ab_account__session_0b2c"
    assert list(request.extra) == ["context_management"]


def test_anthropic_server_tools_and_mcp() -> None:
    content = [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "web_search_result", "url": "u"}]},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s1",
            "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
        },
        {"type": "mcp_tool_use", "id": "m1", "name": "echo", "server_name": "srv", "input": {}},
        {
            "type": "mcp_tool_result",
            "tool_use_id": "m1",
            "is_error": False,
            "content": [{"type": "text", "text": "hi"}],
        },
        {"type": "compaction", "content": "Summary so far"},
    ]
    [message] = decode("anthropic", {"messages": [{"role": "assistant", "content": content}]}).messages
    search, found, failed, call, result, compaction = message.blocks
    assert isinstance(search, ToolCall)
    assert search.executor == "provider"
    assert isinstance(found, ToolResult)
    assert not found.is_error
    assert found.content[0].raw["url"] == "u"
    assert isinstance(failed, ToolResult)
    assert failed.is_error
    assert isinstance(call, ToolCall)
    assert (call.server, call.executor) == ("srv", "provider")
    assert result == ToolResult("m1", None, (Text("hi"),), executor="provider", kind="mcp_tool_result")
    assert isinstance(compaction, Unknown)
    assert "Summary so far" in compaction.text


def test_chat() -> None:
    request = decode("openai_chat", samples.CHAT_REQUEST)
    developer, user, assistant, first, second, last = request.messages
    assert developer == Message("developer", (Text("You are a coding agent."),))
    assert user.blocks[1] == Media("image", "image/png", samples.PNG, detail="high")
    assert user.blocks[2] == Media("document", "application/pdf", samples.PDF, name="a.pdf")
    assert assistant.blocks == (
        Text("Calling."),
        ToolCall("call_1", "read", {"file_path": "/a"}),
        ToolCall("call_2", "list", {}),
    )
    assert first == Message("tool", (ToolResult("call_1", None, (Text("contents"),)),))
    assert second.blocks == (ToolResult("call_2", None, (Text("a b"),)),)
    assert last.blocks == (Text("And now?"),)
    assert request.tool_choice == ToolChoice("tool", ("read",), True)
    assert request.reasoning == Reasoning(enabled=True, effort="low")
    assert request.sampling == Sampling(max_tokens=4096, temperature=0.5, stop=("END",), seed=7)
    assert request.include_usage
    assert not decode("openai_chat", {"stream": True}).include_usage
    assert decode("openai_chat", {}).include_usage


def test_chat_by_others() -> None:
    messages = [
        {"role": "assistant", "content": "x", "reasoning_content": "deep"},
        {"role": "assistant", "content": None, "refusal": "no", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "mistral"}]}]},
        {
            "role": "assistant",
            "reasoning": "dup",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "router", "signature": "sig"},
                {"type": "reasoning.encrypted", "data": "sealed"},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "f", "arguments": {"a": 1}},
                    "extra_content": {"google": {"thought_signature": "sig"}},
                },
                {"id": "d", "type": "custom", "custom": {"name": "patch", "input": "raw text"}},
                {"id": "e", "type": "function", "function": {"name": "f", "arguments": "{broken"}},
            ],
        },
        {"role": "function", "name": "f", "content": "old"},
    ]
    request = decode("openai_chat", {"messages": messages, "response_format": {"type": "json_object"}})
    deep, refused, mistral, router, calls, old = request.messages
    assert deep.blocks == (Thinking("deep"), Text("x"))
    assert refused.blocks == (Refusal("no"), ToolCall("", "f", {}))
    assert mistral.blocks == (Thinking("mistral"),)
    assert router.blocks == (
        Thinking("router", signature=Signature("sig", "openai_chat")),
        Thinking(redacted=True, signature=Signature("sealed", "openai_chat")),
    )
    assert calls.blocks == (
        ToolCall("c", "f", {"a": 1}, signature=Signature("sig", "gemini")),
        ToolCall("d", "patch", "raw text", kind="custom"),
        ToolCall("e", "f", "{broken"),
    )
    assert old.blocks == (ToolResult("", "f", (Text("old"),)),)
    assert request.output == OutputFormat("json")


def test_responses() -> None:
    request = decode("openai_responses", samples.RESPONSES_REQUEST, "/v1/responses")
    assert request.system == (Text("You are Codex."),)
    roles = [message.role for message in request.messages]
    assert roles == [
        "developer",
        "developer",
        "user",
        "assistant",
        "assistant",
        "assistant",
        "assistant",
        "tool",
        "tool",
        "user",
    ]
    blocks = [block for message in request.messages for block in message.blocks]
    assert blocks[3] == Thinking(
        "**Listing**", summary=True, id="rs_68", signature=Signature("gAAAAABo", "openai_responses")
    )
    assert blocks[5] == ToolCall("call_1", "shell", {"command": ["ls"]})
    assert blocks[6] == ToolCall("call_2", "apply_patch", "*** Begin Patch\n", kind="custom")
    assert blocks[7] == ToolResult("call_1", None, (Text("a\nb"),))
    assert [(tool.name, tool.kind, tool.server) for tool in request.tools] == [
        ("shell", "function", None),
        ("apply_patch", "custom", None),
        ("search", "function", "github"),
        ("web_search", "web_search", None),
        ("late_tool", "function", None),
    ]
    assert request.reasoning == Reasoning(enabled=True, effort="medium", summary="auto")
    assert request.extra == {"prompt_cache_key": "0199", "text": {"verbosity": "medium"}}


def test_responses_built_in_tools() -> None:
    items = [
        {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "mcp_call", "id": "m", "name": "echo", "server_label": "srv", "arguments": '{"a":1}', "output": "out"},
        {"type": "local_shell_call", "id": "l", "call_id": "c", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "local_shell_call_output", "id": "o", "call_id": "c", "output": "files"},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "wormhole", "id": "w"},
    ]
    request = decode("openai_responses", {"input": items})
    search, mcp, shell, output, reference, unknown = (message.blocks for message in request.messages)
    assert isinstance(search[0], ToolCall)
    assert search[0].executor == "provider"
    assert mcp == (
        ToolCall("m", "echo", {"a": 1}, "srv", "provider", "mcp_call"),
        ToolResult("m", "echo", (Text("out"),), executor="provider", kind="mcp_call"),
    )
    assert isinstance(shell[0], ToolCall)
    assert (shell[0].id, shell[0].executor) == ("c", "client")
    assert isinstance(output[0], ToolResult)
    assert output[0].content == (Text("files"),)
    assert isinstance(reference[0], Unknown)
    assert isinstance(unknown[0], Unknown)
    changed = replace(request, messages=(*request.messages, Message("user", (Text("x"),))))
    assert encode("openai_responses", changed).body["input"][:6] == items


def test_gemini() -> None:
    request = decode("gemini", samples.GEMINI_REQUEST, samples.GEMINI_PATH)
    assert (request.model, request.stream, request.kind) == ("gemini-2.5-pro", True, "generate")
    user, model, answer = request.messages
    assert (user.role, model.role) == ("user", "assistant")
    assert model.blocks == (
        Thinking("Both needed."),
        ToolCall("", "weather", {"city": "Bonn"}, signature=Signature("CikBVKhc7g==", "gemini")),
        ToolCall("", "time", {}),
    )
    assert answer.blocks == (
        ToolResult("", "weather", (Text("20 degrees"),)),
        ToolResult("", "time", (Text('{"hour":12}'),)),
    )
    weather, time, search = request.tools
    assert weather.schema == {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    assert (time.schema, search.kind) == ({"type": "object", "properties": {}}, "googleSearch")
    assert request.sampling == Sampling(max_tokens=8192, temperature=0, top_p=1, stop=("STOP!",))
    assert request.reasoning == Reasoning(enabled=True, budget=4096, summary="included")
    assert request.extra["generationConfig"] == {"responseModalities": ["TEXT"]}


def test_gemini_in_code_assists_envelope_means_the_same() -> None:
    plain = decode("gemini", samples.GEMINI_REQUEST, samples.GEMINI_PATH)
    wrapped = decode("gemini", samples.GEMINI_ENVELOPE, "/v1internal:streamGenerateContent?alt=sse")
    assert wrapped.messages == plain.messages
    assert wrapped.messages[0].path == ("request", "contents", 0)
    assert (wrapped.model, wrapped.stream, wrapped.tools) == (plain.model, True, plain.tools)


def test_gemini_in_snake_case_means_the_same() -> None:
    body = {
        "system_instruction": {"parts": [{"text": "s"}]},
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "x"}}]}],
        "generation_config": {"max_output_tokens": 5, "stop_sequences": ["a"]},
        "tools": [{"function_declarations": [{"name": "f"}]}],
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
    }
    request = decode("gemini", body, "/v1beta/models/m:generateContent")
    assert request.system == (Text("s"),)
    assert request.messages[0].blocks == (Media("image", "image/png", "x"),)
    assert request.sampling == Sampling(max_tokens=5, stop=("a",))
    assert [tool.name for tool in request.tools] == ["f"]
    assert request.tool_choice == ToolChoice("tool", ("f",))


def test_ollama() -> None:
    request = decode("ollama", samples.OLLAMA_REQUEST, "/api/chat")
    system, user, assistant, tool = request.messages
    assert (system.blocks, user.blocks[1]) == ((Text("Be brief."),), Media("image", data=samples.PNG))
    assert assistant.blocks == (Thinking("call it"), ToolCall("", "weather", {"city": "Bonn"}))
    assert tool.blocks == (ToolResult("", "weather", (Text("20 degrees"),)),)
    assert request.stream
    assert request.sampling == Sampling(max_tokens=100, temperature=0.2, stop=("x",))
    assert request.extra == {"keep_alive": "5m", "options": {"num_ctx": 8192}}
    generate = decode("ollama", {"model": "m", "prompt": "p", "system": "s", "stream": False}, "/api/generate")
    assert (generate.messages[0].blocks, generate.system, generate.stream) == ((Text("p"),), (Text("s"),), False)
    assert decode("ollama", {"input": ["a", "b"]}, "/api/embed").messages[0].blocks == (Text("a"), Text("b"))


def test_bedrock() -> None:
    request = decode("bedrock", samples.CONVERSE_REQUEST, samples.CONVERSE_PATH)
    assert request.model == "anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert request.system == (Text("Be brief.", cache=CacheMarker("1h")),)
    assert request.messages[0].blocks[1] == Media("image", "image/png", samples.PNG)
    assert request.messages[1].blocks == (
        Thinking("think", signature=Signature("sig", "anthropic")),
        ToolCall("tooluse_1", "weather", {"city": "Bonn"}),
    )
    expected = ToolResult("tooluse_1", None, (Text('{"t":20}'), Text("warm")), cache=CacheMarker(None))
    assert request.messages[2].blocks == (expected,)
    assert (request.tools[0].name, request.tools[0].cache) == ("weather", CacheMarker(None))
    body = {**samples.ANTHROPIC_REQUEST, "anthropic_version": "bedrock-2023-05-31"}
    invoked = decode("bedrock", body, "/model/claude/invoke-with-response-stream")
    assert (invoked.model, invoked.stream, invoked.dialect) == ("claude", True, "bedrock")
    assert invoked.messages == decode("anthropic", samples.ANTHROPIC_REQUEST).messages


def test_amazon_q() -> None:
    request = decode("amazon_q", samples.AMAZON_Q_REQUEST)
    assert (request.model, request.conversation_id) == ("claude-sonnet-4.5", "9a0c")
    first, second, current = request.messages
    assert first.blocks == (Text("List files"),)
    assert second.blocks == (Text("Listing."), ToolCall("tooluse_1", "fs_read", {"path": "."}))
    assert current.blocks[0] == ToolResult("tooluse_1", None, (Text('{"files":["a"]}'),))
    assert isinstance(current.blocks[1], Unknown)
    assert "/src" in current.blocks[1].text
    assert [tool.name for tool in request.tools] == ["fs_read"]


@pytest.mark.parametrize(
    ("dialect", "path", "body", "kind"),
    [
        ("anthropic", "/v1/messages/count_tokens", {"messages": []}, "count_tokens"),
        ("anthropic", "/v1/messages/batches", {"requests": []}, "batch"),
        ("openai_responses", "", {"type": "response.create", "generate": False}, "warm_up"),
        ("openai_responses", "/v1/responses/compact", {}, "compact"),
        ("openai_embeddings", "/v1/embeddings", {"input": "x"}, "embeddings"),
        ("gemini", "/v1beta/models/m:countTokens", {"contents": []}, "count_tokens"),
        ("bedrock", "/model/m/count-tokens", {"input": {"converse": {"messages": []}}}, "count_tokens"),
    ],
)
def test_what_is_no_generation_says_so(dialect: str, path: str, body: dict[str, Any], kind: str) -> None:
    assert decode(dialect, body, path).kind == kind


@pytest.mark.parametrize(
    ("value", "kinds"),
    [("a", ["Text"]), (["a", "b"], ["Text", "Text"]), ([1, 2], ["Unknown"]), ([[1], [2]], ["Unknown"] * 2), (None, [])],
)
def test_prompts_of_all_forms(value: Any, kinds: list[str]) -> None:
    for dialect, name in (("openai_completions", "prompt"), ("openai_embeddings", "input")):
        request = decode(dialect, {name: value, "model": "m"})
        assert [type(block).__name__ for message in request.messages for block in message.blocks] == kinds
