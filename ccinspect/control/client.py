"""Synchronous client of the control socket; imports little, for `ccinspect run` pays for every import."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from ccinspect.control import protocol
from ccinspect.errors import ControlError, DaemonNotRunning

DEFAULT_TIMEOUT = 30.0


class ControlClient:
    """One connection to a daemon. Its socket is closed on exec, so that no child inherits it.

    A run lasts as long as the connection that started it: keep the client open until the run has ended.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._pending = bytearray()
        self._heard: list[tuple[str, Any]] = []
        self._last_id = 0

    @classmethod
    def connect(cls, path: Path, timeout: float = DEFAULT_TIMEOUT) -> ControlClient:
        """Connect to the socket at `path`; `timeout` (seconds) also bounds each later answer.

        Raises DaemonNotRunning when nothing listens there.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            with protocol.socket_address(path) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            raise DaemonNotRunning("the daemon is not running", "start it: ccinspect start --detach") from error
        except OSError as error:
            connection.close()
            reason = error.strerror or str(error)
            raise DaemonNotRunning(
                f"the daemon cannot be reached at {path}: {reason}", "see whether it lives: ccinspect logs"
            ) from error
        return cls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def set_timeout(self, seconds: float | None) -> None:
        """How long later answers may take; None waits for ever."""
        self._socket.settimeout(seconds)

    def fileno(self) -> int:
        """Readable when the daemon says something or goes away."""
        return self._socket.fileno()

    def call(self, method: str, /, **params: Any) -> Any:
        """Call a method and wait for its result.

        Raises the class of `errors.py` that the daemon names; ControlError when no answer comes, or nonsense.
        """
        self._last_id += 1
        self._send(protocol.encode(protocol.request(self._last_id, method, params)))
        answer = self._receive()
        while answer is not None and self._is_something_else(answer):
            answer = self._receive()
        if answer is None:
            raise ControlError(f"the daemon went away before it answered `{method}`", "see why: ccinspect logs")
        if answer.get("id") != self._last_id:
            raise ControlError(f"the daemon answered something else than `{method}`", "restart it: ccinspect restart")
        if "error" in answer:
            raise protocol.error_from_json(answer["error"])
        return answer.get("result")

    def take_events(self) -> list[tuple[str, Any]] | None:
        """The `(event, data)` that have come by now, without waiting; None when the daemon went away.

        For a connection that `fileno` says is readable, between calls. Raises ControlError for nonsense.
        """
        timeout = self._socket.gettimeout()
        self._socket.settimeout(0)
        gone = False
        try:
            while (message := self._receive()) is not None:
                self._is_something_else(message)
            gone = True
        except BlockingIOError:
            pass
        finally:
            self._socket.settimeout(timeout)
        heard, self._heard = self._heard, []
        return heard if heard or not gone else None

    def _is_something_else(self, message: dict[str, Any]) -> bool:
        """Whether a message is no answer to the last call: an event, or the late answer of one that timed out."""
        if "event" in message and "id" not in message:
            self._heard.append((str(message["event"]), message.get("data")))
            return True
        return isinstance(message.get("id"), int) and message["id"] < self._last_id

    def events(self, **params: Any) -> Iterator[tuple[str, Any]]:
        """Subscribe at once, then yield `(event, data)` without end; stops when the daemon goes away.

        The connection is of no other use afterwards.
        """
        return self.subscribe(protocol.EVENTS, **params)

    def subscribe(self, method: str, /, **params: Any) -> Iterator[tuple[str, Any]]:
        """Call a method that is answered by events, as `events` does. An event `failed` is raised as its error."""
        self.call(method, **params)
        self._socket.settimeout(None)
        return self._events()

    def _events(self) -> Iterator[tuple[str, Any]]:
        while (message := self._receive()) is not None:
            if message.get("event") == "failed":
                raise protocol.error_from_json(message.get("data"))
            if "event" in message:
                yield str(message["event"]), message.get("data")

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ControlError(
                f"the connection to the daemon broke: {error.strerror or error}", "see why: ccinspect logs"
            ) from error

    def _receive(self) -> dict[str, Any] | None:
        """The next message; None at end of file."""
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0:
            searched = len(self._pending)
            if searched > protocol.MAX_LINE:
                raise ControlError("the daemon sent a line without end", "restart it: ccinspect restart")
            try:
                data = self._socket.recv(65536)
            except TimeoutError as error:
                seconds = self._socket.gettimeout()
                raise ControlError(
                    f"the daemon did not answer within {seconds:g} seconds", "see what it does: ccinspect logs"
                ) from error
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._pending += data
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        try:
            return protocol.decode(line)
        except ValueError as error:
            raise ControlError("the daemon sent something that is no JSON", "restart it: ccinspect restart") from error
