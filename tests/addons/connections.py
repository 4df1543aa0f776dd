"""Connections by hand: through the forward proxy, to a server that is a function."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.daemon import Daemon


def tunnel(daemon: Daemon, host: str, port: int) -> socket.socket:
    """A connection through the forward proxy, after its CONNECT."""
    sock = socket.create_connection(("127.0.0.1", daemon.ports["proxy"]), timeout=20)
    sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(1)
    assert b" 200 " in answer, answer
    return sock


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of one connection on 127.0.0.1; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with listener.accept()[0] as connection:
                connection.settimeout(20)
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(20)
