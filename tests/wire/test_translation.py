"""Each of the five main dialects told in each: the official SDKs parse it, and the content is the same."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.wire.codec import Encoded
from ccinspect.wire.jsontext import dump
from ccinspect.wire.model import (
    Block,
    Media,
    Message,
    Outcome,
    Request,
    Response,
    Sampling,
    Signature,
    StopReason,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)
from ccinspect.wire.registry import DIALECTS
from ccinspect.wire.signatures import unwrap, wrap
from tests.wire import judges, samples

FIVE = samples.FIVE
SOURCE = pytest.mark.parametrize("source", FIVE)
TARGET = pytest.mark.parametrize("target", FIVE)
BODIES = {dialect: (path, body) for dialect, path, body in reversed(samples.REQUESTS)}


def decode_request(dialect: str, encoded: Encoded) -> Request:
    return DIALECTS[dialect].decode_request(encoded.data(), encoded.path)


def encode_request(dialect: str, request: Request) -> Encoded:
    encode = DIALECTS[dialect].encode_request
    assert encode is not None
    return encode(request)


def encode_response(dialect: str, response: Response) -> Encoded:
    encode = DIALECTS[dialect].encode_response
    assert encode is not None
    return encode(response)


def sample_request(dialect: str) -> Request:
    path, body = BODIES[dialect]
    return DIALECTS[dialect].decode_request(dump(body), path)


def meaning(block: Block) -> tuple[Any, ...]:
    """What of a block every dialect can say."""
    if isinstance(block, ToolCall):
        arguments = block.arguments
        if isinstance(arguments, dict):
            # SDKs fill in what was not said.
            arguments = {key: value for key, value in arguments.items() if value is not None}
        return ("call", block.id, block.name, arguments)
    if isinstance(block, ToolResult):
        return ("result", block.call_id, tuple(meaning(item) for item in block.content))
    if isinstance(block, Unknown):
        return ("unknown", block.kind)
    if isinstance(block, Media):
        return ("media", block.kind, block.data)
    return (type(block).__name__, getattr(block, "text", ""))


def history(request: Request) -> list[tuple[Any, ...]]:
    """(side, meaning) of all blocks in their order, however they are cut into messages."""
    out = [("system", meaning(block)) for block in request.system]
    for message in request.messages:
        side = {"tool": "user", "developer": "system"}.get(message.role, message.role)
        out += [(side, meaning(block)) for block in message.blocks]
    return out


def tools(request: Request) -> list[tuple[Any, ...]]:
    return [(tool.name, tool.description, tool.schema) for tool in request.tools]


# Requests


@SOURCE
@TARGET
def test_the_sdk_accepts_a_translated_request(source: str, target: str) -> None:
    encoded = encode_request(target, sample_request(source))
    judges.accept_request(target, encoded.body)
    assert all(note.source == source and note.target == target for note in encoded.diagnostics)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(str.strip)
NAMES = st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True)
ARGUMENTS = st.dictionaries(NAMES, st.integers(-5, 5) | WORDS | st.lists(st.booleans(), max_size=2), max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> Request:
    """Requests made of what all five dialects can say."""
    messages: list[Message] = []
    for turn in range(draw(st.integers(1, 3))):
        messages.append(Message("user", (Text(draw(WORDS)),)))
        calls = [
            ToolCall(f"call_{turn}_{number}", draw(NAMES), draw(ARGUMENTS)) for number in range(draw(st.integers(0, 3)))
        ]
        if draw(st.booleans()) or calls:
            said = (Text(draw(WORDS)),) if draw(st.booleans()) or not calls else ()
            messages.append(Message("assistant", (*said, *calls)))
            for call in calls:
                messages.append(Message("tool", (ToolResult(call.id, call.name, (Text(draw(WORDS)),)),)))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    return Request(
        dialect=draw(st.sampled_from(FIVE)),
        model="model-1",
        system=(Text(draw(WORDS)),) if draw(st.booleans()) else (),
        messages=tuple(messages),
        tools=tuple(Tool(f"tool_{number}", draw(WORDS), schema) for number in range(draw(st.integers(0, 2)))),
        sampling=Sampling(max_tokens=draw(st.integers(1, 99)), temperature=draw(st.sampled_from([None, 0, 0.5, 1]))),
        stream=draw(st.booleans()),
    )


@SOURCE
@TARGET
@settings(max_examples=25)
@given(request=conversations())
def test_there_and_back_nothing_is_lost_of_what_all_can_say(source: str, target: str, request: Request) -> None:
    first = encode_request(source, replace(request, dialect="elsewhere"))
    there = decode_request(source, first)
    told = encode_request(target, there)
    back = encode_request(source, decode_request(target, told))
    again = decode_request(source, back)
    lost = [note for note in (*told.diagnostics, *back.diagnostics) if note.severity != "info"]
    assert not lost
    assert history(again) == history(there) == history(decode_request(target, told))
    assert tools(again) == tools(there)
    assert (again.model, again.sampling, again.stream) == (there.model, there.sampling, there.stream)
    judges.accept_request(target, told.body)


@SOURCE
@TARGET
def test_there_and_back_what_is_missing_has_been_named(source: str, target: str) -> None:
    there = sample_request(source)
    told = encode_request(target, there)
    back = encode_request(source, decode_request(target, told))
    again = decode_request(source, back)
    named = {note.code for note in (*told.diagnostics, *back.diagnostics)}
    paths = {note.path for note in told.diagnostics}
    for block in [block for message in there.messages for block in message.blocks]:
        kept = meaning(block) in [meaning(item) for message in again.messages for item in message.blocks]
        unnamed_ids = isinstance(block, ToolCall | ToolResult) and not getattr(
            block, "id", getattr(block, "call_id", "")
        )
        inside = {item.path for item in block.content} if isinstance(block, ToolResult) else set()
        assert kept or unnamed_ids or block.path in paths or inside & paths or named & {"texts_joined"}, block
    for name in (field.name for field in fields(Request)):
        if name in ("raw", "diagnostics", "dialect", "path", "messages", "system"):
            continue
        assert getattr(again, name) == getattr(there, name) or named, name


# Answers

USAGE = Usage(input=100, cache_read=20, cache_write_5m=5, output=30, reasoning=10)
ANSWERS = {
    "text": Response(
        "x", "id-1", "m", (Text("Hello \u2028 \U0001f600"),), stop_reason=StopReason.END_TURN, usage=USAGE
    ),
    "cut": Response("x", "id-1", "m", (Text("Hel"),), stop_reason=StopReason.MAX_TOKENS, usage=USAGE),
    "tools": Response(
        "x",
        "id-1",
        "m",
        (Text("Calling."), ToolCall("c1", "f", {"a": "\u2028"}), ToolCall("c2", "g", {})),
        stop_reason=StopReason.TOOL_USE,
        usage=USAGE,
    ),
    "thinking": Response(
        "x",
        "id-1",
        "m",
        (
            Thinking("Hmm."),
            Text("So."),
        ),
        stop_reason=StopReason.END_TURN,
        usage=USAGE,
    ),
}


@SOURCE
@TARGET
@pytest.mark.parametrize("name", ANSWERS)
def test_the_sdk_parses_a_translated_answer(source: str, target: str, name: str) -> None:
    answer = replace(ANSWERS[name], dialect=source)
    encoded = encode_response(target, answer)
    parsed = judges.parse_response(target, encoded.body)
    again = DIALECTS[target].decode_response(dump(parsed), 200)
    # Ollama's SDK has no ids for calls.
    expected = [replace(b, id="") if isinstance(b, ToolCall) and target == "ollama" else b for b in answer.blocks]
    assert [meaning(block) for block in again.blocks] == [meaning(block) for block in expected]
    assert again.stop_reason == answer.stop_reason
    assert again.usage is not None
    assert (again.usage.total_input, again.usage.output) == (125, 30)


@SOURCE
@TARGET
def test_the_sdk_parses_every_sample_told_in_any_dialect(source: str, target: str) -> None:
    response = DIALECTS[source].decode_response(dump(dict(samples.RESPONSES)[source]), 200)
    encoded = encode_response(target, response)
    judges.parse_response(target, encoded.body)
    again = DIALECTS[target].decode_response(encoded.data(), 200)
    calls = [block for block in again.blocks if isinstance(block, ToolCall) and block.executor == "client"]
    expected = [block for block in response.blocks if isinstance(block, ToolCall) and block.executor == "client"]
    assert [(call.name, call.arguments) for call in calls] == [(call.name, call.arguments) for call in expected]
    assert all(call.id or source == target for call in calls)
    assert again.usage
    assert response.usage
    assert again.usage.total == response.usage.total


@pytest.mark.parametrize("dialect", FIVE)
def test_we_read_what_the_sdk_dumps(dialect: str) -> None:
    body = dict(samples.RESPONSES)[dialect]
    ours = DIALECTS[dialect].decode_response(dump(body), 200)
    theirs = DIALECTS[dialect].decode_response(dump(judges.parse_response(dialect, body)), 200)
    assert [meaning(block) for block in theirs.blocks] == [meaning(block) for block in ours.blocks]
    assert theirs.usage == ours.usage


# Streams

STREAMS = {
    "anthropic": samples.ANTHROPIC_STREAM,
    "openai_chat": samples.CHAT_STREAM,
    "openai_responses": samples.RESPONSES_STREAM,
    "gemini": samples.GEMINI_STREAM,
    "ollama": samples.OLLAMA_STREAM,
}
TYPES = {"ollama": "application/x-ndjson"}


def retell(source: str, target: str, data: bytes, step: int = 10_000) -> tuple[bytes, Response]:
    stream = DIALECTS[source].open_stream(TYPES.get(source, "text/event-stream"))
    make = DIALECTS[target].open_encoder
    assert make is not None
    encoder = make(source)
    out = [encoder.feed(stream.feed(data[start : start + step])) for start in range(0, len(data), step)]
    response = stream.close()
    out += [encoder.feed(stream.tail), encoder.close()]
    return b"".join(out), response


@SOURCE
@TARGET
def test_the_sdk_puts_a_translated_stream_together(source: str, target: str) -> None:
    data, response = retell(source, target, STREAMS[source])
    whole = judges.STREAMS[target](data)
    again = DIALECTS[target].decode_response(dump(whole), 200)
    visible = [meaning(block) for block in response.blocks if _said(block, source, target)]
    assert [meaning(block) for block in again.blocks if _said(block, target, target)] == [
        (kind, *rest) if kind != "call" else ("call", again_id, *rest[1:])
        for (kind, *rest), again_id in zip(
            visible, [getattr(b, "id", "") for b in again.blocks if _said(b, target, target)], strict=True
        )
    ]
    assert again.stop_reason == response.stop_reason
    assert again.usage
    assert response.usage
    assert again.usage.total == response.usage.total


def _said(block: Block, source: str, target: str) -> bool:
    if isinstance(block, ToolCall | ToolResult) and block.executor == "provider":
        return source == target and target == "openai_responses"
    # OpenAI's Chat types have no field for thinking, so its SDK shows none.
    return not (isinstance(block, Thinking) and target == "openai_chat")


@SOURCE
@TARGET
def test_a_retold_stream_says_the_same_at_any_chunking(source: str, target: str) -> None:
    whole, response = retell(source, target, STREAMS[source])
    byte_by_byte, _ = retell(source, target, STREAMS[source], 1)
    assert byte_by_byte == whole
    stream = DIALECTS[target].open_stream(TYPES.get(target, "text/event-stream"))
    stream.feed(whole)
    again = stream.close()
    assert again.outcome is Outcome.COMPLETE
    thoughts = [block.text for block in response.blocks if isinstance(block, Thinking)]
    assert [block.text for block in again.blocks if isinstance(block, Thinking)] == thoughts


@SOURCE
@TARGET
def test_a_signature_comes_home_through_any_client(source: str, target: str) -> None:
    """Told in another dialect, sent back in the history by that client, and encoded for its maker again."""
    data, response = retell(source, target, STREAMS[source])
    stream = DIALECTS[target].open_stream(TYPES.get(target, "text/event-stream"))
    stream.feed(data)
    answer = encode_response(target, replace(stream.close(), raw=None)).body
    history_body = {"model": "m", **as_history(target, answer)}
    encoded = encode_request(source, DIALECTS[target].decode_request(dump(history_body), "/models/m:generateContent"))
    home = decode_request(source, encoded)
    signed = [block.signature for block in response.blocks if block.signature]
    found = [block.signature for message in home.messages for block in message.blocks if block.signature]
    assert [sign for sign in found if sign.value] == signed
    thoughts = [block.text for block in response.blocks if isinstance(block, Thinking)]
    kept = [block.text for message in home.messages for block in message.blocks if isinstance(block, Thinking)]
    assert kept == thoughts
    ids = [block.id for block in response.blocks if isinstance(block, Thinking)]
    assert [block.id for message in home.messages for block in message.blocks if isinstance(block, Thinking)] == ids


def as_history(dialect: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The next request of a client that got this answer, as such clients put it together."""
    if dialect == "anthropic":
        return {"messages": [{"role": "assistant", "content": answer["content"]}]}
    if dialect == "openai_chat":
        return {"messages": [answer["choices"][0]["message"]]}
    if dialect == "openai_responses":
        return {"input": answer["output"]}
    if dialect == "gemini":
        return {"contents": [answer["candidates"][0]["content"]]}
    return {"messages": [answer["message"]]}


def test_a_signature_that_is_no_text_comes_home_too() -> None:
    """JSON can say what UTF-8 cannot."""
    signature = Signature("\ud800#", "openai_responses")
    assert unwrap(wrap(signature, "gemini"), "gemini") == signature


def test_gemini_clients_get_base64_for_every_signature() -> None:
    data, _ = retell("anthropic", "gemini", samples.ANTHROPIC_STREAM)
    signs = [
        part["thoughtSignature"]
        for line in data.decode().splitlines()  # as careless clients do
        if line.startswith("data: ")
        for part in json.loads(line[6:])["candidates"][0].get("content", {}).get("parts", [])
        if "thoughtSignature" in part
    ]
    assert signs
    assert all(map(judges.is_base64, signs))
