"""One round of the supervisor's loop, over what closes others in the middle of it."""

from __future__ import annotations

import os
import selectors
import socket
import struct
from collections.abc import Iterator

import pytest

from ccinspect.jail.relay import Relay
from ccinspect.jail.rounds import serve_ready
from tests.support.waiting import wait_until

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@pytest.fixture
def selector() -> Iterator[selectors.DefaultSelector]:
    with selectors.DefaultSelector() as made:
        yield made


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.close()


def test_both_ends_of_a_relay_may_break_in_one_round(selector: selectors.DefaultSelector) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        caller = socket.create_connection(address)
        near, _ = server.accept()
        far = socket.socket()
        Relay(selector, near, far, address)
        called, _ = server.accept()
        serve_ready(selector, 5)
        reset(caller)
        reset(called)
        with selectors.DefaultSelector() as both:
            for end in (near, far):
                both.register(end, selectors.EVENT_READ)
            assert wait_until(lambda: len(both.select(0)) == 2)
        serve_ready(selector, 5)
        assert (near.fileno(), far.fileno(), dict(selector.get_map())) == (-1, -1, {})


def test_a_number_that_was_given_anew_is_not_taken_for_the_old_one(selector: selectors.DefaultSelector) -> None:
    """Both are ready; whichever is called first puts something idle in the place of the other."""
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[str] = []

    def replace(other: socket.socket) -> None:
        called.append("ready")
        number = other.fileno()
        selector.unregister(other)
        other.close()
        fresh, idle = socket.socketpair()
        if fresh.fileno() != number:
            os.dup2(fresh.fileno(), number)
            fresh.close()
            fresh = socket.socket(fileno=number)
        pairs.append((fresh, idle))
        selector.register(fresh, selectors.EVENT_READ, lambda _mask: called.append("idle"))

    (first, one), (second, two) = pairs
    selector.register(first, selectors.EVENT_READ, lambda _mask: replace(second))
    selector.register(second, selectors.EVENT_READ, lambda _mask: replace(first))
    one.send(b"x")
    two.send(b"x")
    serve_ready(selector, 5)
    assert called == ["ready"]
    for pair in pairs:
        for end in pair:
            end.close()
