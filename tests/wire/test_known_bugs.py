"""Mistakes that translating gateways are known to have made, each held here as a fixture."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.wire.codec import Encoded
from ccinspect.wire.gemini.decode import NO_SIGNATURE
from ccinspect.wire.jsontext import dump
from ccinspect.wire.model import (
    Message,
    Request,
    Response,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from ccinspect.wire.registry import DIALECTS
from tests.wire import judges, samples
from tests.wire.samples import FIVE, chat_chunk, sse


def encode(target: str, request: Request) -> Encoded:
    make = DIALECTS[target].encode_request
    assert make is not None
    return make(request)


def answer(target: str, response: Response) -> Any:
    make = DIALECTS[target].encode_response
    assert make is not None
    return make(response).body


def retell(source: str, target: str, data: bytes) -> bytes:
    stream = DIALECTS[source].open_stream("text/event-stream")
    make = DIALECTS[target].open_encoder
    assert make is not None
    encoder = make(source)
    out = encoder.feed(stream.feed(data))
    stream.close()
    return out + encoder.feed(stream.tail) + encoder.close()


def ask(*messages: Message, dialect: str = "elsewhere", **more: Any) -> Request:
    return Request(dialect, model="m", messages=messages, **more)


CALL = ToolCall("c1", "f", {"a": 1})
RESULT = Message("tool", (ToolResult("c1", "f", (Text("r"),)),))


# Thinking


def test_thinking_with_its_own_signature_stays_on_tool_turns() -> None:
    thinking = Thinking("Hmm", signature=Signature("EqQB", "anthropic"))
    request = ask(Message("user", (Text("x"),)), Message("assistant", (thinking, CALL)), RESULT, dialect="openai_chat")
    content = encode("anthropic", request).body["messages"][1]["content"]
    assert content[0] == {"type": "thinking", "thinking": "Hmm", "signature": "EqQB"}
    assert content[1]["type"] == "tool_use"


@pytest.mark.parametrize("target", FIVE)
def test_foreign_thinking_is_dropped_by_name_and_never_becomes_text(target: str) -> None:
    thinking = Thinking("secret thoughts", signature=Signature("sig", "elsewhere"))
    encoded = encode(target, ask(Message("user", (Text("x"),)), Message("assistant", (thinking, CALL)), RESULT))
    assert "secret thoughts" not in json.dumps(encoded.body)
    assert "thinking_dropped" in [note.code for note in encoded.diagnostics]


@pytest.mark.parametrize("target", FIVE)
def test_thinking_of_an_answer_never_becomes_visible_text(target: str) -> None:
    body = answer(target, Response("elsewhere", "i", "m", (Thinking("thoughts"), Text("answer"))))
    again = DIALECTS[target].decode_response(dump(body), 200)
    assert [block.text for block in again.blocks if isinstance(block, Text)] == ["answer"]
    assert [block.text for block in again.blocks if isinstance(block, Thinking)] == ["thoughts"]


def test_anthropics_clients_get_a_signature_even_where_there_was_none() -> None:
    data = retell("openai_chat", "anthropic", samples.CHAT_STREAM)
    assert b"signature_delta" in data
    message = judges.STREAMS["anthropic"](data)
    assert message["content"][0]["signature"]


@pytest.mark.parametrize("target", ["anthropic", "openai_chat", "openai_responses", "ollama"])
def test_geminis_signature_stays_on_its_own_call_only(target: str) -> None:
    told = retell("gemini", target, samples.GEMINI_STREAM)
    stream = DIALECTS[target].open_stream("text/event-stream" if target != "ollama" else "")
    stream.feed(told)
    calls = [block for block in stream.close().blocks if isinstance(block, ToolCall)]
    assert [call.signature for call in calls] == [Signature("CikBVKhc7g==", "gemini"), None]


def test_gemini_3_gets_its_placeholder_on_the_first_unsigned_call_of_a_step() -> None:
    messages = (Message("user", (Text("x"),)), Message("assistant", (CALL, ToolCall("c2", "g", {}))))
    results = Message("tool", (ToolResult("c1", "f", (Text("r"),)), ToolResult("c2", "g", (Text("r"),))))
    new = encode("gemini", Request("anthropic", model="gemini-3-pro", messages=(*messages, results)))
    first, second = new.body["contents"][1]["parts"]
    assert (first["thoughtSignature"], "thoughtSignature" in second) == (NO_SIGNATURE, False)
    assert DIALECTS["gemini"].decode_request(new.data(), new.path).messages[1].blocks[0].signature is None
    old = encode("gemini", Request("anthropic", model="gemini-2.5-pro", messages=(*messages, results)))
    assert "thoughtSignature" not in json.dumps(old.body)


# Tool calls


@pytest.mark.parametrize("target", FIVE)
def test_a_call_without_any_argument_delta_has_an_empty_object(target: str) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "list"}}
    data = sse(chat_chunk({"tool_calls": [call]}), chat_chunk({}, "tool_calls"), "[DONE]")
    whole = judges.STREAMS[target](retell("openai_chat", target, data))
    [block] = DIALECTS[target].decode_response(dump(whole), 200).blocks
    assert isinstance(block, ToolCall)
    assert (block.name, block.arguments) == ("list", {})
    if target == "openai_chat":
        assert whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize(
    "calls",
    [
        [
            [{"index": -1, "id": "c1", "function": {"name": "f", "arguments": '{"a":'}}],
            [{"index": -1, "function": {"arguments": "1}"}}],
        ],
        [[{"id": "c1", "function": {"name": "f", "arguments": '{"a":'}}], [{"function": {"arguments": "1}"}}]],
        [
            [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a":'}}],
            [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "1}"}}],
        ],
        [[{"index": 0, "function": {"name": "f", "arguments": '{"a":1}'}}]],
        [[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}]],
    ],
    ids=["index -1", "no index", "repeated head", "no id", "object arguments"],
)
def test_odd_pieces_of_a_call_are_put_together(calls: list[Any]) -> None:
    data = sse(*[chat_chunk({"tool_calls": call}) for call in calls], chat_chunk({}, "tool_calls"), "[DONE]")
    stream = DIALECTS["openai_chat"].open_stream("")
    stream.feed(data)
    [block] = stream.close().blocks
    assert isinstance(block, ToolCall)
    assert (block.name, block.arguments) == ("f", {"a": 1})
    message = judges.STREAMS["anthropic"](retell("openai_chat", "anthropic", data))
    assert message["content"][0]["id"]


def test_parallel_calls_that_all_say_index_0_are_two() -> None:
    calls = [{"index": 0, "id": f"c{n}", "function": {"name": "f", "arguments": f'{{"n":{n}}}'}} for n in (1, 2)]
    stream = DIALECTS["openai_chat"].open_stream("")
    stream.feed(sse(*[chat_chunk({"tool_calls": [call]}) for call in calls], chat_chunk({}, "tool_calls")))
    assert stream.close().blocks == (ToolCall("c1", "f", {"n": 1}), ToolCall("c2", "f", {"n": 2}))


def test_two_calls_without_ids_get_two() -> None:
    body = answer("anthropic", Response("gemini", "i", "m", (ToolCall("", "f", {}), ToolCall("", "f", {}))))
    ids = [block["id"] for block in body["content"]]
    assert all(ids)
    assert len(set(ids)) == 2


@pytest.mark.parametrize("target", FIVE)
def test_an_unanswered_call_gets_a_result_and_a_stray_result_becomes_text(target: str) -> None:
    stray = Message("tool", (ToolResult("nobody", None, (Text("stray"),)),))
    messages = (Message("user", (Text("x"),)), Message("assistant", (CALL,)), stray, Message("user", (Text("y"),)))
    encoded = encode(target, ask(*messages))
    judges.accept_request(target, encoded.body)
    codes = [note.code for note in encoded.diagnostics]
    assert "orphan_tool_call" in codes
    assert "orphan_tool_result" in codes
    again = DIALECTS[target].decode_request(encoded.data(), encoded.path)
    blocks = [block for message in again.messages for block in message.blocks]
    results = [block for block in blocks if isinstance(block, ToolResult)]
    assert [result.call_id for result in results] == ["c1"]
    assert Text("stray") in blocks


def test_results_stand_before_anything_else_in_anthropics_next_message() -> None:
    user = Message("user", (Text("also this"), ToolResult("c1", "f", (Text("r"),))))
    encoded = encode("anthropic", ask(Message("user", (Text("x"),)), Message("assistant", (CALL,)), user))
    kinds = [block["type"] for block in encoded.body["messages"][2]["content"]]
    assert kinds == ["tool_result", "text"]


def test_ids_that_anthropic_refuses_are_cleaned_alike_in_call_and_result() -> None:
    call = ToolCall("call:1/é", "f", {})
    result = Message("tool", (ToolResult("call:1/é", "f", (Text("r"),)),))
    body = encode("anthropic", ask(Message("user", (Text("x"),)), Message("assistant", (call,)), result)).body
    assert body["messages"][1]["content"][0]["id"] == body["messages"][2]["content"][0]["tool_use_id"] == "call_1__"


# Usage


@pytest.mark.parametrize("source", FIVE)
@pytest.mark.parametrize("target", ["anthropic", "openai_chat", "openai_responses", "gemini"])
def test_what_the_cache_served_is_never_lost_nor_counted_twice(source: str, target: str) -> None:
    usage = Usage(input=10, cache_read=900, cache_write_5m=90, output=5, reasoning=2)
    again = DIALECTS[target].decode_response(dump(answer(target, Response(source, usage=usage))), 200).usage
    assert again is not None
    assert (again.cache_read, again.total_input, again.output) == (900, 1000, 5)
    if target != "gemini":
        assert (again.input, again.cache_write) == (10, 90)


# Roles, schemas, media, emptiness


@pytest.mark.parametrize("target", FIVE)
def test_the_developer_role_reaches_every_target_as_its_system_prompt(target: str) -> None:
    request = ask(Message("developer", (Text("rules"),)), Message("user", (Text("x"),)))
    encoded = encode(target, request)
    judges.accept_request(target, encoded.body)
    again = DIALECTS[target].decode_request(encoded.data(), encoded.path)
    leading = [*again.system, *(again.messages[0].blocks if again.messages[0].role in ("system", "developer") else ())]
    assert [block.text for block in leading if isinstance(block, Text)] == ["rules"]


@pytest.mark.parametrize("target", FIVE)
def test_array_types_pass_and_empty_enum_values_go_only_where_they_are_refused(target: str) -> None:
    encoded = encode(target, ask(Message("user", (Text("x"),)), tools=(Tool("f", "d", samples.SCHEMA),)))
    judges.accept_request(target, encoded.body)
    [tool] = DIALECTS[target].decode_request(encoded.data(), encoded.path).tools
    assert tool.schema is not None
    assert tool.schema["properties"]["limit"]["type"] == ["integer", "null"]
    enum = tool.schema["properties"]["mode"]["enum"]
    assert enum == (["text", "binary"] if target == "gemini" else ["", "text", "binary"])
    assert ("schema_changed" in [note.code for note in encoded.diagnostics]) == (target == "gemini")


@pytest.mark.parametrize("source", ["anthropic", "openai_chat", "openai_responses"])
@pytest.mark.parametrize("target", ["anthropic", "openai_chat", "openai_responses", "gemini"])
def test_images_and_pdfs_arrive_whole(source: str, target: str) -> None:
    body = samples.ANTHROPIC_REQUEST["messages"][:1]
    request = DIALECTS["anthropic"].decode_request(dump({"model": "m", "max_tokens": 9, "messages": body}), "")
    there = encode(source, request)
    encoded = encode(target, DIALECTS[source].decode_request(there.data(), there.path))
    judges.accept_request(target, encoded.body)
    again = DIALECTS[target].decode_request(encoded.data(), encoded.path)
    _, image, document = again.messages[0].blocks
    assert (image.kind, image.media_type, image.data) == ("image", "image/png", samples.PNG)  # type: ignore[attr-defined]
    assert (document.kind, document.data) == ("document", samples.PDF)  # type: ignore[attr-defined]
    assert document.name == "spec.pdf"  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", FIVE)
def test_an_image_in_a_tool_result_is_not_lost(target: str) -> None:
    messages = samples.ANTHROPIC_REQUEST["messages"]
    request = DIALECTS["anthropic"].decode_request(dump({"model": "m", "messages": messages}), "")
    encoded = encode(target, request)
    told = json.dumps(
        encoded.body["messages" if "messages" in encoded.body else "contents" if target == "gemini" else "input"]
    )
    assert told.count(samples.PNG) == 2


@pytest.mark.parametrize("target", FIVE)
def test_empty_content_is_never_sent(target: str) -> None:
    messages = (
        Message("user", (Text("x"),)),
        Message("assistant", (Text(""),)),
        Message("user", ()),
        Message("user", (Text("y"),)),
    )
    encoded = encode(target, ask(*messages))
    judges.accept_request(target, encoded.body)
    assert "empty_message_dropped" in [note.code for note in encoded.diagnostics]
    if target in ("anthropic", "openai_chat"):
        assert all(message["content"] for message in encoded.body["messages"])
    if target == "gemini":
        assert all(content["parts"] for content in encoded.body["contents"])


def test_an_answer_without_content_is_an_answer() -> None:
    for target in FIVE:
        body = answer(target, Response("elsewhere", "i", "m"))
        assert judges.parse_response(target, body)
        read = DIALECTS[target].decode_response(dump(body), 200)
        assert (read.error, "".join(block.text for block in read.blocks if isinstance(block, Text))) == (None, "")
