"""Messages between the supervisor on the host and the warden inside: JSON objects with file descriptors beside them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

_MAX_MESSAGE = 1 << 16
# The kernel takes at most 253 descriptors in one message (SCM_MAX_FD).
MAX_FDS = 250


class ChannelClosed(Exception):
    """The other side is gone."""


class Channel:
    """One end of a SOCK_SEQPACKET pair: each message arrives whole, or not at all."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(near), cls(far)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send one message. Raises ChannelClosed when the other side is gone."""
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode()], fds)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosed from error

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Wait for one message and its descriptors, which are closed on exec. Raises ChannelClosed."""
        data, fds = self._receive()
        if not data:
            raise ChannelClosed
        for fd in fds:
            os.set_inheritable(fd, False)
        message: dict[str, Any] = json.loads(data)
        return message, fds

    def _receive(self) -> tuple[bytes, list[int]]:
        try:
            data, fds, _flags, _address = socket.recv_fds(self._socket, _MAX_MESSAGE, MAX_FDS)
        except ConnectionResetError:
            # The other side went without reading all that we had sent. That is told once, and before its last words.
            data, fds, _flags, _address = socket.recv_fds(self._socket, _MAX_MESSAGE, MAX_FDS)
        return data, fds
