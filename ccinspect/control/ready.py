"""How a detached daemon tells whoever started it that it is ready, or why it is not.

`start --detach` hands its child the writing end of a pipe and names it in `CCINSPECT_READY_FD`. The child writes
one line, `{"ready": true}` or `{"error": {message, hint, type}}`, and closes it. End of file without a line means that
it died.
"""

from __future__ import annotations

import os
import select
import time
from typing import Final

from ccinspect.control import protocol
from ccinspect.errors import StartFailed

READY_FD_ENV: Final = "CCINSPECT_READY_FD"


class ReadyPipe:
    """The daemon's end. Says one thing, once; without a pipe (a daemon in the foreground) it does nothing."""

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

    def _say(self, message: dict[str, object]) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            os.write(descriptor, protocol.encode(message))
        except OSError:
            pass  # Whoever started us has gone; the daemon lives on.
        finally:
            os.close(descriptor)


def wait_ready(descriptor: int, timeout: float) -> None:
    """Read the child's one line from `descriptor`; returns when it is ready.

    Raises the error that the child names; StartFailed when it closes the pipe without a word or says nothing
    for `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    line = bytearray()
    while not line.endswith(b"\n"):
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise StartFailed(
                f"the daemon did not become ready within {timeout:g} seconds", "see what it does: ccinspect logs"
            )
        piece = os.read(descriptor, 65536)
        if not piece:
            raise StartFailed("the daemon ended while it started", "its log says why: ccinspect logs")
        line += piece
    try:
        message = protocol.decode(bytes(line))
    except ValueError as error:
        raise StartFailed("the daemon said something that cannot be read", "see why: ccinspect logs") from error
    if "error" in message:
        raise protocol.error_from_json(message["error"])
