"""How a detached daemon tells whoever started it that it is ready, or why it is not.

`start --detach` hands its child the writing end of a pipe and names it in `CCINSPECT_READY_FD`. The child may write
lines `{"progress": {what, done, all}}` while something takes long, then one line, `{"ready": true}` or
`{"error": {message, hint, type}}`, and closes it. End of file without that line means that it died.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from typing import Any, Final

from ccinspect.control import protocol
from ccinspect.errors import StartFailed

READY_FD_ENV: Final = "CCINSPECT_READY_FD"


class ReadyPipe:
    """The daemon's end. Has one last word; without a pipe (a daemon in the foreground) it says nothing."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @classmethod
    def from_environment(cls) -> ReadyPipe:
        """Take the pipe that the environment names, hide it from our own children and forget the name.

        A second caller in the same process therefore gets a pipe that does nothing.
        """
        named = os.environ.pop(READY_FD_ENV, "")
        if not named.isdigit():
            return cls(None)
        try:
            os.set_inheritable(int(named), False)
        except OSError:
            return cls(None)
        return cls(int(named))

    @property
    def detached(self) -> bool:
        """Whether somebody waits, that is, whether this daemon was started in the background."""
        return self._descriptor is not None

    def ready(self) -> None:
        self._say({"ready": True})

    def failed(self, error: Exception) -> None:
        self._say({"error": protocol.error_to_json(error)})

    def progress(self, what: str, done: int, everything: int) -> None:
        """Say how far something has come that takes long: whoever waits will wait on."""
        if self._descriptor is not None:
            self._write(self._descriptor, {"progress": {"what": what, "done": done, "all": everything}})

    def _say(self, message: dict[str, object]) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            self._write(descriptor, message)
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, message: dict[str, object]) -> None:
        # Whoever started us may have gone; the daemon lives on.
        with contextlib.suppress(OSError):
            os.write(descriptor, protocol.encode(message))


Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def wait_ready(descriptor: int, timeout: float, progress: Progress | None = None) -> None:
    """Read the child's lines from `descriptor`; returns when it is ready.

    Raises the error that the child names; StartFailed when it closes the pipe without a last word or says nothing
    for `timeout` seconds.
    """
    while True:
        message = _message(_line(descriptor, timeout))
        if "progress" not in message:
            break
        told = message["progress"]
        if progress is not None:
            progress(str(told["what"]), int(told["done"]), int(told["all"]))
    if "error" in message:
        raise protocol.error_from_json(message["error"])


def _line(descriptor: int, timeout: float) -> bytes:
    """One line, read byte by byte: what follows it is left in the pipe."""
    deadline = time.monotonic() + timeout
    line = bytearray()
    while not line.endswith(b"\n"):
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise StartFailed(
                f"the daemon did not become ready within {timeout:g} seconds", "see what it does: ccinspect logs"
            )
        piece = os.read(descriptor, 1)
        if not piece:
            raise StartFailed("the daemon ended while it started", "its log says why: ccinspect logs")
        line += piece
    return bytes(line)


def _message(line: bytes) -> dict[str, Any]:
    try:
        return protocol.decode(line)
    except ValueError as error:
        raise StartFailed("the daemon said something that cannot be read", "see why: ccinspect logs") from error
