"""Places that are no collectors: what a mistyped address, a stuck network or another program's port leads to."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Hostile:
    """A listener on the loopback that takes connections and treats them badly. Use as a context manager."""

    def __init__(self, manner: str) -> None:
        """`manner`: `hangs` (says nothing), or `garbage` (answers with no protocol at all)."""
        self.manner = manner
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in (self._listener, *self._open):
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            try:
                self._treat(connection)
            except OSError:
                continue

    def _treat(self, connection: socket.socket) -> None:
        if self.manner == "garbage":
            connection.recv(1)
            connection.sendall(bytes(range(256)) * 8)
            connection.shutdown(socket.SHUT_WR)
