"""Reading HTTP/1 requests without understanding more than needed, and keeping every byte.

Parsers normalise, which would hide what a test wants to see; this one finds the end of each request and leaves
the bytes as they came.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import threading
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import zstandard

MAX_LINE = 4 * 2**20
_PIECE = 2**18


@dataclass
class Received:
    """One request as it came over the wire.

    `head` is everything up to and including the blank line, `wire_body` the body with its chunk framing and
    trailers. Bodies longer than the provider's `keep_limit` are counted and hashed, not kept.
    """

    head: bytes
    connection: int
    """Number of the connection it came by, from 1 in the order of arrival."""
    tls: dict[str, str | None] | None
    """{sni, alpn, version}, or None on plain HTTP."""
    wire_body: bytearray = field(default_factory=bytearray)
    content: bytearray = field(default_factory=bytearray)
    """The body without chunk framing, still compressed as sent."""
    trailers: bytes = b""
    size: int = 0
    sha256: str = ""
    complete: threading.Event = field(default_factory=threading.Event)
    """Set when the whole request was read."""
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set when the client has gone, or the connection it came by has ended."""

    @property
    def raw(self) -> bytes:
        """The request, byte for byte."""
        return self.head + bytes(self.wire_body)

    @property
    def request_line(self) -> tuple[str, str, str]:
        """(method, target, version)."""
        parts = self.head.split(b"\n", 1)[0].strip(b"\r").decode("latin-1").split(" ")
        return parts[0], " ".join(parts[1:-1]), parts[-1]

    @property
    def method(self) -> str:
        return self.request_line[0]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.request_line[1].split("?", 1)[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """The values in the target's query, by name."""
        return parse_qs(self.request_line[1].partition("?")[2])

    @property
    def header_lines(self) -> list[bytes]:
        """The header lines as they stood, without line ends."""
        return [line.rstrip(b"\r") for line in self.head.split(b"\n")[1:]][:-2]

    def header(self, name: str) -> str | None:
        """The first value of a header, stripped, or None."""
        wanted = name.lower().encode()
        for line in self.header_lines:
            key, colon, value = line.partition(b":")
            if colon and key.lower().strip() == wanted:
                return value.strip().decode("latin-1")
        return None

    @property
    def body(self) -> bytes:
        """The body, decompressed. Raises ValueError when it does not fit its Content-Encoding."""
        return decompress(bytes(self.content), self.header("content-encoding"))


def decompress(data: bytes, encoding: str | None) -> bytes:
    """Undo gzip, deflate or zstd. Raises ValueError for damaged data or another encoding."""
    try:
        match (encoding or "identity").lower():
            case "identity":
                return data
            case "gzip":
                return gzip.decompress(data)
            case "deflate":
                return zlib.decompress(data)
            case "zstd":
                return zstandard.ZstdDecompressor().decompressobj().decompress(data)
            case other:
                raise ValueError(f"content-encoding {other} is not supported")
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(f"the body is not valid {encoding}: {error}") from error


async def read_head(stream: asyncio.StreamReader) -> bytes | None:
    """Read up to the blank line; None when the connection ends before a request begins.

    Raises asyncio.IncompleteReadError when it ends within a head.
    """
    lines: list[bytes] = []
    while True:
        line = await stream.readline()
        if not line.endswith(b"\n"):
            if not lines and not line:
                return None
            raise asyncio.IncompleteReadError(b"".join(lines) + line, None)
        lines.append(line)
        if line.strip(b"\r\n") == b"" and len(lines) > 1:
            return b"".join(lines)


async def read_body(stream: asyncio.StreamReader, request: Received, keep_limit: int) -> None:
    """Read the body that belongs to `request.head` into `request`."""
    digest = hashlib.sha256()
    async for wire, content in _pieces(stream, request):
        digest.update(content)
        request.size += len(content)
        if request.size <= keep_limit:
            request.wire_body += wire
            request.content += content
        else:
            request.wire_body.clear()
            request.content.clear()
    request.sha256 = digest.hexdigest()


async def _pieces(stream: asyncio.StreamReader, request: Received) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield (bytes of the wire, bytes of the body) until the request ends."""
    if "chunked" in (request.header("transfer-encoding") or "").lower():
        async for piece in _chunked(stream, request):
            yield piece
        return
    left = int(request.header("content-length") or 0)
    while left:
        data = await stream.read(min(left, _PIECE))
        if not data:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(data)
        yield data, data


async def _chunked(stream: asyncio.StreamReader, request: Received) -> AsyncIterator[tuple[bytes, bytes]]:
    while True:
        line = await _full_line(stream)
        yield line, b""
        size = int(line.split(b";", 1)[0].strip(), 16)
        if size == 0:
            break
        data = await stream.readexactly(size)
        yield data, data
        yield await _full_line(stream), b""
    while (line := await _full_line(stream)).strip(b"\r\n"):
        request.trailers += line
        yield line, b""
    yield line, b""


async def _full_line(stream: asyncio.StreamReader) -> bytes:
    line = await stream.readline()
    if not line.endswith(b"\n"):
        raise asyncio.IncompleteReadError(line, None)
    return line
