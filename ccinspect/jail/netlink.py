"""Netlink (RFC 3549) in as much detail as the jail needs: framing, attributes, acknowledged requests, dumps.

A netlink socket keeps the network namespace it was created in. The jail leans on that: it holds one socket per
namespace.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

ROUTE = 0
SOCK_DIAG = 4
GENERIC = 16

CREATE = 0x400
EXCLUSIVE = 0x200
_REQUEST = 0x1
_ACK = 0x4
_DUMP = 0x300
_NESTED = 0x8000
_ERROR = 2
_DONE = 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + bytes(-len(data) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """An attribute holding a NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk (kind, value) pairs."""
    at = 0
    while at + 4 <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if size < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + size]
        at += (size + 3) & ~3


class Netlink:
    """A netlink socket in the network namespace of its creator."""

    def __init__(self, protocol: int = ROUTE, fd: int | None = None, groups: int = 0) -> None:
        """`groups` are the multicast groups to hear of changes from; `fd` is a socket made elsewhere."""
        if fd is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
            self._socket.bind((0, groups))
        else:
            self._socket = socket.socket(fileno=fd)
        self._sequence = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def request(self, kind: int, payload: bytes, flags: int = 0) -> list[bytes]:
        """Send a request and wait for its acknowledgement; returns what came before it. Raises OSError."""
        return self._exchange(kind, payload, flags | _ACK)

    def dump(self, kind: int, payload: bytes) -> list[bytes]:
        """Ask for all objects of a kind. Raises OSError."""
        return self._exchange(kind, payload, _DUMP)

    def next_change(self, seconds: float) -> list[tuple[int, bytes]]:
        """The next messages of the multicast groups, as (kind, payload). Raises TimeoutError, OSError."""
        self._socket.settimeout(seconds)
        return [(kind, body) for kind, _sequence, body in _messages(self._socket.recv(1 << 16))]

    def _exchange(self, kind: int, payload: bytes, flags: int) -> list[bytes]:
        self._sequence += 1
        self._socket.send(_HEADER.pack(16 + len(payload), kind, flags | _REQUEST, self._sequence, 0) + payload)
        answers: list[bytes] = []
        while True:
            for answer, sequence, body in _messages(self._socket.recv(1 << 16)):
                if sequence != self._sequence:
                    continue
                if answer == _ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    if code:
                        raise OSError(code, os.strerror(code), f"netlink request {kind}")
                    return answers
                if answer == _DONE:
                    return answers
                answers.append(body)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(kind, sequence number, payload) of each message in a datagram."""
    at = 0
    while at + 16 <= len(data):
        size, kind, _flags, sequence, _port = _HEADER.unpack_from(data, at)
        yield kind, sequence, data[at + 16 : at + size]
        at += (size + 3) & ~3
