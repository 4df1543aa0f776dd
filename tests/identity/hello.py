"""Builds ClientHello messages for the tests, from numbers in the order they are to be sent."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def vector(width: int, data: bytes) -> bytes:
    """Data behind its length in `width` bytes."""
    return len(data).to_bytes(width) + data


def shorts(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"!{len(numbers)}H", *numbers)


def client_hello(
    *,
    version: int = 0x0303,
    ciphers: Sequence[int] = (),
    extensions: Sequence[int] | None = (),
    sni: str = "example.com",
    alpn: Sequence[bytes] = (b"h2", b"http/1.1"),
    groups: Sequence[int] = (29, 23),
    point_formats: Sequence[int] = (0,),
    signatures: Sequence[int] = (0x0403,),
    versions: Sequence[int] = (0x0304, 0x0303),
    dtls: bool = False,
) -> bytes:
    """A bare handshake message. Extensions we know get their content, others are empty; None: no block at all."""
    contents = {
        0: vector(2, b"\0" + vector(2, sni.encode())),
        10: vector(2, shorts(groups)),
        11: vector(1, bytes(point_formats)),
        13: vector(2, shorts(signatures)),
        16: vector(2, b"".join(vector(1, name) for name in alpn)),
        43: vector(1, shorts(versions)),
    }
    body = shorts([version]) + bytes(32) + vector(1, bytes(32))
    if dtls:
        body += vector(1, b"cookie")
    body += vector(2, shorts(ciphers)) + vector(1, b"\0")
    if extensions is not None:
        block = b"".join(shorts([kind]) + vector(2, contents.get(kind, b"")) for kind in extensions)
        body += vector(2, block)
    return b"\x01" + vector(3, body)


def records(message: bytes, size: int = 16_384) -> bytes:
    """The message in TLS records of at most `size` bytes."""
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in pieces)
