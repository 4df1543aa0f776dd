"""A WebSocket of the fake provider: text messages in, text messages out, after the upgrade that a request asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import RemoteProtocolError

Hear = Callable[[str], Iterable[str]]
"""Called with each message; gives the answers to it."""


class WebSocket:
    """The server's side of one connection; no input or output of its own."""

    def __init__(self, head: bytes, hear: Hear) -> None:
        """`head` is the request for the upgrade, as it came."""
        self._hear = hear
        self._wire = WSConnection(ConnectionType.SERVER)
        self._said: list[str] = []
        self.opening = self.talk(head)[0]
        """The answer to the upgrade."""

    def talk(self, data: bytes) -> tuple[bytes, bool]:
        """Take in what came; returns what to send, and whether the connection stays open."""
        out = b""
        try:
            self._wire.receive_data(data)
            for event in self._wire.events():
                answer, stays = self._answer(event)
                out += answer
                if not stays:
                    return out, False
        except RemoteProtocolError as error:
            return out + self._wire.send(error.event_hint or CloseConnection(1002)), False
        return out, True

    def _answer(self, event: Event) -> tuple[bytes, bool]:
        match event:
            case Request():
                return self._wire.send(AcceptConnection(extensions=[PerMessageDeflate()])), True
            case RejectConnection():
                return b"", False
            case Ping():
                return self._wire.send(event.response()), True
            case CloseConnection():
                return self._wire.send(event.response()), False
            case TextMessage():
                self._said.append(event.data)
                if not event.message_finished:
                    return b"", True
                message = "".join(self._said)
                self._said.clear()
                return b"".join(self._wire.send(TextMessage(answer)) for answer in self._hear(message)), True
        return b"", True


def wants_websocket(upgrade: str | None) -> bool:
    """Whether this `Upgrade` header asks for one."""
    return (upgrade or "").lower() == "websocket"
