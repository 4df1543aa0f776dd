"""Server-sent events, by the WHATWG standard (HTML, section 9.2), from bytes in any chunking.

Lines end with LF, CR or CRLF, and with nothing else: U+2028 and its kind are text. Differences from a browser:
events without data are kept when they are named (an `event: ping` may have none), and an event that the stream's
end cut off can be had from `close()`, for the caller to judge.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_EVENT = 64_000_000


class SseEvent(NamedTuple):
    name: str
    """Value of the `event` field; empty when there was none."""
    data: str


class SseDecoder:
    """Feed bytes, get the events they complete. Never raises.

    An event larger than about `max_event` bytes is thrown away; `dropped` counts them.
    """

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self.dropped = 0
        self._max_event = max_event
        self._pieces: list[bytes] = []
        """The line that is not complete yet."""
        self._size = 0
        """Characters of the data of the event that is not complete yet."""
        self._held = 0
        """Bytes of the line that is not complete yet."""
        self._too_large = False
        self._after_cr = False
        self._started = False
        self._name = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[SseEvent]:
        if self._after_cr and data:
            # The CR that ended the last chunk has ended its line already.
            data = data.removeprefix(b"\n")
            self._after_cr = False
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not end:
            self._hold(data)
            return []
        self._after_cr = data.endswith(b"\r")
        self._pieces.append(data[:end])
        complete = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        self._held = 0
        events = self._lines(complete.decode("utf-8", "replace"))
        self._hold(data[end:])
        return events

    def close(self) -> SseEvent | None:
        """The event that was still without its blank line when the stream ended, if any."""
        tail = b"".join(self._pieces)
        self._pieces.clear()
        events = self._lines(tail.decode("utf-8", "replace") + "\n\n")
        return events[0] if events else None

    def _hold(self, data: bytes) -> None:
        """Keep the start of a line. Of an event beyond the limit nothing is kept but that it goes on."""
        if not data:
            return
        self._held += len(data)
        if self._size + self._held <= self._max_event:
            self._pieces.append(data)
        else:
            self._too_large = True
            # What is still to come of this line is read as a comment.
            self._pieces = [b":"]

    def _lines(self, text: str) -> list[SseEvent]:
        if not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        events = []
        lines = text.split("\n")
        lines.pop()
        for line in lines:
            if line:
                self._field(line)
            elif self._too_large:
                self._drop()
            else:
                if self._data or self._name:
                    data = self._data
                    events.append(SseEvent(self._name, data[0] if len(data) == 1 else "\n".join(data)))
                    self._data = []
                    self._name = ""
                self._size = 0
        return events

    def _field(self, line: str) -> None:
        if line.startswith("data:"):
            self._size += len(line)
            if self._size > self._max_event:
                self._too_large = True
                self._data.clear()
            else:
                self._data.append(line[6:] if line.startswith("data: ") else line[5:])
        elif line.startswith("event:"):
            self._name = line[6:].removeprefix(" ")
        elif line == "data":
            self._data.append("")
        elif line == "event":
            self._name = ""

    def _drop(self) -> None:
        self.dropped += 1
        self._too_large = False
        self._size = 0
        self._name = ""
        self._data = []


def encode_event(data: str, name: str = "") -> bytes:
    """Write one event. `data` may hold line ends; each line becomes a field of its own."""
    if "\n" not in data and "\r" not in data:
        return (f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n").encode("utf-8", "replace")
    lines = [f"event: {name}"] if name else []
    text = data.replace("\r\n", "\n").replace("\r", "\n") if "\r" in data else data
    lines += [f"data: {line}" for line in text.split("\n")]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")
