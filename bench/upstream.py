"""A server that costs as little as possible, in a process of its own, so that it is never what is measured.

`python -m bench.upstream` prints its port and serves until its stdin ends. A POST to `/sse?events=N&gap=S&delay=S`
streams N events, S seconds apart, each with the time it was written (nanoseconds of the monotonic clock); everything
else gets a small JSON answer.
"""

from __future__ import annotations

import asyncio
import sys
import time
from urllib.parse import parse_qs, urlsplit

_ANSWER = b'{"type":"message","content":[{"type":"text","text":"ok"}]}'
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_ANSWER), _ANSWER)
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_HEAD_END = b"\r\n\r\n"


class _Server(asyncio.Protocol):
    """Reads just enough HTTP/1.1 to know where a request ends."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._target = ""
        self._left = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._left > len(data):
            self._left -= len(data)
            return
        self._buffer += data
        while self._take_request():
            pass

    def _take_request(self) -> bool:
        if self._left < 0:
            end = self._buffer.find(_HEAD_END)
            if end < 0:
                return False
            head = bytes(self._buffer[:end]).decode("latin-1")
            del self._buffer[: end + len(_HEAD_END)]
            self._target = head.split(" ", 2)[1]
            self._left = _content_length(head)
        if self._left > len(self._buffer):
            self._left -= len(self._buffer)
            self._buffer.clear()
            return False
        del self._buffer[: self._left]
        self._left = -1
        self._answer()
        return bool(self._buffer)

    def _answer(self) -> None:
        if not self._target.startswith("/sse"):
            self._transport.write(_OK)
            return
        query = parse_qs(urlsplit(self._target).query)
        self._task = asyncio.get_running_loop().create_task(
            self._stream(int(query["events"][0]), float(query["gap"][0]), float(query["delay"][0]))
        )

    async def _stream(self, events: int, gap: float, delay: float) -> None:
        self._transport.write(_STREAM)
        # Absolute times: what a slow event costs must not push the later ones.
        start = asyncio.get_running_loop().time() + delay
        for number in range(events):
            await asyncio.sleep(start + number * gap - asyncio.get_running_loop().time())
            event = b'event: delta\ndata: {"at": %d, "text": "a few words"}\n\n' % time.monotonic_ns()
            self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))
        self._transport.write(b"0\r\n\r\n")


def _content_length(head: str) -> int:
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
