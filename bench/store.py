"""The store's figures: disk, processor time and queries. `python -m bench.store` prints rows of docs/benchmarks.md."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from bench.conversation import conversation
from bench.servers import processor_seconds
from bench.table import Row, report
from ccinspect.store.options import StoreOptions
from ccinspect.store.query import StoreReader
from ccinspect.store.recorder import Recorder
from ccinspect.store.selection import Selection

FLOWS = 100_000
_FLUSH_SECONDS = 120.0
_CHUNK = 64 << 10
_HEADERS = [
    [b"Host", b"api.anthropic.com"],
    [b"Accept", b"application/json"],
    [b"Content-Type", b"application/json"],
    [b"User-Agent", b"claude-cli/2.0.0 (external, cli)"],
    [b"X-Stainless-Runtime", b"node"],
    [b"x-api-key", b"sk-ant-api03-0123456789abcdefghijklmnopqrstuvwxyz"],
    [b"anthropic-version", b"2023-06-01"],
    [b"anthropic-beta", b"claude-code-20250219,interleaved-thinking-2025-05-14"],
]


def flow(number: int, request_size: int, response_size: int) -> dict[str, Any]:
    """A finished flow of a coding agent, as the proxy hands it over."""
    now = time.time()
    unique = uuid.uuid4().hex
    answer = [
        [b"Date", b"Sat, 01 Jan 2028 00:00:00 GMT"],
        [b"Content-Type", b"text/event-stream; charset=utf-8"],
        [b"request-id", f"req_{unique}".encode()],
        [b"anthropic-ratelimit-tokens-remaining", str(number * 7).encode()],
        [b"cf-ray", unique[:16].encode() + b"-FRA"],
    ]
    return {
        "id": str(uuid.uuid4()),
        "type": "http",
        "source": "wireguard",
        "run": None,
        "state": "complete",
        "opaque": False,
        "hint": None,
        "client_conn": {
            "id": str(uuid.uuid4()),
            "peername": ["10.0.0.1", 40000 + number % 999],
            "timestamp_start": now,
        },
        "server_conn": {"id": str(uuid.uuid4()), "address": ["api.anthropic.com", 443], "timestamp_start": now},
        "request": {
            "method": "POST",
            "scheme": "https",
            "host": "api.anthropic.com",
            "port": 443,
            "path": "/v1/messages?beta=true",
            "http_version": "HTTP/1.1",
            "headers": _HEADERS,
            "trailers": None,
            "pretty_host": "api.anthropic.com",
            "timestamp_start": now,
            "timestamp_end": now + 0.01,
        },
        "client_request": None,
        "response": {
            "http_version": "HTTP/1.1",
            "status_code": 200 if number % 50 else 529,
            "reason": "OK",
            "headers": answer,
            "trailers": None,
            "timestamp_start": now + 0.4,
            "timestamp_end": now + 2.5,
        },
        "client_response": None,
        "error": None,
        "timing": {"started_at": now, "ended_at": now + 2.5, "first_byte_at": now + 0.4},
        "sizes": {"request": request_size, "response": response_size},
    }


async def record_conversation(directory: Path, bodies: list[bytes]) -> tuple[float, float]:
    """Record it as the proxy does, in chunks; seconds of processor time of the proxy's side and of the recorder's."""
    recorder = Recorder.start(directory, StoreOptions())
    await recorder.ready()
    pid = recorder.stats()["pid"]
    ours, theirs = time.process_time(), processor_seconds(pid)
    for number, body in enumerate(bodies):
        sink = recorder.new_body()
        for start in range(0, len(body), _CHUNK):
            sink.feed(body[start : start + _CHUNK])
        answer = b"event: ping\ndata: %d\n\n" % number
        finished = flow(number, len(body), len(answer))
        recorder.put({"kind": "flow_started", "flow": finished | {"state": "started", "response": None}})
        recorder.put({"kind": "flow_ended", "flow": finished, "request_body": sink.finish(), "response_body": answer})
        await asyncio.sleep(0)
    await recorder.flush(_FLUSH_SECONDS)
    spent = time.process_time() - ours, processor_seconds(pid) - theirs
    await recorder.close()
    return spent


def disk(directory: Path) -> list[Row]:
    bodies = list(conversation())
    raw = sum(map(len, bodies))
    ours, theirs = asyncio.run(record_conversation(directory, bodies))
    stored = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    with StoreReader(directory) as store:
        records = store.select(Selection())
        exact = [store.request_body(record["id"]) for record in records] == bodies
    share = stored / raw
    megabytes = raw / 1e6
    return [
        Row(
            f"disk for a 200-turn conversation ({megabytes:.0f} MB raw, last body {len(bodies[-1]) / 1e3:.0f} KB)",
            f"{share:.2%} of raw, {'every body byte-identical' if exact else 'BODIES DIFFER'}",
            "<= 4 %",
            exact and share <= 0.04,
        ),
        Row(
            "recorder: processor time per MB of such bodies",
            f"{theirs / megabytes * 1e3:.1f} ms (proxy's side {ours / megabytes * 1e3:.1f} ms)",
            "<= 10 ms",
            theirs / megabytes <= 0.010,
        ),
    ]


async def fill(directory: Path) -> list[float]:
    """Record FLOWS small flows; seconds of each `put`."""
    recorder = Recorder.start(directory, StoreOptions())
    await recorder.ready()
    costs = []
    for number in range(FLOWS):
        body, answer = b'{"n":%d}' % (number % 1000), b'{"ok":%d}' % (number % 100)
        message = {
            "kind": "flow_ended",
            "flow": flow(number, len(body), len(answer)),
            "request_body": body,
            "response_body": answer,
        }
        start = time.perf_counter()
        recorder.put(message)
        costs.append(time.perf_counter() - start)
        if number % 500 == 0:
            await recorder.flush(_FLUSH_SECONDS)
    await recorder.close()
    return costs


def queries(directory: Path) -> list[Row]:
    store = directory / "data" / "store"
    costs = asyncio.run(fill(store))
    put = statistics.median(costs) * 1e6
    rows = [Row("`Recorder.put` of a small flow, p50", f"{put:.0f} us", "<= 50 us", put <= 50)]
    with StoreReader(store) as reader:
        assert reader.count() == FLOWS
    filters = "map(select(.response.status_code >= 400)) | map({id, host: .request.pretty_host})"
    for what, arguments, least in (
        ("`flows list --limit 50`", ["--limit", "50"], 50),
        ("`flows list` with a jq filter over the newest 1,000", ["--limit", "1000", "--json", "--jq", filters], 1),
    ):
        seconds = statistics.median(_list(directory, arguments, least) for _ in range(5))
        rows.append(Row(f"{what}, of {FLOWS:,} flows", f"{seconds:.2f} s", "<= 0.5 s", seconds <= 0.5))
    return rows


def _list(directory: Path, arguments: list[str], least: int) -> float:
    command = [sys.executable, "-m", "ccinspect", "--config", str(directory), "flows", "list", *arguments]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    found = len(json.loads(done.stdout)) if "--json" in arguments else len(done.stdout.splitlines())
    assert found >= least, done.stdout
    return seconds


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ccinspect-bench-") as directory:
        rows = disk(Path(directory) / "conversation") + queries(Path(directory) / "queries")
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
