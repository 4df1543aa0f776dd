"""Streamed answers: the same at any chunking, honest at any cut, and equal to the buffered answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.wire.events import BlockDelta, MessageStop, StreamEvent
from ccinspect.wire.model import ErrorKind, Outcome, Response, Signature, StopReason, Text, Thinking, ToolCall, Unknown
from ccinspect.wire.openai_responses import ResponsesSocket
from ccinspect.wire.registry import DIALECTS
from tests.wire import samples
from tests.wire.chunks import by_chunks, cut, one_by_one
from tests.wire.samples import chat_chunk, sse

IDS = [f"{dialect}-{index}" for index, (dialect, _, _) in enumerate(samples.STREAMS)]
STREAMS = pytest.mark.parametrize(("dialect", "content_type", "data"), samples.STREAMS, ids=IDS)


def read(dialect: str, data: bytes, content_type: str = "", reason: Any = "eof") -> Response:
    stream = DIALECTS[dialect].open_stream(content_type)
    stream.feed(data)
    return stream.close(reason)


@STREAMS
def test_a_stream_is_complete(dialect: str, content_type: str, data: bytes) -> None:
    response = read(dialect, data, content_type)
    assert response.outcome is Outcome.COMPLETE
    assert response.stop_reason in (StopReason.TOOL_USE, StopReason.END_TURN)
    assert response.usage is not None
    assert response.usage.output
    assert not response.diagnostics


@STREAMS
def test_one_byte_at_a_time_gives_the_same_events(dialect: str, content_type: str, data: bytes) -> None:
    whole, parts = (DIALECTS[dialect].open_stream(content_type) for _ in range(2))
    assert one_by_one(parts.feed, data) == whole.feed(data)
    assert parts.close() == whole.close()


@STREAMS
@settings(max_examples=30)
@given(places=st.data())
def test_any_chunking_gives_the_same_events(dialect: str, content_type: str, data: bytes, places: Any) -> None:
    edges = places.draw(st.lists(st.integers(0, len(data)), max_size=40))
    whole, parts = (DIALECTS[dialect].open_stream(content_type) for _ in range(2))
    assert by_chunks(parts.feed, cut(data, edges)) == whole.feed(data)
    assert parts.close() == whole.close()


def text_of(events: list[StreamEvent]) -> dict[tuple[int, str], str]:
    out: dict[tuple[int, str], str] = {}
    for event in events:
        if isinstance(event, BlockDelta):
            key = (event.index, event.kind)
            out[key] = out.get(key, "") + event.text
    return out


OUTCOMES = {
    "eof": Outcome.TRUNCATED,
    "client_disconnected": Outcome.CLIENT_DISCONNECTED,
    "upstream_reset": Outcome.UPSTREAM_RESET,
}


@STREAMS
@settings(max_examples=60)
@given(end=st.data(), reason=st.sampled_from(["eof", "client_disconnected", "upstream_reset"]))
def test_any_cut_gives_what_came_and_says_why(
    dialect: str, content_type: str, data: bytes, end: Any, reason: Any
) -> None:
    place = end.draw(st.integers(0, len(data)))
    stream = DIALECTS[dialect].open_stream(content_type)
    events = stream.feed(data[:place])
    response = stream.close(reason)
    events += stream.tail
    everything = DIALECTS[dialect].open_stream(content_type)
    complete = everything.feed(data)
    whole = everything.close()
    complete += everything.tail
    shown = [event for event in events if not isinstance(event, MessageStop)]
    assert (
        text_of(shown).items()
        <= {key: text[: len(text_of(shown).get(key, ""))] for key, text in text_of(complete).items()}.items()
    )
    finished = stream.builder.ended or (stream.end_mark_optional and reason == "eof" and stream.builder.stop)
    assert response.outcome is (Outcome.COMPLETE if finished else OUTCOMES[reason])
    # Amazon Q has no end mark: a stream that ends between two of its messages looks complete.
    if response.outcome is Outcome.COMPLETE and dialect != "amazon_q":
        assert (response.blocks, response.stop_reason) == (whole.blocks, whole.stop_reason)
    else:
        assert len(response.blocks) <= len(whole.blocks)


def test_after_message_start_the_usage_is_there() -> None:
    start = samples.ANTHROPIC_STREAM.index(b"event: ping")
    response = read("anthropic", samples.ANTHROPIC_STREAM[:start], reason="client_disconnected")
    assert response.outcome is Outcome.CLIENT_DISCONNECTED
    assert response.usage is not None
    counts = (response.usage.input, response.usage.cache_read, response.usage.cache_write_1h, response.usage.output)
    assert counts == (4, 900, 100, 1)
    assert response.model == "claude-sonnet-4-5"


def test_half_of_the_arguments_are_kept_as_text() -> None:
    end = samples.ANTHROPIC_STREAM.index(b'path\\": \\"/a')
    response = read("anthropic", samples.ANTHROPIC_STREAM[:end])
    assert response.blocks[-1] == ToolCall("toolu_1", "Read", '{"file_')


@pytest.mark.parametrize("dialect", ["openai_responses", "gemini", "ollama", "bedrock"])
def test_streamed_equals_buffered(dialect: str) -> None:
    content_type, data = next((kind, data) for name, kind, data in samples.STREAMS if name == dialect)
    streamed = read(dialect, data, content_type)
    codec = DIALECTS[dialect]
    buffered = codec.decode_response(json.dumps(dict(samples.RESPONSES)[dialect]).encode(), 200)
    assert streamed.blocks == buffered.blocks
    assert streamed.usage == buffered.usage
    assert streamed.stop_reason == buffered.stop_reason
    if dialect != "bedrock":
        assert streamed.model == buffered.model


def test_anthropic_in_full() -> None:
    response = read("anthropic", samples.ANTHROPIC_STREAM)
    assert response.blocks == (
        Thinking("Let me see \u2028.", signature=Signature("EqQB==", "anthropic")),
        Text("Reading \U0001f600 now."),
        ToolCall("toolu_1", "Read", {"file_path": "/a"}),
        ToolCall("toolu_2", "List", {}),
    )
    assert response.usage is not None
    assert (response.usage.cache_write_5m, response.usage.cache_write_1h, response.usage.output) == (20, 100, 65)


def test_chat_in_full() -> None:
    response = read("openai_chat", samples.CHAT_STREAM)
    assert response.blocks == (
        Thinking("Hmm yes"),
        Text("Reading \U0001f600 now."),
        ToolCall("call_1", "read", {"file_path": "/a"}),
        ToolCall("call_2", "list", {}),
    )


def test_amazon_q_in_full() -> None:
    response = read("amazon_q", samples.AMAZON_Q_STREAM)
    assert response.blocks == (Text("There is one."), ToolCall("tooluse_2", "fs_read", {"path": "a"}))
    assert (response.id, response.model) == ("u-1", "claude-sonnet-4.5")


def test_unknown_events_blocks_and_deltas_do_not_stop_a_stream() -> None:
    data = sse(
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "aurora", "x": 1},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "hologram", "beam": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "beam_delta", "beam": "b", "n": 1}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "beam_delta", "beam": "c", "n": 2}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "no start"}},
        "not json",
        {"type": "message_delta", "delta": {"stop_reason": "martian"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    )
    response = read("anthropic", data)
    hologram, text, late = response.blocks
    assert isinstance(hologram, Unknown)
    assert hologram.raw == {"type": "hologram", "beam": "bc", "n": 2}
    assert (text, late) == (Text("x"), Text("no start"))
    assert (response.stop_reason, response.stop_detail) == (StopReason.OTHER, "martian")
    assert [note.code for note in response.diagnostics] == ["unreadable_event"]


@pytest.mark.parametrize(
    ("dialect", "content_type", "data", "kind"),
    [
        ("anthropic", "", sse({"type": "error", "error": {"type": "overloaded_error", "message": "O"}}), "overloaded"),
        ("openai_chat", "", sse({"error": {"message": "x", "code": 429}}), "rate_limit"),
        ("openai_responses", "", sse({"type": "error", "code": "server_error", "message": "x"}), "server"),
        (
            "openai_responses",
            "",
            sse({"type": "error", "status": 400, "error": {"type": "invalid_request_error", "message": "x"}}),
            "invalid_request",
        ),
        (
            "openai_responses",
            "",
            sse({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}}),
            "server",
        ),
        ("gemini", "text/event-stream", sse({"error": {"code": 503, "status": "UNAVAILABLE"}}), "overloaded"),
        ("gemini", "application/json", b'[{"error": {"code": 503, "status": "UNAVAILABLE"}}]', "overloaded"),
        ("ollama", "", b'{"error":"an error was encountered"}\n', "server"),
        (
            "bedrock",
            "",
            samples.encode_message(
                b'{"message":"slow"}', {":message-type": "exception", ":exception-type": "throttlingException"}
            ),
            "rate_limit",
        ),
        ("amazon_q", "", samples.aws("invalidStateEvent", {"reason": "X", "message": "m"}), "server"),
    ],
)
def test_an_error_in_the_stream_is_the_outcome(dialect: str, content_type: str, data: bytes, kind: str) -> None:
    response = read(dialect, data, content_type)
    assert response.outcome is Outcome.ERROR
    assert response.error is not None
    assert response.error.kind is ErrorKind(kind)


def test_a_chat_stream_without_its_end_mark_is_complete_when_it_stopped() -> None:
    data = sse(chat_chunk({"content": "x"}), chat_chunk({}, "stop"))
    assert read("openai_chat", data).outcome is Outcome.COMPLETE
    assert read("openai_chat", data, reason="client_disconnected").outcome is Outcome.CLIENT_DISCONNECTED
    assert read("openai_chat", data[:-60]).outcome is Outcome.TRUNCATED


def test_several_choices_are_kept_apart() -> None:
    chunks = [
        {"choices": [{"index": number, "delta": {"content": text}}]} for number, text in [(0, "a"), (1, "x"), (0, "b")]
    ]
    response = read("openai_chat", sse(*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    assert (response.blocks, response.alternatives) == ((Text("ab"),), ((Text("x"),),))


def test_gemini_arguments_in_pieces() -> None:
    pieces = [
        {"name": "f", "id": "1", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": True},
        {
            "partialArgs": [{"jsonPath": "$.a", "stringValue": "y"}, {"jsonPath": "$.l[0].n", "numberValue": 3}],
            "willContinue": True,
        },
        {"partialArgs": [{"jsonPath": "$.b", "boolValue": True}]},
    ]
    chunks = [{"candidates": [{"content": {"parts": [{"functionCall": piece}]}}]} for piece in pieces]
    response = read("gemini", sse(*chunks, {"candidates": [{"finishReason": "STOP"}]}), "text/event-stream")
    assert response.blocks == (ToolCall("1", "f", {"a": "xy", "l": [{"n": 3}], "b": True}),)
    assert response.stop_reason is StopReason.TOOL_USE


def test_a_websocket_has_many_answers() -> None:
    socket = ResponsesSocket()
    warm_up = socket.client_message(json.dumps({"type": "response.create", "generate": False, "model": "m"}))
    assert warm_up is not None
    assert warm_up.request.kind == "warm_up"
    done = {"type": "response.completed", "response": {"id": "resp_0", "status": "completed", "output": []}}
    exchange, _ = socket.server_message(json.dumps(done))
    assert exchange is warm_up
    assert warm_up.response is not None
    assert warm_up.response.id == "resp_0"
    turn = socket.client_message(
        json.dumps(
            {"type": "response.create", "previous_response_id": "resp_0", "input": [{"role": "user", "content": "x"}]}
        )
    )
    assert turn is not None
    assert turn.request.previous_response_id == "resp_0"
    for event in samples.RESPONSES_EVENTS:
        socket.server_message(json.dumps(event))
    assert turn.response is not None
    assert turn.response.blocks == read("openai_responses", samples.RESPONSES_STREAM).blocks
    cut_off = socket.client_message(json.dumps({"type": "response.create", "stream_id": "s2"}))
    socket.server_message(json.dumps({**samples.RESPONSES_EVENTS[0], "stream_id": "s2"}))
    assert socket.server_message(json.dumps({**samples.RESPONSES_EVENTS[0], "stream_id": "s3"})) == (None, [])
    assert socket.client_message("junk") is None
    assert socket.close("upstream_reset") == [cut_off]
    assert cut_off is not None
    assert cut_off.response is not None
    assert cut_off.response.outcome is Outcome.UPSTREAM_RESET
    assert socket.unmatched == 1
