"""The way of a message from the proxy to the recorder's process.

The proxy appends frames to a *segment*: a file that lives in memory only (memfd). The recorder has the same file open
and reads behind it. A socket pair carries no data, only a segment's descriptor when it begins, and a byte that says
"look again". This is better than sending the frames through the socket itself:

* An append never waits for the reader, and what was appended survives a kill -9 of the proxy, however much it is; a
  socket holds some 200 KB and the rest would die with the proxy's memory.
* The proxy keeps a segment until the recorder has *committed* it, so a recorder that dies is replaced and reads again.
* Nothing touches a disk before the recorder has taken the secrets out.

A position is the number of bytes appended since the recorder's handle was made; a frame is a 4-byte big-endian length
and that many bytes (docs/architecture.md).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

SEGMENT_BYTES = 1 << 20
READ_BYTES = 1 << 18

WAKE = b"w"
URGENT = b"u"
SEGMENT = b"s"

_LENGTH = struct.Struct(">I")
_SEGMENT_HEAD = struct.Struct(">cQQ")


@dataclass
class _Segment:
    fd: int
    start: int
    size: int = 0

    @property
    def end(self) -> int:
        return self.start + self.size


class JournalWriter:
    """The proxy's end. Not thread-safe: it belongs to the event loop."""

    def __init__(self) -> None:
        self._segments: deque[_Segment] = deque()
        self._channel: socket.socket | None = None
        self._unsent: deque[_Segment] = deque()
        self._woken = False
        self.position = 0
        self.committed = 0

    @property
    def pending(self) -> int:
        """Bytes appended and not yet committed by the recorder."""
        return self.position - self.committed

    @property
    def handed_over(self) -> bool:
        """Whether the reader has, or will have without our help, all that was appended."""
        return not self._unsent

    def connect(self, channel: socket.socket | None) -> None:
        """Hand everything not yet committed, and all that follows, to the reader behind `channel`."""
        self._channel = channel
        self._woken = False
        self._unsent = deque(self._segments)
        self._send_segments()

    def append(self, payload: bytes) -> None:
        """Add one frame. Raises OSError when there is no memory for it; nothing is added then."""
        segment = self._segments[-1] if self._segments else None
        if segment is None or segment.size >= SEGMENT_BYTES:
            segment = _Segment(os.memfd_create("ccinspect-journal"), self.position)
            self._segments.append(segment)
            self._unsent.append(segment)
        size = _LENGTH.size + len(payload)
        try:
            written = os.writev(segment.fd, (_LENGTH.pack(len(payload)), payload))
        except OSError:
            os.ftruncate(segment.fd, segment.size)
            raise
        if written != size:
            os.ftruncate(segment.fd, segment.size)
            os.lseek(segment.fd, segment.size, os.SEEK_SET)
            raise OSError("no memory left for the recorder's journal")
        segment.size += size
        self.position += size
        if self._unsent:
            self._send_segments()

    def wake(self, urgent: bool = False) -> None:
        """Tell the reader that there is something; once is enough until it answers (`commit`)."""
        if self._unsent:
            self._send_segments()
        if self._channel is not None and self.pending and (urgent or not self._woken):
            with contextlib.suppress(OSError):  # a full socket has told it already, a closed one will be noticed
                self._channel.send(URGENT if urgent else WAKE)
            self._woken = True

    def commit(self, position: int) -> None:
        """The reader has all up to `position` safe on disk: let go of it, and wake the reader if there is more."""
        self.committed = max(self.committed, position)
        while len(self._segments) > 1 and self._segments[0].end <= self.committed:
            if self._unsent and self._unsent[0] is self._segments[0]:
                self._unsent.popleft()
            os.close(self._segments.popleft().fd)
        self._woken = False
        self.wake()

    def close(self) -> None:
        while self._segments:
            os.close(self._segments.popleft().fd)
        self._unsent.clear()
        self._channel = None

    def _send_segments(self) -> None:
        while self._unsent and self._channel is not None:
            segment = self._unsent[0]
            read_from = max(segment.start, self.committed)
            head = _SEGMENT_HEAD.pack(SEGMENT, segment.start, read_from)
            try:
                socket.send_fds(self._channel, [head], [segment.fd])
            except OSError:
                return  # tried again with the next frame or wake
            self._unsent.popleft()


class JournalReader:
    """The recorder's end: yields the frames that have arrived and counts how far it has read."""

    def __init__(self) -> None:
        self._segments: deque[_Segment] = deque()
        self._buffer = b""
        self._used = 0
        self.position = 0

    def accept(self, packet: bytes, fds: list[int]) -> None:
        """Take over the segment that a packet announces."""
        _, start, read_from = _SEGMENT_HEAD.unpack(packet)
        if not self._segments:
            self.position = max(self.position, read_from)
        self._segments.append(_Segment(fds[0], start))

    def frames(self) -> Iterator[bytes]:
        """All complete frames there are now; `position` is just behind the one yielded last."""
        while self._segments:
            payload = self._next()
            if payload is not None:
                yield payload
            elif len(self._segments) > 1:
                # The next segment was begun after the last frame of this one: this one will not grow any more.
                os.close(self._segments.popleft().fd)
                self.position = max(self.position, self._segments[0].start)
            else:
                return

    def close(self) -> None:
        while self._segments:
            os.close(self._segments.popleft().fd)

    def _next(self) -> bytes | None:
        if self._fill(_LENGTH.size):
            (length,) = _LENGTH.unpack_from(self._buffer, self._used)
            size = _LENGTH.size + length
            if self._fill(size):
                payload = self._buffer[self._used + _LENGTH.size : self._used + size]
                self._used += size
                self.position += size
                return payload
        # Half a frame is read anew later: the writer takes it back when memory runs out in the middle of it.
        self._buffer, self._used = b"", 0
        return None

    def _fill(self, size: int) -> bool:
        """Have `size` bytes in the buffer from `_used` on, which is where `position` points."""
        held = len(self._buffer) - self._used
        if held < size:
            segment = self._segments[0]
            offset = self.position - segment.start + held
            more = os.pread(segment.fd, max(READ_BYTES, size - held), offset)
            self._buffer, self._used = self._buffer[self._used :] + more, 0
            held += len(more)
        return held >= size
