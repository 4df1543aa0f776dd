"""Flow and run records as the proxy hands them over, and a recorder around them."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ccinspect.store.options import StoreOptions
from ccinspect.store.recorder import Recorder

SECONDS = 20.0
"""No step of a test takes this long unless something is broken."""


def flow(**changes: Any) -> dict[str, Any]:
    """A finished HTTP flow; `changes` replace top-level fields, those of `request` and `response` are merged."""
    now = time.time()
    record: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "type": "http",
        "source": "reverse",
        "run": None,
        "state": "complete",
        "opaque": False,
        "hint": None,
        "client_conn": {"id": str(uuid.uuid4()), "peername": ["127.0.0.1", 40000], "timestamp_start": now},
        "server_conn": {"id": str(uuid.uuid4()), "address": ["api.example.com", 443], "timestamp_start": now},
        "request": {
            "method": "POST",
            "scheme": "https",
            "host": "api.example.com",
            "port": 443,
            "path": "/v1/messages",
            "authority": "",
            "http_version": "HTTP/1.1",
            "headers": [[b"Host", b"api.example.com"], [b"Content-Type", b"application/json"]],
            "trailers": None,
            "pretty_host": "api.example.com",
            "timestamp_start": now,
            "timestamp_end": now + 0.1,
        },
        "client_request": None,
        "response": {
            "http_version": "HTTP/1.1",
            "status_code": 200,
            "reason": "OK",
            "headers": [[b"Content-Type", b"application/json"]],
            "trailers": None,
            "timestamp_start": now + 0.5,
            "timestamp_end": now + 1.5,
        },
        "client_response": None,
        "changes": None,
        "parent": None,
        "error": None,
        "timing": {"started_at": now, "ended_at": now + 1.5, "first_byte_at": now + 0.5},
        "sizes": {"request": 0, "response": 0},
    }
    for name, value in changes.items():
        merged = isinstance(value, dict) and isinstance(record.get(name), dict)
        record[name] = record[name] | value if merged else value
    return record


def started(record: dict[str, Any]) -> dict[str, Any]:
    """The message that announces `record`."""
    begun = record | {"state": "started", "response": None, "timing": record["timing"] | {"ended_at": None}}
    return {"kind": "flow_started", "flow": begun}


def ended(record: dict[str, Any], request: Any = None, response: Any = None, **bodies: Any) -> dict[str, Any]:
    """The message that completes `record`; `sizes` are filled in."""
    sizes = {"request": size_of(request), "response": size_of(response)}
    return {
        "kind": "flow_ended",
        "flow": record | {"sizes": sizes},
        "request_body": request,
        "response_body": response,
        **bodies,
    }


def size_of(body: Any) -> int:
    if body is None:
        return 0
    return body["size"] if isinstance(body, dict) else len(body)


def run(**changes: Any) -> dict[str, Any]:
    record = {
        "id": str(uuid.uuid4()),
        "name": None,
        "mode": "inspect",
        "command": ["agent", "hello"],
        "cwd": "/home/someone/project",
        "user": "someone",
        "pid": 4242,
        "project": None,
        "tags": {},
        "git": None,
        "started_at": time.time(),
        "ended_at": None,
        "exit_code": None,
        "host": "machine",
    }
    return record | changes


@asynccontextmanager
async def recording(store_dir: Path, options: StoreOptions | None = None) -> AsyncIterator[Recorder]:
    """A recorder with its real process, drained and ended afterwards."""
    recorder = Recorder.start(store_dir, options or StoreOptions())
    try:
        assert await recorder.ready(SECONDS)
        yield recorder
    finally:
        assert await recorder.close(SECONDS)


async def record(store_dir: Path, *messages: dict[str, Any], options: StoreOptions | None = None) -> dict[str, Any]:
    """Put messages, drain, end; the recorder's last stats."""
    async with recording(store_dir, options) as recorder:
        for message in messages:
            recorder.put(message)
        assert await recorder.flush(SECONDS)
        return recorder.stats()
