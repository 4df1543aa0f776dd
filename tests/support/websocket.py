"""Both ends of a WebSocket connection that carries text."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import wsproto
from wsproto import events

_AT_ONCE = 65_536


def answering(answer: Callable[[str], str]) -> Callable[[socket.socket], None]:
    """A function that serves one connection: it answers each text, until the client closes."""

    def serve(connection: socket.socket) -> None:
        peer = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        while True:
            peer.receive_data(connection.recv(_AT_ONCE) or None)
            for event in peer.events():
                if isinstance(event, events.Request):
                    connection.sendall(peer.send(events.AcceptConnection()))
                elif isinstance(event, events.TextMessage):
                    connection.sendall(peer.send(events.TextMessage(answer(event.data))))
                elif isinstance(event, events.CloseConnection):
                    connection.sendall(peer.send(event.response()))
                    return

    return serve


def exchange(sock: socket.socket, host: str, path: str, texts: Sequence[str]) -> list[str]:
    """Upgrade a connection, send the texts, and close it once as many answers have come; the result is those."""
    client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    sock.sendall(client.send(events.Request(host=host, target=path)))
    answers = []
    while True:
        client.receive_data(sock.recv(_AT_ONCE) or None)
        for event in client.events():
            if isinstance(event, events.AcceptConnection):
                sock.sendall(b"".join(client.send(events.TextMessage(text)) for text in texts))
            elif isinstance(event, events.TextMessage):
                answers.append(event.data)
                if len(answers) == len(texts):
                    sock.sendall(client.send(events.CloseConnection(1000)))
            elif isinstance(event, events.CloseConnection):
                return answers
