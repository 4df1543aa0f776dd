"""Latency through a proxy: one small request, one of a megabyte, and events of many streams at once."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

_STREAMS = 32
_EVENTS = 200
_GAP = 0.02
_AT = re.compile(rb'"at"?:? (\d+)')

Seconds = list[float]


def request_times(port: int, bodies: Iterable[bytes], path: str = "/v1/messages", headers: str = "") -> Seconds:
    """Seconds of a POST of each body, one after the other on one connection; `headers` are whole lines."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{headers}"
    times = []
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for body in bodies:
            message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            started = time.perf_counter()
            sock.sendall(message)
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                piece = sock.recv(65536)
                if not piece:
                    raise RuntimeError(f"the connection ended after {answer!r}")
                answer += piece
            times.append(time.perf_counter() - started)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"got {answer[:100]!r}")
    return times


async def paced_times(port: int, body: bytes, period: float, count: int, delay: float = 0.0) -> Seconds:
    """Seconds of `count` POSTs of `body`, one each `period` seconds on one connection, the first after `delay`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    loop = asyncio.get_running_loop()
    start = loop.time() + delay
    times: Seconds = []
    for number in range(count):
        await asyncio.sleep(start + number * period - loop.time())
        began = time.perf_counter()
        writer.write(message)
        answer = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"}]}")
        times.append(time.perf_counter() - began)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"got {answer!r}")
    writer.close()
    await writer.wait_closed()
    return times


def conversation(size: int, seed: int = 0) -> bytes:
    """A Messages request of about `size` bytes, with text as compressible as prose."""
    pick = random.Random(seed)
    words = ["".join(pick.choices("etaoinshrdlu", k=pick.randint(2, 9))) for _ in range(3000)]
    turns: list[dict[str, str]] = []
    total = 0
    while total < size:
        text = " ".join(pick.choices(words, k=200))
        turns.append({"role": "assistant" if len(turns) % 2 else "user", "content": text})
        total += len(text) + 40
    return json.dumps({"model": "bench", "max_tokens": 100, "messages": turns}).encode()


@dataclass(frozen=True)
class StreamRequest:
    """How a stream is asked for; `{delay}` stands for the seconds that the upstream is to wait with its first event."""

    path: str
    body: str = "{{}}"


def stream_path(path: str = "/sse", delay: str = "{delay}") -> str:
    """The path at which the upstream streams what `event_delays` reads."""
    return f"{path}?events={_EVENTS}&gap={_GAP}&delay={delay}"


def event_delays(port: int, request: StreamRequest | None = None) -> Seconds:
    """Seconds from writing to reading, for each event of 32 streams of 200 events."""
    return asyncio.run(_all_streams(port, request or StreamRequest(stream_path())))


async def _all_streams(port: int, request: StreamRequest) -> Seconds:
    # Spread over the gap, as independent clients would be.
    starts = (f"{0.5 + number * _GAP / _STREAMS:.5f}" for number in range(_STREAMS))
    delays = await asyncio.gather(*(_stream(port, request, start) for start in starts))
    return [delay for stream in delays for delay in stream]


async def _stream(port: int, request: StreamRequest, delay: str) -> Seconds:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path, body = request.path.format(delay=delay), request.body.format(delay=delay)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    delays: Seconds = []
    while len(delays) < _EVENTS:
        line = await reader.readline()
        if not line:
            raise RuntimeError(f"a stream ended after {len(delays)} events")
        if found := _AT.search(line):
            delays.append((time.monotonic_ns() - int(found[1])) / 1e9)
    writer.close()
    await writer.wait_closed()
    return delays


def percentile(values: Seconds, share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
