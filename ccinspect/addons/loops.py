"""Ends loops: a request that leads back to a listener of ours, again and again.

Nobody asks for one on purpose: a proxy that is told to fetch from itself, a rule that redirects to a listener of ours
and holds there too, an upstream proxy that is this daemon. Each round would open two connections until none can be
opened any more. Names say nothing about where a connection goes (`127.1`, `localhost.`, any name of this machine), so
each connection from us to us is known by its two ends.
"""

from __future__ import annotations

import json

from mitmproxy import connection, http
from mitmproxy.proxy import server_hooks

# Once through us and once more is what a program does that uses the proxy and a base URL at the same time.
_MOST = 1


class LoopGuard:
    """Addon: counts how often a connection has come through us, and answers 508 where that is too often."""

    name = "ccinspect_loops"

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, int], int] = {}
        """By our own end of an open connection: through how many of our connections its requests have come."""

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        if data.server.sockname:
            self._rounds[_end(data.server.sockname)] = self._rounds_of(data.client) + 1

    def server_disconnected(self, data: server_hooks.ServerConnectionHookData) -> None:
        if data.server.sockname:
            self._rounds.pop(_end(data.server.sockname), None)

    def requestheaders(self, captured: http.HTTPFlow) -> None:
        # By now what we know of the other end is there: it sends nothing before it is connected.
        if captured.response is None and not captured.is_replay and self._rounds_of(captured.client_conn) > _MOST:
            captured.response = http.Response.make(508, _ANSWER, {"content-type": "application/json"})

    http_connect = requestheaders

    def _rounds_of(self, client: connection.Client) -> int:
        return self._rounds.get(_end(client.peername), 0) if client.peername else 0


def _end(address: tuple[str, int] | tuple[str, int, int, int]) -> tuple[str, int]:
    return address[0].removeprefix("::ffff:"), address[1]


_ERROR = {
    "message": "this request leads back to ccinspect again and again; name a place that is none of its listeners",
    "type": "invalid_request_error",
    "code": "loop_detected",
}
_ANSWER = json.dumps({"error": _ERROR}).encode()
