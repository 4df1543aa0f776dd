"""Content-Encoding: gzip, deflate, br and zstd, piece by piece or whole, with a bound on what may come out.

A few kilobytes can unpack to gigabytes, so every decoder stops at `limit` bytes of output.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import brotli
import zstandard

MAX_OUTPUT = 160_000_000
MAX_LAYERS = 4
# 1 kB of zstd unpacks to at most 32 MB (runs of 128 kB in 4 bytes): the unit in which the bound is checked.
_ZSTD_PIECE = 1024
_ZSTD_WINDOW = 1 << 27
# What a decoder makes of the piece in which it finds broken data is lost, so pieces are small.
_PIECE = 4096
_PLAIN = ("", "identity", "none")


@dataclass(frozen=True, slots=True)
class Decoded:
    """What came out. `problem` says why it is not all: unknown encoding, broken data, cut data, over the limit."""

    data: bytes
    problem: str | None = None


class StreamDecompressor:
    """Undo a `Content-Encoding` (several, comma-separated, are undone from the last to the first). Never raises.

    After a problem, `problem` says what it was and nothing more comes out.
    """

    def __init__(self, content_encoding: str, limit: int = MAX_OUTPUT) -> None:
        self.problem: str | None = None
        self._room = limit
        self._limit = limit
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in _PLAIN]
        self._layers: list[_Layer] = []
        if len(names) > MAX_LAYERS:
            self.problem = f"more than {MAX_LAYERS} content encodings"
            names = []
        for name in reversed(names):
            make = _LAYERS.get(name)
            if make is None:
                self.problem = f"unknown content encoding {name[:40]!r}"
                return
            self._layers.append(make())

    def feed(self, data: bytes) -> bytes:
        if self.problem:
            return b""
        out = [self._feed(data[start : start + _PIECE]) for start in range(0, len(data), _PIECE)]
        return b"".join(out)

    def _feed(self, data: bytes) -> bytes:
        try:
            for layer in self._layers:
                # One byte more than the room: so that a full room and an overflow can be told apart.
                data = layer.decode(data, self._room + 1)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            self.problem = self.problem or f"broken data: {str(error)[:100]}"
            return b""
        if len(data) > self._room:
            self.problem = f"unpacks to more than {self._limit} bytes"
            data = data[: self._room]
        self._room -= len(data)
        return data

    def close(self) -> None:
        """Say that no more comes: notes a cut as a problem."""
        if self.problem is None and any(not layer.at_end() for layer in self._layers):
            self.problem = "cut before its end"


def decode_body(body: bytes, content_encoding: str, limit: int = MAX_OUTPUT) -> Decoded:
    """Undo the content encoding of a whole body. Never raises; what came out before a problem is kept."""
    decompressor = StreamDecompressor(content_encoding, limit)
    data = decompressor.feed(body)
    decompressor.close()
    return Decoded(data, decompressor.problem)


def encode_body(data: bytes, content_encoding: str) -> bytes:
    """Apply a content encoding that `decode_body` knows; several are applied from the first to the last.

    Raises ValueError for an unknown one.
    """
    for name in content_encoding.split(","):
        encoding = name.strip().lower()
        if encoding in _PLAIN:
            continue
        make = _ENCODERS.get(encoding)
        if make is None:
            raise ValueError(f"unknown content encoding {encoding[:40]!r}")
        data = make(data)
    return data


class _Layer:
    """One encoding. `decode` gives at most a little more than `room` bytes."""

    def decode(self, data: bytes, room: int) -> bytes:
        raise NotImplementedError

    def at_end(self) -> bool:
        raise NotImplementedError


class _Zlib(_Layer):
    """gzip (several members one after another) and deflate, which is zlib by the standard and often raw."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._decoder = zlib.decompressobj(wbits)
        self._head = b""
        self._started = False
        self._finished = False

    def decode(self, data: bytes, room: int) -> bytes:
        if not data or self._finished:
            return b""
        if not self._started:
            data = self._start(data)
        out: list[bytes] = []
        while data and room > 0:
            piece = self._decoder.decompress(data, room)
            out.append(piece)
            room -= len(piece)
            if self._decoder.eof:
                data = self._decoder.unused_data
                self._started = False
                if not data.startswith(b"\x1f\x8b"):
                    # Padding after the last member; clients ignore it.
                    self._finished = bool(data) or self._wbits != 31
                    break
                self._decoder = zlib.decompressobj(self._wbits)
                self._started = True
            else:
                data = self._decoder.unconsumed_tail
        return b"".join(out)

    def _start(self, data: bytes) -> bytes:
        if self._decoder.eof:
            self._decoder = zlib.decompressobj(self._wbits)
        if self._wbits != 31:
            self._head += data
            if len(self._head) < 2:
                return b""
            data, self._head = self._head, b""
            if data[0] & 0x0F != 8 or int.from_bytes(data[:2], "big") % 31:
                self._decoder = zlib.decompressobj(-15)
        self._started = True
        return data

    def at_end(self) -> bool:
        return self._decoder.eof or (not self._started and not self._head)


class _Brotli(_Layer):
    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()
        self._used = False

    def decode(self, data: bytes, room: int) -> bytes:
        if not data:
            return b""
        self._used = True
        out = [self._decoder.process(data, output_buffer_limit=room)]
        size = len(out[0])
        while size < room and not self._decoder.can_accept_more_data():
            piece = self._decoder.process(b"", output_buffer_limit=room - size)
            if not piece:
                break
            out.append(piece)
            size += len(piece)
        return b"".join(out)

    def at_end(self) -> bool:
        return not self._used or bool(self._decoder.is_finished())


class _Zstd(_Layer):
    def __init__(self) -> None:
        self._decoder = self._new()
        self._used = False

    @staticmethod
    def _new() -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    def decode(self, data: bytes, room: int) -> bytes:
        out: list[bytes] = []
        size = 0
        for start in range(0, len(data), _ZSTD_PIECE):
            rest = data[start : start + _ZSTD_PIECE]
            while rest and size < room:
                self._used = True
                if self._decoder.eof:
                    self._decoder = self._new()
                piece = self._decoder.decompress(rest)
                out.append(piece)
                size += len(piece)
                rest = self._decoder.unused_data if self._decoder.eof else b""
        return b"".join(out)

    def at_end(self) -> bool:
        return not self._used or bool(self._decoder.eof)


_LAYERS: dict[str, Callable[[], _Layer]] = {
    "gzip": lambda: _Zlib(31),
    "x-gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "br": _Brotli,
    "zstd": _Zstd,
}

_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    # No time of day in it: the same body gives the same bytes.
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "x-gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstandard.compress,
}
