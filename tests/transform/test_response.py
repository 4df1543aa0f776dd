"""Answers told to the client: whole, streamed, mixed up, broken; errors; what the head says."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccinspect.pipeline.message import Headers
from ccinspect.transform.answers import denied, failed
from ccinspect.transform.needs import ClientNeeds
from ccinspect.transform.response import ResponseTranslator
from ccinspect.wire.events import BlockDelta, BlockStart, MessageStart
from ccinspect.wire.model import Diagnostic, ErrorKind, Outcome, Text, ToolCall
from ccinspect.wire.registry import DIALECTS
from tests.transform import natives
from tests.transform.matrix import expected_answer, saids
from tests.wire import judges
from tests.wire.samples import sse

CLIENT = pytest.mark.parametrize("client", natives.DIALECTS)
UPSTREAM = pytest.mark.parametrize("upstream", natives.DIALECTS)
SCENE = pytest.mark.parametrize("scene", natives.SCENES)
STREAMED = pytest.mark.parametrize("streamed", [True, False], ids=["stream", "buffered"])


def translator(
    client: str, upstream: str, diagnostics: tuple[Diagnostic, ...] = (), **needs: Any
) -> ResponseTranslator:
    wanted = ClientNeeds(client, upstream, **{"model": "asked", **needs})
    return ResponseTranslator(wanted, diagnostics, now=1_700_000_000, unique="4b1c-77")


def head(kind: str, **more: str) -> Headers:
    fields = {"content-type": kind, **more}
    return Headers((name.replace("_", "-").encode(), value.encode()) for name, value in fields.items())


def read(client: str, data: bytes, streamed: bool) -> Any:
    if not streamed:
        return DIALECTS[client].decode_response(data, 200)
    decoder = DIALECTS[client].open_stream(natives.content_type(client, True))
    decoder.feed(data)
    return decoder.close()


# A client gets what it asked for


@CLIENT
@UPSTREAM
@SCENE
def test_a_client_that_asked_for_a_stream_gets_one_of_a_whole_answer(client: str, upstream: str, scene: str) -> None:
    translate = translator(client, upstream, stream=True)
    headers = head("application/json")
    assert not translate.streams(200, headers)
    answer = translate.buffered(200, headers, natives.answer(upstream, scene))
    assert answer.headers.get("content-type") == natives.content_type(client, True).partition(";")[0]
    judges.STREAMS[client](answer.body)
    told = read(client, answer.body, streamed=True)
    assert told.outcome is Outcome.COMPLETE
    assert saids(told.blocks) == expected_answer(scene)
    assert told.usage.total_input == 100


@CLIENT
@UPSTREAM
@SCENE
def test_a_client_that_asked_for_a_whole_answer_gets_one_of_a_stream(client: str, upstream: str, scene: str) -> None:
    translate = translator(client, upstream)
    headers = head(natives.content_type(upstream, True))
    assert not translate.streams(200, headers)
    answer = translate.buffered(200, headers, natives.stream(upstream, scene))
    assert answer.headers.get("content-type") == "application/json"
    judges.parse_response(client, json.loads(answer.body))
    assert saids(read(client, answer.body, streamed=False).blocks) == expected_answer(scene)


@CLIENT
@UPSTREAM
def test_a_stream_that_turns_out_to_be_one_piece_of_json(client: str, upstream: str) -> None:
    told = translator(client, upstream, stream=True).stream("text/event-stream")
    data = natives.answer(upstream, "tools")
    out = b"".join([told.feed(data[:40]), told.feed(data[40:]), told.close()])
    assert saids(read(client, out, streamed=True).blocks) == expected_answer("tools")


@CLIENT
@UPSTREAM
def test_a_stream_is_told_piece_by_piece(client: str, upstream: str) -> None:
    told = translator(client, upstream, stream=True).stream(natives.content_type(upstream, True))
    data = natives.stream(upstream, "text")
    out = b""
    for at in range(len(data)):
        out += told.feed(data[at : at + 1])
        if natives.ANSWER[:4].encode() in out:
            break
    assert data[at + 1 :].count(b"\n") >= 1
    assert natives.ANSWER[-4:] not in out.decode()


@CLIENT
@UPSTREAM
def test_a_stream_that_breaks_off_is_not_called_complete(client: str, upstream: str) -> None:
    data = natives.stream(upstream, "text")
    told = translator(client, upstream, stream=True).stream(natives.content_type(upstream, True))
    out = told.feed(data[: data.index(natives.ANSWER[-4:-2].encode())])
    out += told.close("upstream_reset")
    assert told.close() == b""
    assert read(client, out, streamed=True).outcome is not Outcome.COMPLETE


@given(st.lists(st.integers(1, 200), max_size=20))
def test_any_chunking_says_the_same(sizes: list[int]) -> None:
    data = natives.stream("gemini", "tools")
    whole = translator("anthropic", "gemini", stream=True).stream("text/event-stream")
    pieces = translator("anthropic", "gemini", stream=True).stream("text/event-stream")
    out, at = b"", 0
    for size in sizes:
        out += pieces.feed(data[at : at + size])
        at += size
    out += pieces.feed(data[at:]) + pieces.close()
    assert out == whole.feed(data) + whole.close()


@pytest.mark.parametrize("client", ["anthropic", "openai_chat", "gemini", "ollama"])
@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "ollama"])
def test_a_long_stream_takes_no_memory(client: str, upstream: str) -> None:
    """OpenAI Responses alone repeats the whole answer at its end, so its clients are left out."""
    make = DIALECTS[upstream].open_encoder
    assert make is not None
    encoder = make(upstream)
    start = encoder.feed([MessageStart("i", "m"), BlockStart(0, Text())])
    piece = encoder.feed([BlockDelta(0, "text", "x" * 10_000)])
    told = translator(client, upstream, stream=True).stream(natives.content_type(upstream, True))
    told.feed(start + piece)
    tracemalloc.start()
    try:
        for _ in range(1_000):
            told.feed(piece)
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()


# Forms of one dialect


def test_usage_is_not_told_to_a_chat_client_that_did_not_ask() -> None:
    for asked in (True, False):
        translate = translator("openai_chat", "anthropic", stream=True, include_usage=asked)
        told = translate.stream("text/event-stream")
        out = told.feed(natives.stream("anthropic", "text")) + told.close()
        assert (b'"usage"' in out) is asked
        assert out.endswith(b"data: [DONE]\n\n")


@STREAMED
def test_gemini_clients_without_alt_sse_get_one_array(streamed: bool) -> None:
    translate = translator("gemini", "anthropic", stream=True, form="array")
    if streamed:
        told = translate.stream("text/event-stream")
        data = told.feed(natives.stream("anthropic", "text")) + told.close()
        kind = translate.head(head("text/event-stream")).get("content-type")
    else:
        answer = translate.buffered(200, head("application/json"), natives.answer("anthropic", "text"))
        data, kind = answer.body, answer.headers.get("content-type")
    assert kind == "application/json"
    texts = [c["candidates"][0]["content"]["parts"] for c in json.loads(data)]
    assert "".join(part["text"] for parts in texts for part in parts) == natives.ANSWER


@STREAMED
@pytest.mark.parametrize("upstream", ["gemini", "anthropic"])
def test_code_assist_gets_its_envelope_back(upstream: str, streamed: bool) -> None:
    translate = translator("gemini", upstream, stream=streamed, envelope=True)
    if streamed:
        told = translate.stream("text/event-stream")
        data = told.feed(natives.stream(upstream, "text")) + told.close()
        chunks = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]
    else:
        chunks = [json.loads(translate.buffered(200, head("application/json"), natives.answer(upstream, "text")).body)]
    assert all(chunk.keys() == {"response"} for chunk in chunks)
    assert natives.ANSWER[-6:] in json.dumps(chunks, ensure_ascii=False)


@STREAMED
def test_the_older_way_of_asking_ollama_is_answered_in_its_form(streamed: bool) -> None:
    translate = translator("ollama", "anthropic", stream=streamed, form="generate")
    if streamed:
        told = translate.stream("text/event-stream")
        data = told.feed(natives.stream("anthropic", "thinking")) + told.close()
    else:
        data = translate.buffered(200, head("application/json"), natives.answer("anthropic", "thinking")).body
    lines = [json.loads(line) for line in data.splitlines()]
    assert all("message" not in line for line in lines)
    assert "".join(line["response"] for line in lines) == natives.ANSWER
    assert "".join(line.get("thinking", "") for line in lines) == natives.THOUGHT


@pytest.mark.parametrize(
    ("client", "upstream", "body", "told"),
    [
        ("anthropic", "gemini", {"totalTokens": 7}, {"input_tokens": 7}),
        ("gemini", "anthropic", {"input_tokens": 7}, {"totalTokens": 7}),
        ("openai_responses", "anthropic", {"input_tokens": 7}, {"object": "response.input_tokens", "input_tokens": 7}),
    ],
)
def test_counted_tokens(client: str, upstream: str, body: Any, told: Any) -> None:
    answer = translator(client, upstream, kind="count_tokens").buffered(
        200, head("application/json"), json.dumps(body).encode()
    )
    assert (answer.status, json.loads(answer.body)) == (200, told)
    assert translator(client, upstream, kind="count_tokens").buffered(200, head(""), b"{}").status == 502


# What a provider did not say


@STREAMED
@UPSTREAM
def test_every_answer_has_an_id_a_model_and_a_time(upstream: str, streamed: bool) -> None:
    translate = translator("openai_chat", upstream, stream=streamed)
    if streamed:
        told = translate.stream(natives.content_type(upstream, True))
        data = told.feed(natives.stream(upstream, "text")) + told.close()
        bodies = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: {")]
    else:
        bodies = [json.loads(translate.buffered(200, head("application/json"), natives.answer(upstream, "text")).body)]
    assert len({body["id"] for body in bodies}) == 1
    assert "unknown" not in bodies[0]["id"] + bodies[0]["model"]
    assert bodies[0]["created"] > 1_700_000_000 - 10**8


@STREAMED
@pytest.mark.parametrize("client", ["anthropic", "openai_chat", "openai_responses"])
def test_calls_without_ids_get_ids_that_no_other_answer_has(client: str, streamed: bool) -> None:
    call = {"functionCall": {"name": "f", "args": {}}}
    candidate = {"content": {"role": "model", "parts": [call, call]}, "finishReason": "STOP"}
    body = {"candidates": [candidate]}
    seen = set()
    for unique in ("a", "b"):
        needs = ClientNeeds(client, "gemini", stream=streamed)
        translate = ResponseTranslator(needs, now=0, unique=unique)
        if streamed:
            told = translate.stream("text/event-stream")
            data = told.feed(sse(body)) + told.close()
        else:
            data = translate.buffered(200, head("application/json"), json.dumps(body).encode()).body
        seen |= {block.id for block in read(client, data, streamed).blocks if isinstance(block, ToolCall)}
    assert len(seen) == 4


def test_geminis_empty_last_part_makes_no_empty_text() -> None:
    """A client would send it back in its history, which Anthropic refuses."""
    told = translator("anthropic", "gemini", stream=True).stream("text/event-stream")
    out = told.feed(natives.stream("gemini", "tools")) + told.close()
    assert not any(isinstance(block, Text) for block in read("anthropic", out, streamed=True).blocks)


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses"])
def test_pings_keep_the_clients_stream_alive(client: str) -> None:
    told = translator(client, "anthropic", stream=True).stream("text/event-stream")
    assert told.feed(sse({"type": "ping"})) == b": ping\n\n"
    data = told.feed(natives.stream("anthropic", "text")) + told.close()
    judges.STREAMS[client](b": ping\n\n" + data)


# Errors

ERRORS = {
    "anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
    "openai_chat": {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}},
    "openai_responses": {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}},
    "gemini": {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}},
    "ollama": {"error": "slow down"},
}


@CLIENT
@UPSTREAM
@STREAMED
def test_an_error_is_told_in_the_clients_words(client: str, upstream: str, streamed: bool) -> None:
    translate = translator(client, upstream, stream=streamed)
    headers = head("application/json", retry_after="7", x_request_id="req-1", set_cookie="s", x_goog_secret="s")
    assert not translate.streams(429, headers)
    answer = translate.buffered(429, headers, json.dumps(ERRORS[upstream]).encode())
    assert answer.status == 429
    assert answer.headers.get("content-type") == "application/json"
    assert answer.headers.get("retry-after") == "7"
    assert answer.headers.get("request-id" if client == "anthropic" else "x-request-id") == "req-1"
    assert "set-cookie" not in answer.headers
    assert "x-goog-secret" not in answer.headers
    error = DIALECTS[client].decode_response(answer.body, 429).error
    assert error is not None
    assert (error.kind, error.message) == (ErrorKind.RATE_LIMIT, "slow down")


@CLIENT
@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (502, b"<html>Bad Gateway</html>", 502),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', 503),
        (200, b'{"error":{"type":"overloaded_error","message":"Overloaded"}}', 503),
        (200, b"<html>login</html>", 502),
        (200, b"", 502),
        (204, b"", 502),
        (304, b"", 502),
        (413, b"", 413),
    ],
)
def test_odd_answers_become_errors(client: str, status: int, body: bytes, told: int) -> None:
    answer = translator(client, "anthropic").buffered(status, head("text/html"), body)
    overloaded = b"overloaded" in body and client == "anthropic"
    assert answer.status == (529 if overloaded else told)
    error = DIALECTS[client].decode_response(answer.body, answer.status).error
    assert error is not None
    assert error.message


def test_googles_wait_in_the_body_becomes_a_header() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}]
    body = {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details}}
    answer = translator("anthropic", "gemini").buffered(429, head("application/json"), json.dumps(body).encode())
    assert answer.headers.get("retry-after") == "3"


@CLIENT
def test_an_error_in_the_midst_of_a_stream_is_told(client: str) -> None:
    begun = natives.stream("anthropic", "text").split(b"event: content_block_stop")[0]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    told = translator(client, "anthropic", stream=True).stream("text/event-stream")
    out = told.feed(begun + sse(error)) + told.close()
    response = read(client, out, streamed=True)
    assert response.outcome is Outcome.ERROR
    assert response.error.message == "Overloaded"


@CLIENT
def test_an_error_announced_as_a_stream_is_told(client: str) -> None:
    told = translator(client, "openai_chat", stream=True).stream("text/event-stream")
    out = told.feed(json.dumps(ERRORS["openai_chat"]).encode()) + told.close()
    assert b"slow down" in out


@pytest.mark.parametrize("dialect", [*natives.DIALECTS, "openai_completions", "bedrock", None])
def test_our_own_refusals_have_the_dialects_shape(dialect: str | None) -> None:
    status, headers, body = denied(dialect, 403, "rule 2 refuses this")
    assert (status, headers.get("x-should-retry")) == (403, "false")
    assert b"rule 2 refuses this" in body
    if dialect:
        error = DIALECTS[dialect].decode_response(body, status).error
        assert error is not None
        assert (error.kind, error.message) == (ErrorKind.PERMISSION, "rule 2 refuses this")
    status, headers, body = failed(dialect, ErrorKind.OVERLOADED, "m", retry_after=1.2)
    assert (status, headers.get("retry-after")) == (529 if dialect == "anthropic" else 503, "2")


@pytest.mark.parametrize("client", [name for name in natives.DIALECTS if name != "openai_responses"])
def test_after_an_error_nothing_more_is_told(client: str) -> None:
    """OpenAI says in one event that an answer has failed, how it ended and what it cost."""
    failed_response = {
        "id": "r",
        "object": "response",
        "status": "failed",
        "model": "m",
        "output": [],
        "error": {"code": "server_error", "message": "boom"},
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    }
    data = sse(
        {"type": "response.created", "response": {**failed_response, "status": "in_progress", "error": None}},
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "item_id": "i",
            "delta": "so far",
        },
        {"type": "response.failed", "response": failed_response},
    )
    told = translator(client, "openai_responses", stream=True).stream("text/event-stream")
    lines = (told.feed(data) + told.close()).strip().splitlines()
    assert b"so far" in b"".join(lines)
    assert b"boom" in lines[-1]


def test_an_image_in_an_answer_is_left_out_where_answers_have_none() -> None:
    parts = [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"text": "see above"}]
    body = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    answer = translator("anthropic", "gemini").buffered(200, head("application/json"), json.dumps(body).encode())
    assert [block["type"] for block in json.loads(answer.body)["content"]] == ["text"]
    assert "block_dropped" in [note.code for note in answer.diagnostics]


# The head


def test_diagnostics_stand_in_the_head() -> None:
    notes = (Diagnostic("warning", "thinking_dropped", "é \U0001f600", ("messages", 1), "anthropic", "gemini"),)
    translate = translator("anthropic", "gemini", notes, stream=True)
    header = translate.head(head("text/event-stream")).get("x-ccinspect-diagnostics")
    assert header is not None
    assert header.isascii()
    [told] = json.loads(header)
    assert told == {
        "severity": "warning",
        "code": "thinking_dropped",
        "path": ".messages[1]",
        "message": "é \U0001f600",
    }


@given(
    st.lists(
        st.builds(
            Diagnostic,
            st.sampled_from(["info", "warning", "error"]),
            st.text(max_size=20),
            st.text(max_size=300),
            st.lists(st.text(max_size=300) | st.integers(0, 999)).map(tuple),
        ),
        max_size=200,
    )
)
def test_the_header_is_ascii_json_of_at_most_4_kb(notes: list[Diagnostic]) -> None:
    translate = translator("anthropic", "gemini", tuple(notes), stream=True)
    header = translate.head(head("text/event-stream")).get("x-ccinspect-diagnostics")
    if not notes:
        assert header is None
        return
    assert header is not None
    assert header.isascii()
    assert header.isprintable()
    assert len(header) <= 4096
    told = json.loads(header)
    assert sum(entry.get("times", 1) for entry in told if "more" not in entry) <= len(notes)


@pytest.mark.parametrize("upstream", natives.DIALECTS)
@pytest.mark.parametrize("body", [b"data: ", b"event: ping\ndata: {}\n\n"])
def test_a_stream_that_says_nothing_is_no_answer(body: bytes, upstream: str) -> None:
    answer = translator("anthropic", upstream).buffered(200, head("application/json"), body)
    assert answer.status == 502
    assert b"is no answer of" in answer.body


@given(
    st.binary(max_size=300), st.sampled_from(natives.DIALECTS), st.sampled_from(natives.DIALECTS), st.integers(200, 599)
)
@example(b"data: ", "anthropic", "anthropic", 200)
def test_no_answer_makes_us_fail(data: bytes, client: str, upstream: str, status: int) -> None:
    for streamed in (True, False):
        translate = translator(client, upstream, stream=streamed)
        answer = translate.buffered(status, head("application/json"), data)
        # Noise is nobody's answer, unless it happens to be a JSON object, or a list of them.
        assert 400 <= answer.status < 600 or data.strip()[:1] in (b"{", b"[")
        assert answer.body
        told = translate.stream("text/event-stream")
        told.feed(data)
        told.close()
        assert told.close() == b""
