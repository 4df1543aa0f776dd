"""Latency through a proxy: one small request, one of a megabyte, and events of many streams at once."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import time
from collections.abc import Iterable

_STREAMS = 32
_EVENTS = 200
_GAP = 0.02
_AT = re.compile(rb'data: \{"at": (\d+),')

Seconds = list[float]


def request_times(port: int, bodies: Iterable[bytes]) -> Seconds:
    """Seconds of a POST of each body, one after the other on one connection."""
    head = f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
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


def event_delays(port: int) -> Seconds:
    """Seconds from writing to reading, for each event of 32 streams of 200 events."""
    return asyncio.run(_all_streams(port))


async def _all_streams(port: int) -> Seconds:
    # Spread over the gap, as independent clients would be.
    delays = await asyncio.gather(*(_stream(port, 0.5 + number * _GAP / _STREAMS) for number in range(_STREAMS)))
    return [delay for stream in delays for delay in stream]


async def _stream(port: int, delay: float) -> Seconds:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    target = f"/sse?events={_EVENTS}&gap={_GAP}&delay={delay}"
    writer.write(f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    delays: Seconds = []
    while len(delays) < _EVENTS:
        line = await reader.readline()
        if not line:
            raise RuntimeError(f"a stream ended after {len(delays)} events")
        if found := _AT.match(line):
            delays.append((time.monotonic_ns() - int(found[1])) / 1e9)
    writer.close()
    await writer.wait_closed()
    return delays


def percentile(values: Seconds, share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
