"""Bodies as they were before their content encoding, for display and export: bounded, and as far as they can be decoded.

A truncated or damaged stream yields what there is of it, and says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

MAX_DECODED = 64 << 20
_PIECE = 64 << 10
# Nobody encodes more often in earnest; each layer may be a bomb in the one before.
_MAX_LAYERS = 5


@dataclass
class Decoded:
    """`data` is the body, decoded as far as possible. `problem` says what is missing, or is empty.

    `encodings` are those that were undone, in the order in which they had been applied.
    """

    data: bytes
    encodings: list[str] = field(default_factory=list)
    problem: str = ""
    truncated: bool = False
    """The limit was reached: there is more."""


class _Layer(Protocol):
    """Undoes one encoding. `feed` yields pieces of bounded size; `finish` raises ValueError if the stream is incomplete."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def finish(self) -> None: ...


def decode_body(data: bytes | Iterable[bytes], content_encoding: str, limit: int = MAX_DECODED) -> Decoded:
    """Undo the encodings that a Content-Encoding header names, up to `limit` bytes.

    An unknown encoding leaves the body as it is at that point, with `problem` set.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name and name != "identity"]
    chunks: Iterable[bytes] = [data] if isinstance(data, bytes | bytearray) else data
    state = Decoded(b"")
    for name in reversed(names):
        maker = _LAYERS.get(name)
        if maker is None or len(state.encodings) >= _MAX_LAYERS:
            state.problem = f"the content encoding {name!r} is not known" if maker is None else "too many content encodings"
            break
        state.encodings.insert(0, name)
        chunks = _through(maker(), chunks, state)
    state.data = _take(chunks, limit, state)
    return state


def _through(layer: _Layer, chunks: Iterable[bytes], state: Decoded) -> Iterator[bytes]:
    try:
        for chunk in chunks:
            yield from layer.feed(chunk)
        layer.finish()
    except ValueError as error:
        state.problem = state.problem or str(error)


def _take(chunks: Iterable[bytes], limit: int, state: Decoded) -> bytes:
    taken = bytearray()
    for chunk in chunks:
        taken += chunk
        if len(taken) > limit:
            state.truncated = True
            del taken[limit:]
            break
    return bytes(taken)


class _Zlib:
    """gzip (also several members one after the other) and deflate (with its zlib head, or as some servers send it, without)."""

    def __init__(self, name: str, window: int) -> None:
        self._name = name
        self._window = window
        self._raw = zlib.decompressobj(window)
        self._any = False
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._raw.eof:
                if self._name == "deflate" or not data.startswith(b"\x1f"):
                    raise ValueError(f"there are bytes behind the end of the {self._name} stream")
                self._raw = zlib.decompressobj(self._window)
            piece, data = self._step(data)
            self._begun = True
            if piece:
                self._any = True
                yield piece

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        try:
            piece = self._raw.decompress(data, _PIECE)
        except zlib.error as error:
            if self._name == "deflate" and not self._begun:
                self._raw = zlib.decompressobj(-zlib.MAX_WBITS)
                self._begun = True
                return b"", data
            raise ValueError(f"the body is no valid {self._name} from some point on") from error
        rest = self._raw.unused_data if self._raw.eof else self._raw.unconsumed_tail
        return piece, rest

    def finish(self) -> None:
        if self._begun and not self._raw.eof:
            raise ValueError(f"the {self._name} stream ends early")


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._raw = brotli.Decompressor()
        self._error: type[Exception] = brotli.error
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        pending = data
        while True:
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
    "gzip": lambda: _Zlib("gzip", 16 + zlib.MAX_WBITS),
    "x-gzip": lambda: _Zlib("gzip", 16 + zlib.MAX_WBITS),
    "deflate": lambda: _Zlib("deflate", zlib.MAX_WBITS),
    "br": _Brotli,
    "zstd": _Zstd,
}
