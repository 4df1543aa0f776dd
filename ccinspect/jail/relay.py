"""Joining two stream sockets: what arrives on one is sent on the other, in both directions, until both have ended."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import struct
from collections.abc import Callable

_CHUNK = 1 << 18
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Relay:
    """One joined pair. `near` is connected; `far` is connected here, to `address`, without blocking.

    The selector's keys carry callables that take the event mask, for `rounds.serve_ready`.
    """

    def __init__(
        self, selector: selectors.BaseSelector, near: socket.socket, far: socket.socket, address: tuple[str, int]
    ) -> None:
        self._selector = selector
        self._near, self._far = near, far
        self._pending = {near: b"", far: b""}
        """Bytes that wait to be written to each socket."""
        self._ended = {near: False, far: False}
        """Whether each socket has said all it has to say."""
        self._interest = {near: 0, far: 0}
        for end in (near, far):
            end.setblocking(False)
            with contextlib.suppress(OSError):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connecting = True
        if far.connect_ex(address) not in (0, errno.EINPROGRESS):
            self._abort()
            return
        self._want(far, selectors.EVENT_WRITE)

    def _other(self, end: socket.socket) -> socket.socket:
        return self._far if end is self._near else self._near

    def _on_ready(self, end: socket.socket) -> Callable[[int], None]:
        def ready(mask: int) -> None:
            try:
                if self._connecting:
                    self._connected()
                else:
                    if mask & selectors.EVENT_WRITE:
                        self._write(end)
                    if mask & selectors.EVENT_READ:
                        self._read(end)
                self._settle()
            except OSError:
                self._abort()

        return ready

    def _connected(self) -> None:
        code = self._far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, "connection refused")
        self._connecting = False

    def _read(self, end: socket.socket) -> None:
        other = self._other(end)
        try:
            data = end.recv(_CHUNK)
        except BlockingIOError:
            return
        if data:
            self._pending[other] = data
            self._write(other)
        else:
            self._ended[end] = True
            other.shutdown(socket.SHUT_WR)

    def _write(self, end: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            sent = end.send(self._pending[end])
            self._pending[end] = self._pending[end][sent:]

    def _settle(self) -> None:
        if self._connecting:
            return
        if all(self._ended.values()):
            self._close()
            return
        for end in (self._near, self._far):
            # An end is read from only when what it said before has gone out: the kernel's buffers do the rest.
            may_read = not self._ended[end] and not self._pending[self._other(end)]
            self._want(
                end,
                (selectors.EVENT_READ if may_read else 0) | (selectors.EVENT_WRITE if self._pending[end] else 0),
            )

    def _want(self, end: socket.socket, events: int) -> None:
        before = self._interest[end]
        if events == before:
            return
        if not events:
            self._selector.unregister(end)
        elif not before:
            self._selector.register(end, events, self._on_ready(end))
        else:
            self._selector.modify(end, events, self._selector.get_key(end).data)
        self._interest[end] = events

    def _abort(self) -> None:
        """End both sides the hard way, so that neither takes a broken stream for a whole one."""
        for end in (self._near, self._far):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._close()

    def _close(self) -> None:
        for end in (self._near, self._far):
            if self._interest[end]:
                self._selector.unregister(end)
                self._interest[end] = 0
            end.close()
