"""Requests that came by QUIC and are led to another place go there over TCP.

Of the place that a client has asked itself is known that it speaks QUIC; of the one that a rule names is not, and many
a model server does not. mitmproxy keeps the transport of the client.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cache
from typing import Any

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.proxy import commands, server_hooks
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer, is_h3_alpn

Commands = Generator[commands.Command, Any, None]


@cache
def install() -> None:
    """Adjust mitmproxy in this process. Idempotent; must run before the first connection."""
    get_connection = HttpLayer.get_connection

    def get_free_connection(self: HttpLayer, event: GetHttpConnection, *, reuse: bool = True) -> Commands:
        if is_h3_alpn(self.context.client.alpn) and event.transport_protocol == "tcp":
            # HTTP/1 has one request at a time, of which mitmproxy thinks for clients of HTTP/2 only.
            reuse = reuse and any(
                connection.alpn == b"h2" and event.connection_spec_matches(connection)
                for connection in self.connections
            )
        yield from get_connection(self, event, reuse=reuse)

    HttpLayer.get_connection = get_free_connection  # type: ignore[method-assign]


def choose_transport(captured: http.HTTPFlow, *, moved: bool) -> None:
    """Set by what the request's connection will be made; `moved` says that its client has asked for another place."""
    wanted = "tcp" if moved else captured.client_conn.transport_protocol
    if captured.server_conn.transport_protocol != wanted:
        address = (captured.request.host, captured.request.port)
        captured.server_conn = Server(address=address, transport_protocol=wanted)


class FromQuic:
    """Addon: offers on such a connection what is spoken over TCP."""

    name = "ccinspect_from_quic"

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if is_h3_alpn(data.client.alpn) and data.server.transport_protocol == "tcp":
            data.server.alpn_offers = (b"h2", b"http/1.1")
