"""Bodies as they were before their content encoding, bounded, and as far as they can be decoded.

A truncated or damaged stream yields what there is of it, and says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

MAX_DECODED = 64 << 20
_PIECE = 64 << 10
# Nobody encodes more often in earnest; each layer may be a bomb in the one before.
_MAX_LAYERS = 5


@dataclass
class Decoded:
    """`data` is the body, decoded as far as possible. `problem` says what is missing, or is empty.

    `encodings` are those that were undone, in the order in which they had been applied. `truncated`: the limit was
    reached.
    """

    data: bytes
    encodings: list[str]
    problem: str = ""
    truncated: bool = False


class _Layer(Protocol):
    """Undoes one encoding. `feed` yields bounded pieces; `finish` raises ValueError if the stream is incomplete."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def finish(self) -> None: ...


def decode_body(data: bytes | Iterable[bytes], content_encoding: str, limit: int = MAX_DECODED) -> Decoded:
    """Undo the encodings that a Content-Encoding header names, up to `limit` bytes."""
    stream = DecodedStream([data] if isinstance(data, bytes | bytearray) else data, content_encoding, limit)
    whole = b"".join(stream)
    return Decoded(whole, stream.encodings, stream.problem, stream.truncated)


class DecodedStream:
    """The same for a body of any size: iterate once, in pieces; the other attributes are right after that.

    An unknown encoding leaves the body as it is at that point, with `problem` set.
    """

    def __init__(self, chunks: Iterable[bytes], content_encoding: str, limit: int = MAX_DECODED) -> None:
        self.encodings: list[str] = []
        self.problem = ""
        self.truncated = False
        self._limit = limit
        self._chunks: Iterable[bytes] = chunks
        names = [name.strip().lower() for name in content_encoding.split(",")]
        for name in reversed([name for name in names if name and name != "identity"]):
            maker = _LAYERS.get(name)
            if maker is None:
                self.problem = f"the content encoding {name!r} is not known"
            elif len(self.encodings) >= _MAX_LAYERS:
                self.problem = "there are too many content encodings"
            if maker is None or self.problem:
                break
            self.encodings.insert(0, name)
            self._chunks = self._through(maker(), self._chunks)

    def __iter__(self) -> Iterator[bytes]:
        left = self._limit
        for chunk in self._chunks:
            if len(chunk) > left:
                self.truncated = True
                yield chunk[:left]
                return
            left -= len(chunk)
            yield chunk

    def _through(self, layer: _Layer, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                yield from layer.feed(chunk)
            layer.finish()
        except ValueError as error:
            self.problem = self.problem or str(error)


class _Gzip:
    """One or several members, one after the other."""

    name = "gzip"
    window = 16 + zlib.MAX_WBITS

    def __init__(self) -> None:
        self._raw = zlib.decompressobj(self.window)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._raw.eof:
                self._next_member(data)
            self._begun = True
            try:
                piece = self._raw.decompress(data, _PIECE)
            except zlib.error as error:
                raise ValueError(f"the body is no valid {self.name} from some point on") from error
            data = self._raw.unused_data if self._raw.eof else self._raw.unconsumed_tail
            if piece:
                yield piece

    def finish(self) -> None:
        if self._begun and not self._raw.eof:
            raise ValueError(f"the {self.name} stream ends early")

    def _next_member(self, data: bytes) -> None:
        if not data.startswith(b"\x1f"):
            raise ValueError("there are bytes behind the end of the gzip stream")
        self._raw = zlib.decompressobj(self.window)


class _Deflate(_Gzip):
    """With zlib's head of two bytes, as the standard has it, or without, as some servers send it."""

    name = "deflate"
    window = zlib.MAX_WBITS

    def __init__(self) -> None:
        super().__init__()
        self._head = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._begun:
            self._head += data
            if len(self._head) < 2:
                return
            data = self._head
            if data[0] & 15 != 8 or int.from_bytes(data[:2]) % 31:
                self._raw = zlib.decompressobj(-zlib.MAX_WBITS)
        yield from super().feed(data)

    def _next_member(self, data: bytes) -> None:
        raise ValueError("there are bytes behind the end of the deflate stream")


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._raw = brotli.Decompressor()
        self._error: type[Exception] = brotli.error
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        pending = data
        while data:
            self._begun = True
            try:
                piece = self._raw.process(pending, output_buffer_limit=_PIECE)
            except self._error as error:
                raise ValueError("the body is no valid br from some point on") from error
            pending = b""
            if piece:
                yield piece
            if self._raw.can_accept_more_data() and not piece:
                return
            if self._raw.is_finished():
                return

    def finish(self) -> None:
        if self._begun and not self._raw.is_finished():
            raise ValueError("the br stream ends early")


class _Zstd:
    """Frames one after the other; each piece of output is bounded by zstd's own block size."""

    def __init__(self) -> None:
        import zstandard

        self._error: type[Exception] = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=128 << 20)
        self._raw = self._decompressor.decompressobj()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._raw.eof:
                self._raw = self._decompressor.decompressobj()
            self._begun = True
            # Little at a time: decompressobj has no limit of output, and a bomb makes 128 KB of a few bytes.
            step, data = data[:512], data[512:]
            try:
                piece = self._raw.decompress(step)
            except self._error as error:
                raise ValueError("the body is no valid zstd from some point on") from error
            if self._raw.eof:
                data = self._raw.unused_data + data
            if piece:
                yield piece

    def finish(self) -> None:
        if self._begun and not self._raw.eof:
            raise ValueError("the zstd stream ends early")


_LAYERS: dict[str, Callable[[], _Layer]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
