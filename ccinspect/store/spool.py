"""Bodies on their way: gathered chunk by chunk by the proxy, in memory while small, in a file of their own when not."""

from __future__ import annotations

import contextlib
import errno
import os
from itertools import count
from pathlib import Path
from typing import Any

# A body of up to this many bytes crosses to the recorder in memory; measured, writing a larger one to a file costs the
# proxy less than copying it through a memfd does (70 against 100 us for 256 KB).
IN_MEMORY = 128 << 10
# All bodies together that are being gathered in memory; beyond, files are used from the first byte.
ALL_IN_MEMORY = 16 << 20
# The same bounds for bodies that may not touch the disk as they are.
LONGEST_UNWRITTEN = 32 << 20
ALL_UNWRITTEN = 128 << 20

TOO_LONG = "too long to be held in memory until the rules of `redact` were followed"

Body = bytes | dict[str, Any] | None


class SpoolArea:
    """Directory and accounts of one recorder handle. Files are 0600, named by number alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.in_memory = 0
        self.lost_bodies = 0
        self.last_error = ""
        self._numbers = count(1)

    def create(self) -> tuple[Path, int]:
        """A new file, open for writing. Raises OSError."""
        path = self.directory / f"{next(self._numbers)}.body"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return path, os.open(path, flags, 0o600)
        except FileNotFoundError:
            for directory in (*reversed(self.directory.parents[:2]), self.directory):
                directory.mkdir(mode=0o700, exist_ok=True)
            return path, os.open(path, flags, 0o600)

    def write(self, data: bytes) -> Body:
        """A whole body into a file of its own; what the recorder is to be sent in its place."""
        sink = BodySink(self, in_memory=0)
        sink.feed(data)
        return sink.finish()

    def remove(self, body: dict[str, Any]) -> None:
        """Delete the file of a body that will not be handed over."""
        with contextlib.suppress(OSError):
            os.unlink(body["spool"])

    def lose(self, error: OSError) -> None:
        self.lost_bodies += 1
        self.last_error = f"a body could not be kept: {error.strerror or error}"


class BodySink:
    """Takes one body. Never raises: a body that cannot be kept is counted, and the traffic goes on."""

    _together = ALL_IN_MEMORY

    def __init__(self, area: SpoolArea, in_memory: int = IN_MEMORY) -> None:
        self._area = area
        self._limit = in_memory
        self._chunks: list[bytes] = []
        self._held = 0
        self._path: Path | None = None
        self._fd = -1
        self._lost = False
        self.size = 0

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes of the body."""
        size = len(chunk)
        self.size += size
        if self._fd >= 0:
            self._write([chunk])
        elif not self._lost and size:
            self._chunks.append(chunk)
            self._held += size
            self._area.in_memory += size
            if self._held > self._limit or self._area.in_memory > self._together:
                self._spill()

    def finish(self) -> Body:
        """The body as the recorder takes it: bytes, a spool file, a note that it was lost, or None when it is empty."""
        if self._lost:
            return {"lost": True, "size": self.size}
        if self._path is not None:
            path, self._path = self._path, None
            os.close(self._fd)
            self._fd = -1
            return {"spool": str(path), "size": self.size}
        body = b"".join(self._chunks)
        self._drop_chunks()
        return body or None

    def abort(self) -> None:
        """Forget the body."""
        self._drop_chunks()
        self._drop_file()

    def __del__(self) -> None:
        self.abort()

    def _spill(self) -> None:
        try:
            self._path, self._fd = self._area.create()
        except OSError as error:
            self._fail(error)
            return
        chunks = self._chunks
        self._drop_chunks()
        self._write(chunks)

    def _write(self, chunks: list[bytes]) -> None:
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, memoryview(data)[written:])
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._lost = True
        self._area.lose(error)
        self.abort()

    def _drop_chunks(self) -> None:
        self._area.in_memory -= self._held
        self._chunks, self._held = [], 0

    def _drop_file(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._path = None


class MemorySink(BodySink):
    """For a body that something is still to be taken out of: never in a file; lost where it is too long for memory."""

    _together = ALL_UNWRITTEN

    def __init__(self, area: SpoolArea) -> None:
        super().__init__(area, in_memory=LONGEST_UNWRITTEN)

    def _spill(self) -> None:
        self._fail(OSError(errno.EFBIG, TOO_LONG))


class CountingSink(BodySink):
    """For `store.bodies: none`: the size is all that is kept, of no byte anything."""

    def feed(self, chunk: bytes) -> None:
        self.size += len(chunk)

    def finish(self) -> Body:
        return None
