"""What a provider would refuse is mended on the way into another dialect, or named where that cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.wire.codec import Encoded
from ccinspect.wire.model import Text
from ccinspect.wire.registry import DIALECTS
from tests.wire import judges

FIVE = ("anthropic", "openai_chat", "openai_responses", "gemini", "ollama")
ASK: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
CLOCK = {"name": "clock", "input_schema": {"type": "object"}}


def told(target: str, body: dict[str, Any], source: str = "anthropic", path: str = "") -> Encoded:
    encode = DIALECTS[target].encode_request
    assert encode is not None
    encoded = encode(DIALECTS[source].decode_request(json.dumps(body).encode(), path))
    judges.accept_request(target, encoded.body)
    return encoded


def codes(encoded: Encoded) -> set[str]:
    return {note.code for note in encoded.diagnostics}


@pytest.mark.parametrize("target", FIVE[1:])
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "web_search"}], ids=["any", "named"])
def test_where_no_tool_is_left_there_is_no_choice_of_one(target: str, choice: dict[str, Any]) -> None:
    """Claude Code searches the web with a request of its own, which has no other tool."""
    encoded = told(target, ASK | {"tools": [SEARCH], "tool_choice": choice})
    assert not {"tools", "tool_choice", "toolConfig"} & encoded.body.keys()
    assert "tool_dropped" in codes(encoded)


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "gemini"])
def test_a_tool_that_the_target_does_not_get_cannot_be_chosen(target: str) -> None:
    choice = {"type": "tool", "name": "web_search"}
    encoded = told(target, ASK | {"tools": [SEARCH, CLOCK], "tool_choice": choice})
    assert "tool_choice_dropped" in codes(encoded)
    again = DIALECTS[target].decode_request(encoded.data(), encoded.path)
    assert [tool.name for tool in again.tools] == ["clock"]
    assert again.tool_choice is not None
    assert (again.tool_choice.mode, again.tool_choice.names) == ("auto", ())


def test_of_several_that_may_be_called_those_stay_that_are_there() -> None:
    tools = [{"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False} for name in "ab"]
    allowed = [{"type": "function", "name": "b"}, {"type": "web_search"}, {"type": "function", "name": "gone"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}
    body = {"model": "m", "input": "x", "tools": tools, "tool_choice": choice}
    chosen = told("openai_chat", body, "openai_responses").body["tool_choice"]["allowed_tools"]
    assert (chosen["mode"], [tool["function"]["name"] for tool in chosen["tools"]]) == ("required", ["b"])


@pytest.mark.parametrize("target", FIVE)
@pytest.mark.parametrize(
    ("source", "more"),
    [
        ("openai_responses", {"previous_response_id": "resp_1"}),
        ("openai_responses", {"conversation": "conv_1"}),
        ("openai_responses", {"conversation": {"id": "conv_1"}}),
        ("openai_responses", {"prompt": {"id": "pmpt_1"}}),
        ("openai_responses", {"input": [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "x"}]}),
        ("openai_responses", {"input": [{"id": "msg_1"}, {"role": "user", "content": "x"}]}),
        ("gemini", {"cachedContent": "cachedContents/1"}),
    ],
    ids=["response", "conversation", "conversation object", "prompt", "item", "bare item", "cached content"],
)
def test_what_lies_with_the_senders_provider_is_an_error(target: str, source: str, more: dict[str, Any]) -> None:
    body = {"contents": [{"parts": [{"text": "x"}]}]} if source == "gemini" else {"model": "m", "input": "x"}
    encoded = told(target, body | more, source, "/v1beta/models/m:generateContent" if source == "gemini" else "")
    errors = [note for note in encoded.diagnostics if note.severity == "error"]
    assert [note.code for note in errors] == ([] if source == target else ["history_missing"])


@pytest.mark.parametrize(("target", "limit"), [("openai_chat", 4), ("gemini", 5), ("ollama", 7)])
def test_no_more_stop_sequences_than_there_may_be(target: str, limit: int) -> None:
    stops = ["a", "b", "c", "", "d", "e", "f"]
    encoded = told(target, ASK | {"stop_sequences": stops})
    again = DIALECTS[target].decode_request(encoded.data(), encoded.path)
    assert len(again.sampling.stop) == limit
    assert ("stop_dropped" in codes(encoded)) == (limit < len(stops))


def test_anthropic_is_asked_for_nothing_that_excludes_itself() -> None:
    ask = {"contents": [{"parts": [{"text": "x"}]}], "tools": [{"functionDeclarations": [{"name": "clock"}]}]}
    config = {"temperature": 0.2, "topP": 0.5, "topK": 4, "thinkingConfig": {"thinkingBudget": 2000}}
    path = "/v1beta/models/m:generateContent"
    thinking = told("anthropic", ask | {"generationConfig": config}, "gemini", path).body
    assert thinking["thinking"]["type"] == "enabled"
    assert not {"temperature", "top_p", "top_k"} & thinking.keys()
    forced = {"generationConfig": config, "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}
    calling = told("anthropic", ask | forced, "gemini", path)
    assert calling.body["tool_choice"] == {"type": "any"}
    assert (calling.body["temperature"], calling.body["top_k"]) == (0.2, 4)
    assert not {"thinking", "top_p"} & calling.body.keys()
    assert {note.path for note in calling.diagnostics} >= {("thinking",), ("top_p",)}


def test_at_home_what_excludes_itself_is_the_senders_business() -> None:
    body = ASK | {"temperature": 0.2, "top_p": 0.5, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert told("anthropic", body).body == body


@pytest.mark.parametrize(
    ("effort", "think"), [("none", False), ("minimal", "low"), ("medium", "medium"), ("xhigh", "high"), ("max", "high")]
)
def test_ollama_gets_words_for_thinking_that_it_knows(effort: str, think: str | bool) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "reasoning_effort": effort}
    assert told("ollama", body, "openai_chat").body["think"] == think


@pytest.mark.parametrize("target", FIVE)
def test_a_single_part_of_gemini_needs_no_list(target: str) -> None:
    body = {"systemInstruction": {"parts": {"text": "be brief"}}, "contents": {"parts": {"text": "hello"}}}
    encoded = told(target, body, "gemini", "/v1beta/models/m:generateContent") if target != "gemini" else None
    words = json.dumps(encoded.body if encoded else _words_at_home(body))
    assert "be brief" in words
    assert "hello" in words


def _words_at_home(body: dict[str, Any]) -> list[str]:
    read = DIALECTS["gemini"].decode_request(json.dumps(body).encode(), "")
    return [block.text for block in (*read.system, *read.messages[0].blocks) if isinstance(block, Text)]


@pytest.mark.parametrize("target", FIVE)
def test_documents_in_pieces_and_search_results_are_told_as_text(target: str) -> None:
    pieces = [{"type": "text", "text": "first piece"}, {"type": "text", "text": "second piece"}]
    content = [
        {"type": "document", "title": "T", "source": {"type": "content", "content": pieces}},
        {"type": "search_result", "source": "https://docs.example", "title": "Found", "content": pieces},
    ]
    encoded = told(target, ASK | {"messages": [{"role": "user", "content": content}]})
    words = json.dumps(encoded.body)
    assert words.count("first piece") == words.count("second piece") == 2
    assert words.count("https://docs.example") == 1
    if target == "anthropic":
        assert encoded.body["messages"][0]["content"] == content


@pytest.mark.parametrize("target", FIVE[1:])
def test_a_block_that_nobody_knows_is_named_and_no_word_of_it_is_told(target: str) -> None:
    history = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "alien", "words": "klaatu"}]},
        {"role": "user", "content": "go on"},
    ]
    encoded = told(target, ASK | {"messages": history})
    assert "klaatu" not in json.dumps(encoded.body)
    assert "block_dropped" in codes(encoded)
    again = DIALECTS[target].decode_request(encoded.data(), encoded.path)
    assert all(message.blocks for message in again.messages)
