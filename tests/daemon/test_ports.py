from __future__ import annotations

import socket

import pytest

from ccinspect.daemon.ports import claim_port, release_ports
from ccinspect.errors import PortBusy


def bind(port: int, *, reuse: bool) -> socket.socket:
    sock = socket.socket()
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


def test_a_free_port_is_kept_for_its_own_listener() -> None:
    port = claim_port(0, "")
    try:
        with pytest.raises(OSError, match="in use"):
            bind(port, reuse=False)
        # As the servers of asyncio and tornado do it.
        with bind(port, reuse=True) as listener:
            listener.listen()
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                pass
            release_ports()
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                pass
    finally:
        release_ports()


def test_a_port_that_is_given_up_is_free() -> None:
    port = claim_port(0, "")
    with pytest.raises(OSError, match="in use"):
        bind(port, reuse=False)
    release_ports()
    with bind(port, reuse=False) as listener:
        assert listener.getsockname()[1] == port


def test_a_busy_port_is_named_with_its_setting() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortBusy, match=str(port)) as refused:
            claim_port(port, "inspector.web_port")
    assert "inspector.web_port" in refused.value.hint
