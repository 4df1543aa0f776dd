"""Sending one request to the daemon's reverse listener, and finding the flow that it became."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError
from ccinspect.replay.request import Replay

_SECONDS = 900
"""How long a provider may be silent before we give up."""
_SECONDS_TO_RECORD = 60
_PIECE = 65_536


def send(replay: Replay, port: int, events: ControlClient) -> dict[str, Any]:
    """Send it, read the answer to its end, and return the record of its flow. `events` must have been asked nothing.

    Raises CcinspectError when the daemon does not take it.
    """
    told = events.events()
    events.set_timeout(_SECONDS_TO_RECORD)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.connect()
    except OSError as error:
        raise _failed(f"the reverse listener on port {port} cannot be reached: {error.strerror}") from error
    own_port = int(connection.sock.getsockname()[1])
    # What breaks on the way is recorded: its flow says more than the client's error.
    with closing(connection), suppress(OSError, http.client.HTTPException):
        try:
            _exchange(connection, replay, port)
        except (ValueError, http.client.InvalidURL):
            # What they say may quote a header, and so a secret.
            raise CcinspectError(
                "the request cannot be sent as it is: its path or a header is not valid HTTP/1",
                "send it with: ccinspect flows export ID",
            ) from None
    return _flow_of(told, own_port)


def _exchange(connection: http.client.HTTPConnection, replay: Replay, port: int) -> None:
    connection.putrequest(replay.method, replay.path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", f"127.0.0.1:{port}")
    for name, value in replay.headers:
        connection.putheader(name, value)
    if replay.body or replay.method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(len(replay.body)))
    connection.endheaders(replay.body or None)
    answer = connection.getresponse()
    while answer.read1(_PIECE):
        pass


def _flow_of(told: Iterator[tuple[str, Any]], own_port: int) -> dict[str, Any]:
    """The finished flow that came from this port of ours."""
    for _, record in told:
        peer = list((record.get("client_conn") or {}).get("peername") or [])
        if peer[1:2] == [own_port] and record.get("type") == "http":
            return dict(record)
    raise _failed("the daemon stopped before the replay was over")


def _failed(message: str) -> CcinspectError:
    return CcinspectError(message, "see what the daemon says: ccinspect logs")
