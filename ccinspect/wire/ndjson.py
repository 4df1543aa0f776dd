"""JSON texts one after another: lines (NDJSON), and the elements of one long array (Gemini without `alt=sse`)."""

from __future__ import annotations

import re

MAX_ITEM = 64_000_000


class LineDecoder:
    """Feed bytes, get the lines they complete, without blank ones. Lines end with LF or CRLF. Never raises."""

    def __init__(self, max_item: int = MAX_ITEM) -> None:
        self.dropped = 0
        self._max_item = max_item
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[str]:
        end = data.rfind(b"\n") + 1
        if not end:
            self._hold(data)
            return []
        self._pieces.append(data[:end])
        complete = b"".join(self._pieces)
        self._pieces.clear()
        if self._size > self._max_item:
            self.dropped += 1
            complete = complete[complete.find(b"\n") + 1 :]
        self._size = 0
        self._hold(data[end:])
        return [line for line in map(_strip, complete.decode("utf-8", "replace").split("\n")) if line]

    def close(self) -> str | None:
        """The last line, which has no line end."""
        tail = _strip(b"".join(self._pieces).decode("utf-8", "replace"))
        self._pieces.clear()
        return tail if tail and self._size <= self._max_item else None

    def _hold(self, data: bytes) -> None:
        if data:
            self._size += len(data)
            if self._size > self._max_item:
                self._pieces.clear()
            else:
                self._pieces.append(data)


def _strip(line: str) -> str:
    return line.strip(" \t\r\ufeff")


_INTERESTING = re.compile(rb'["\\\[\]{}]')


class ArrayDecoder:
    """Feed the bytes of a JSON array of objects, get the objects they complete as texts. Never raises.

    What stands between the objects (commas, space, scalars) is passed over; objects outside of any array are
    found too, so a body that is one bare object (an error) yields that object.
    """

    def __init__(self, max_item: int = MAX_ITEM) -> None:
        self.dropped = 0
        self._max_item = max_item
        self._pieces: list[bytes] = []
        self._size = 0
        self._depth = 0
        """Nesting inside of the current object; 0 between objects."""
        self._in_string = False
        self._escaped = False

    def feed(self, data: bytes) -> list[str]:
        items: list[str] = []
        start = 0
        position = 0
        if self._escaped and data:
            position = 1
            self._escaped = False
        while match := _INTERESTING.search(data, position):
            position = match.end()
            char = match[0]
            if self._in_string:
                if char == b'"':
                    self._in_string = False
                elif char == b"\\":
                    self._escaped = position == len(data)
                    position += 1
            elif char == b'"':
                self._in_string = True
            elif char == b"{" or (char == b"[" and self._depth):
                if not self._depth:
                    start = position - 1
                self._depth += 1
            elif self._depth and char in b"}]":
                self._depth -= 1
                if not self._depth:
                    self._hold(data[start:position])
                    self._finish(items)
        if self._depth:
            self._hold(data[start:])
        return items

    def close(self) -> str | None:
        return None

    def _hold(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._max_item:
            self._pieces.append(data)

    def _finish(self, items: list[str]) -> None:
        if self._size > self._max_item:
            self.dropped += 1
        else:
            items.append(b"".join(self._pieces).decode("utf-8", "replace"))
        self._pieces.clear()
        self._size = 0
