"""AWS event streams (`application/vnd.amazon.eventstream`): framed binary messages with headers and checksums.

A message is: total length (4 bytes, big-endian), length of the headers (4), CRC-32 of these eight bytes (4), headers,
payload, CRC-32 of all before it (4). A header is: length of the name (1), name, type (1), value.
Source: the AWS documentation "Amazon Transcribe: event stream encoding", the same for all services.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

MAX_MESSAGE = 24 * 1024 * 1024
_PRELUDE = 12
_OVERHEAD = 16
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}

HeaderValue = bool | int | str | bytes


@dataclass(frozen=True, slots=True)
class EventStreamMessage:
    payload: bytes = b""
    headers: dict[str, HeaderValue] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """A text header; empty when it is missing or of another type."""
        value = self.headers.get(name, "")
        return value if isinstance(value, str) else ""


class EventStreamDecoder:
    """Feed bytes, get the messages they complete. Never raises.

    After a message that breaks the framing (a wrong checksum, an impossible length) nothing can be found any more:
    `broken` says why, and further bytes are ignored.
    """

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self.broken: str | None = None
        self._max_message = max_message
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a message that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[EventStreamMessage]:
        if self.broken:
            return []
        self._buffer += data
        messages: list[EventStreamMessage] = []
        start = 0
        while not self.broken:
            size = self._next_size(start)
            if not size or len(self._buffer) - start < size:
                break
            message = self._read(bytes(self._buffer[start : start + size]))
            if message is not None:
                messages.append(message)
                start += size
        if self.broken:
            self._buffer.clear()
        elif start:
            del self._buffer[:start]
        return messages

    def _next_size(self, start: int) -> int:
        if len(self._buffer) - start < _PRELUDE:
            return 0
        total, headers, checksum = struct.unpack_from(">III", self._buffer, start)
        if zlib.crc32(self._buffer[start : start + 8]) != checksum:
            self.broken = "wrong checksum of a message's prelude"
        elif total > self._max_message or total < _OVERHEAD or headers > total - _OVERHEAD:
            self.broken = f"impossible message length {total} with headers of {headers}"
        return 0 if self.broken else int(total)

    def _read(self, message: bytes) -> EventStreamMessage | None:
        if zlib.crc32(message[:-4]) != struct.unpack(">I", message[-4:])[0]:
            self.broken = "wrong checksum of a message"
            return None
        headers_end = _PRELUDE + struct.unpack_from(">I", message, 4)[0]
        try:
            headers = _read_headers(message[_PRELUDE:headers_end])
        except (struct.error, IndexError, KeyError) as error:
            self.broken = f"unreadable headers: {error}"
            return None
        return EventStreamMessage(message[headers_end:-4], headers)


def _read_headers(data: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name = data[at + 1 : name_end].decode("utf-8", "replace")
        kind = data[name_end]
        at = name_end + 1
        if kind in (6, 7):
            size = struct.unpack_from(">H", data, at)[0]
            at += 2
        else:
            size = _FIXED_SIZES[kind]
        if at + size > len(data):
            raise IndexError("a header's value is cut")
        headers[name] = _header_value(kind, data[at : at + size])
        at += size
    return headers


def _header_value(kind: int, value: bytes) -> HeaderValue:
    if kind in (0, 1):
        return kind == 0
    if kind == 7:
        return value.decode("utf-8", "replace")
    if kind in (2, 3, 4, 5, 8):
        return int.from_bytes(value, "big", signed=True)
    return value


def encode_message(payload: bytes, headers: dict[str, str]) -> bytes:
    """Write one message with text headers."""
    block = b"".join(
        bytes([len(name.encode())]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", _OVERHEAD + len(block) + len(payload), len(block))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))
