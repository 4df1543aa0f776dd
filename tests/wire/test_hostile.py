"""Peers that want to take our time or our memory."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ccinspect.wire.events import BlockDelta
from ccinspect.wire.model import Outcome, Text, ToolResult, Unknown
from ccinspect.wire.registry import DIALECTS
from ccinspect.wire.stream import MAX_BLOCKS, MAX_DIAGNOSTICS
from tests.wire.samples import chat_chunk, sse

ALL = pytest.mark.parametrize("dialect", DIALECTS)


@contextmanager
def bounded(seconds: float, megabytes: float) -> Iterator[None]:
    tracemalloc.start()
    started = time.process_time()
    yield
    took = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < seconds
    assert peak < megabytes * 1e6


@ALL
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"0",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff" * 1000,
        b'{"messages":' + b"[" * 150,
    ],
    ids=range(9),
)
def test_a_body_that_is_no_request_is_said_to_be_none(dialect: str, body: bytes) -> None:
    request = DIALECTS[dialect].decode_request(body, "/v1/x")
    assert [note.code for note in request.diagnostics] == ["unreadable_body"]
    answer = DIALECTS[dialect].decode_response(body, 200)
    assert answer.outcome is Outcome.TRUNCATED
    # A list may be an answer of Gemini; an empty one is one that ended too early.
    if (dialect, body) != ("gemini", b"[]"):
        assert answer.diagnostics[0].severity == "error"


@pytest.mark.parametrize("dialect", ["anthropic", "gemini"])
def test_a_hundred_megabytes_of_nothing_much(dialect: str) -> None:
    body = b'{"messages": [' + b"[]," * 35_000_000 + b"[]]}"
    with bounded(20, 800):
        request = DIALECTS[dialect].decode_request(body, "")
    assert request.diagnostics


def test_a_hundred_megabytes_of_text_are_read() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "lorem ipsum, " * 8_000_000}]}).encode()
    with bounded(20, 800):
        request = DIALECTS["anthropic"].decode_request(body, "")
    [block] = request.messages[0].blocks
    assert isinstance(block, Text)
    assert len(block.text) == 104_000_000


def test_results_within_results_end_somewhere() -> None:
    value: dict[str, Any] = {"type": "text", "text": "core"}
    for _ in range(60):
        value = {"type": "tool_result", "tool_use_id": "x", "content": [value]}
    body = json.dumps({"messages": [{"role": "user", "content": [value]}]}).encode()
    [block] = DIALECTS["anthropic"].decode_request(body, "").messages[0].blocks
    depth = 0
    while isinstance(block, ToolResult):
        [block] = block.content
        depth += 1
    assert isinstance(block, Unknown)
    assert "core" in block.text
    assert depth < 10


def test_blocks_without_end_are_cut_off_and_named() -> None:
    stream = DIALECTS["anthropic"].open_stream("")
    with bounded(20, 300):
        for index in range(MAX_BLOCKS + 5_000):
            delta = {"type": "text_delta", "text": "x"}
            stream.feed(sse({"type": "content_block_delta", "index": index, "delta": delta}))
        response = stream.close()
    assert len(response.blocks) == MAX_BLOCKS
    assert response.diagnostics[0].code == "too_many_blocks"
    assert len(response.diagnostics) <= MAX_DIAGNOSTICS


def test_tool_calls_without_end_are_cut_off() -> None:
    stream = DIALECTS["openai_chat"].open_stream("")
    with bounded(30, 400):
        for index in range(25_000):
            call = {"index": index, "id": f"c{index}", "function": {"name": "f"}}
            stream.feed(sse(chat_chunk({"tool_calls": [call]})))
        assert len(stream.close().blocks) <= MAX_BLOCKS


@ALL
def test_a_long_run_of_bytes_without_an_event_takes_linear_time(dialect: str) -> None:
    for content_type in ("text/event-stream", "application/x-ndjson", "application/json"):
        stream = DIALECTS[dialect].open_stream(content_type)
        with bounded(15, 300):
            for _ in range(30_000):
                stream.feed(b'data: {"aaa')
            assert stream.close().outcome is not Outcome.COMPLETE


def test_unreadable_events_are_counted_but_not_kept() -> None:
    stream = DIALECTS["openai_chat"].open_stream("")
    stream.feed(b"data: {oops}\n\n" * 10_000)
    response = stream.close()
    assert len(response.diagnostics) == MAX_DIAGNOSTICS


@pytest.mark.parametrize("index", [10**30, -5, 1.5, True, None, "0", [], {}])
def test_any_index_is_survived(index: Any) -> None:
    delta = {"type": "text_delta", "text": "x"}
    events = [
        {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": index, "delta": delta},
        {"type": "content_block_stop", "index": index},
    ]
    stream = DIALECTS["anthropic"].open_stream("")
    told = stream.feed(sse(*events))
    texts = [block.text for block in stream.close().blocks if isinstance(block, Text)]
    assert texts == (["x"] if any(isinstance(event, BlockDelta) for event in told) else texts)
    for place in ("output_index", "content_index"):
        other = DIALECTS["openai_responses"].open_stream("")
        other.feed(sse({"type": "response.output_text.delta", "output_index": 0, place: index, "delta": "x"}))
        other.close()
    chat = DIALECTS["openai_chat"].open_stream("")
    chat.feed(sse({"choices": [{"index": index, "delta": {"content": "x", "tool_calls": [{"index": index}]}}]}))
    chat.close()


def test_an_emoji_cut_in_two_events_is_whole_again() -> None:
    deltas = [rf'{{"choices":[{{"index":0,"delta":{{"content":"\ud{half}"}}}}]}}' for half in ("83d", "e00")]
    stream = DIALECTS["openai_chat"].open_stream("")
    events = stream.feed("".join(f"data: {delta}\n\n" for delta in deltas).encode())
    assert stream.close().blocks == (Text("\U0001f600"),)
    make = DIALECTS["anthropic"].open_encoder
    assert make is not None
    make("openai_chat").feed(events).decode()
