"""A server that costs as little as possible, in a process of its own, so that it is never what is measured.

`python -m bench.upstream` prints its port and serves until its stdin ends. A POST to `/sse?events=N&gap=S&delay=S`
streams N events, S seconds apart, each with the time it was written (nanoseconds of the monotonic clock); everything
else gets a small JSON answer. Both are in the words of OpenAI's Chat Completions where the path ends with
`/chat/completions`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from urllib.parse import parse_qs, urlsplit

_ANSWER = b'{"type":"message","content":[{"type":"text","text":"ok"}]}'
_CHAT = "/chat/completions"
_CHAT_HEAD = b'{"id":"c","object":"chat.completion","created":1,"model":"bench","choices":[{"index":0,'
_CHAT_ANSWER = _CHAT_HEAD + b'"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}'
_CHUNK_HEAD = b"data: " + _CHAT_HEAD.replace(b"completion", b"completion.chunk")
_CHAT_EVENT = _CHUNK_HEAD + b'"delta":{"content":"at %d a few words"},"finish_reason":null}]}\n\n'
_CHAT_END = _CHUNK_HEAD + b'"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
_EVENT = b'event: delta\ndata: {"at": %d, "text": "a few words"}\n\n'
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
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
        target = urlsplit(self._target)
        chat = target.path.endswith(_CHAT)
        if not target.path.startswith("/sse"):
            answer = _CHAT_ANSWER if chat else _ANSWER
            self._transport.write(_OK % (len(answer), answer))
            return
        query = parse_qs(target.query)
        self._task = asyncio.get_running_loop().create_task(
            self._stream(int(query["events"][0]), float(query["gap"][0]), float(query["delay"][0]), chat)
        )

    async def _stream(self, events: int, gap: float, delay: float, chat: bool) -> None:
        self._transport.write(_STREAM)
        # Absolute times: what a slow event costs must not push the later ones.
        start = asyncio.get_running_loop().time() + delay
        for number in range(events):
            await asyncio.sleep(start + number * gap - asyncio.get_running_loop().time())
            self._write_chunk((_CHAT_EVENT if chat else _EVENT) % time.monotonic_ns())
        if chat:
            self._write_chunk(_CHAT_END)
        self._transport.write(b"0\r\n\r\n")

    def _write_chunk(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%s\r\n" % (len(data), data))


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
