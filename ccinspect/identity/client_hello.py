"""A TLS client's first message, and the fingerprints that can be made of it.

* JA3: https://github.com/salesforce/ja3 (README): version, ciphers, extensions, groups and point formats as decimal
  numbers in the order sent, without GREASE, hashed with MD5.
* JA4: https://github.com/FoxIO-LLC/ja4, `technical_details/JA4.md`: counts, then sorted ciphers, then sorted extensions
  with the signature algorithms in the order sent, hashed with SHA-256 and cut to 12 characters.

GREASE values (RFC 8701) are ignored by both.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Transport = Literal["tcp", "quic", "dtls"]

MAX_HANDSHAKE = 1 << 17
"""Bytes. Post-quantum key shares make a ClientHello 2 kB large; nobody sends one of 128 kB."""

_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_SNI, _GROUPS, _POINT_FORMATS, _SIGNATURES, _ALPN, _VERSIONS = 0, 10, 11, 13, 16, 43

_JA4_TRANSPORT = {"tcp": "t", "quic": "q", "dtls": "d"}
_JA4_VERSION = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a ClientHello says, in the order it was said, GREASE included."""

    version: int
    """The message's own version field; 0x0303 for every modern client."""
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]
    sni: str | None
    alpn: tuple[bytes, ...]
    groups: tuple[int, ...]
    point_formats: tuple[int, ...]
    signature_algorithms: tuple[int, ...]
    supported_versions: tuple[int, ...]
    transport: Transport = "tcp"

    @property
    def ja3_text(self) -> str:
        """The numbers JA3 hashes: `771,4865-4866,0-23,29-23,0`."""
        lists = (self.ciphers, self.extensions, self.groups, self.point_formats)
        return ",".join([str(self.version), *("-".join(map(str, _real(numbers))) for numbers in lists)])

    @property
    def ja3(self) -> str:
        return hashlib.md5(self.ja3_text.encode(), usedforsecurity=False).hexdigest()

    @property
    def ja4(self) -> str:
        head, ciphers, extensions = self.ja4_raw.split("_", 2)
        return f"{head}_{_short_hash(ciphers)}_{_short_hash(extensions)}"

    @property
    def ja4_raw(self) -> str:
        """JA4 before hashing, the form its authors call `JA4_r`."""
        extensions = _real(self.extensions)
        said_elsewhere = (_SNI, _ALPN)
        parts = [self._ja4_head(), _hex_list(sorted(_real(self.ciphers)))]
        parts.append(_hex_list(sorted(number for number in extensions if number not in said_elsewhere)))
        if signatures := _real(self.signature_algorithms):
            parts.append(_hex_list(signatures))
        return "_".join(parts)

    def _ja4_head(self) -> str:
        extensions = _real(self.extensions)
        versions = _real(self.supported_versions)
        version = _JA4_VERSION.get(max(versions) if versions else self.version, "00")
        destination = "d" if _SNI in extensions else "i"
        ciphers = min(len(_real(self.ciphers)), 99)
        return (
            f"{_JA4_TRANSPORT[self.transport]}{version}{destination}{ciphers:02}{min(len(extensions), 99):02}"
            f"{_alpn_mark(self.alpn[0] if self.alpn else b'')}"
        )

    def as_record(self) -> dict[str, object]:
        """The fields kept with a connection: {sni, alpn: [..], ja3, ja4}."""
        alpn = [name.decode("ascii", "backslashreplace") for name in self.alpn]
        return {"sni": self.sni, "alpn": alpn, "ja3": self.ja3, "ja4": self.ja4}


def parse_client_hello(data: bytes, transport: Transport = "tcp") -> ClientHello:
    """Read a ClientHello: TLS records as they came, or the bare handshake message.

    `transport` only chooses JA4's first letter. Raises ValueError when the bytes are not a whole ClientHello.
    """
    message = _Reader(_join_records(data) if data[:1] == bytes([_HANDSHAKE_RECORD]) else data[: MAX_HANDSHAKE + 4])
    if message.number(1) != _CLIENT_HELLO:
        raise ValueError("not a ClientHello")
    body = _Reader(message.vector(3))
    version = body.number(2)
    body.take(32)
    body.vector(1)
    if transport == "dtls":
        body.vector(1)
    ciphers = _numbers(body.vector(2), 2)
    body.vector(1)
    extensions = dict[int, bytes]()
    order = []
    if body.left:
        block = _Reader(body.vector(2))
        while block.left:
            kind = block.number(2)
            order.append(kind)
            extensions.setdefault(kind, block.vector(2))
    return ClientHello(
        version=version,
        ciphers=ciphers,
        extensions=tuple(order),
        sni=_server_name(extensions.get(_SNI)),
        alpn=_protocols(extensions.get(_ALPN)),
        groups=_number_list(extensions.get(_GROUPS), 2, 2),
        point_formats=_number_list(extensions.get(_POINT_FORMATS), 1, 1),
        signature_algorithms=_number_list(extensions.get(_SIGNATURES), 2, 2),
        supported_versions=_number_list(extensions.get(_VERSIONS), 1, 2),
        transport=transport,
    )


class _Reader:
    """Takes bytes from the front; raises ValueError where there are too few."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.position

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError("the ClientHello is cut short")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width))

    def vector(self, width: int) -> bytes:
        return self.take(self.number(width))


def _join_records(data: bytes) -> bytes:
    """The handshake bytes of the first records, up to MAX_HANDSHAKE; a message may be spread over several."""
    reader = _Reader(data)
    pieces = []
    size = 0
    while reader.left >= 5 and size <= MAX_HANDSHAKE:
        kind, _, length = struct.unpack("!BHH", reader.take(5))
        if kind != _HANDSHAKE_RECORD:
            break
        pieces.append(reader.take(min(length, reader.left)))
        size += length
    return b"".join(pieces)


def _numbers(data: bytes, width: int) -> tuple[int, ...]:
    if len(data) % width:
        raise ValueError("a list of the ClientHello has half an entry")
    return struct.unpack(f"!{len(data) // width}{'BH'[width - 1]}", data)


def _number_list(extension: bytes | None, length_width: int, width: int) -> tuple[int, ...]:
    return () if extension is None else _numbers(_Reader(extension).vector(length_width), width)


def _server_name(extension: bytes | None) -> str | None:
    if not extension:
        return None
    names = _Reader(_Reader(extension).vector(2))
    while names.left:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            return name[:255].decode("ascii", "backslashreplace")
    return None


def _protocols(extension: bytes | None) -> tuple[bytes, ...]:
    if extension is None:
        return ()
    names = _Reader(_Reader(extension).vector(2))
    found = []
    while names.left:
        found.append(names.vector(1))
    return tuple(found)


def _real(numbers: Iterable[int]) -> list[int]:
    """Without GREASE: 0x0a0a, 0x1a1a, ... 0xfafa."""
    return [number for number in numbers if number & 0x0F0F != 0x0A0A or number >> 8 != number & 0xFF]


def _hex_list(numbers: Iterable[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _short_hash(text: str) -> str:
    # An empty list is zeros, so that a reader sees at once that there was none.
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def _alpn_mark(name: bytes) -> str:
    if not name:
        return "00"
    ends = bytes((name[0], name[-1]))
    if ends.isalnum():
        return ends.decode("ascii")
    digits = name.hex()
    return digits[0] + digits[-1]
