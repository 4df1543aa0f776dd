"""Stores filled by the real recorder with made-up model calls, and what the analyst makes of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ccinspect.analysis.analyst import Analyst
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.query import Analysis
from ccinspect.store.options import StoreOptions
from tests.store import records

MODEL = "claude-sonnet-4-5"
Message = dict[str, Any]


def anthropic_call(
    *messages: Message,
    answer: str = "Done.",
    usage: Message | None = None,
    status: int = 200,
    response_headers: Sequence[tuple[str, str]] = (),
    headers: Sequence[tuple[str, str]] = (),
    path: str = "/v1/messages",
    **fields: Any,
) -> list[Message]:
    """The recorder's messages of one Messages call, with its answer."""
    request = {"model": MODEL, "max_tokens": 100, "messages": list(messages), **fields.pop("body", {})}
    response: Message = {
        "id": f"msg_{time.time_ns():x}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": answer}],
        "stop_reason": "end_turn",
        "usage": usage or {"input_tokens": 100, "output_tokens": 10},
    }
    if path.endswith("count_tokens"):
        response = {"input_tokens": 77}
    if status >= 400:
        response = {"type": "error", "error": {"type": "overloaded_error", "message": "too much to do"}}
    return http_call(
        "api.anthropic.com", path, request, response, status=status, headers=headers,
        response_headers=response_headers, **fields,
    )  # fmt: skip


def http_call(
    host: str,
    path: str,
    request: Any,
    response: Any,
    *,
    status: int = 200,
    headers: Sequence[tuple[str, str]] = (),
    response_headers: Sequence[tuple[str, str]] = (),
    content_type: str = "application/json",
    started: bool = False,
    **changes: Any,
) -> list[Message]:
    """The recorder's messages of one HTTP flow; bodies are bytes, or become JSON."""
    flow = records.flow(
        request={
            "host": host,
            "pretty_host": host,
            "path": path,
            "headers": _headers(("content-type", "application/json"), ("x-api-key", KEY), *headers),
        },
        response={"status_code": status, "headers": _headers(("content-type", content_type), *response_headers)},
        **changes,
    )
    body, answer = _body(request), _body(response)
    return [records.started(flow)] if started else [records.ended(flow, body, answer)]


KEY = "sk-ant-api03-this-is-a-secret-of-the-test-0001"


def _headers(*pairs: tuple[str, str]) -> list[list[bytes]]:
    return [[name.encode(), value.encode()] for name, value in pairs]


def _body(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else json.dumps(value).encode()


def fill(store_dir: Path, *messages: Message, options: StoreOptions | None = None) -> None:
    """Let a real recorder write these messages."""
    asyncio.run(records.record(store_dir, *messages, options=options))


@contextmanager
def analysed(store_dir: Path, options: AnalysisOptions | None = None) -> Iterator[Analysis]:
    """Bring the analysis up to date in this process, and open it."""
    with Analyst.open(store_dir, options or AnalysisOptions()) as analyst:
        assert analyst is not None, "another process is the analyst, or there is no store"
        analyst.catch_up()
    with Analysis(store_dir, options or AnalysisOptions()) as analysis:
        yield analysis


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def sse(*events: Message) -> bytes:
    """Events of Anthropic's stream."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def message_start(input_tokens: int) -> Message:
    usage = {"input_tokens": input_tokens, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": usage}
    return {"type": "message_start", "message": message}


def text_delta(text: str) -> Message:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


TEXT_START = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
