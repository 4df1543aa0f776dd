"""Send what leaves through the upstream proxy, whatever listener it came by.

mitmproxy has an upstream mode for one of its listeners; here every connection that would be opened is, at the place
where sockets are made. TLS, WebSocket and raw streams get a tunnel (CONNECT); a plain HTTP request is sent to the proxy
in absolute form, for most proxies open tunnels to port 443 only. Names are never resolved here.

Whether a connection will carry plain HTTP is known from its first bytes only, so those are waited for where mitmproxy
would connect at once: behind a tunnel of WireGuard, and after CONNECT. What cannot go through a proxy is refused: UDP.

These are internals of mitmproxy, as in `fidelity.py`, and must be installed after it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Generator
from types import ModuleType
from typing import Any

from mitmproxy import connection, http
from mitmproxy.proxy import commands, context, events, layer, server, server_hooks
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer, HttpStream
from mitmproxy.proxy.layers.http import _http1 as h1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestHeaders,
    ResponseHeaders,
    ResponseProtocolError,
)

from ccinspect.addons import hints
from ccinspect.addons.borrowed_addresses import BorrowedAddresses
from ccinspect.addons.records import VIA
from ccinspect.errors import UpstreamProxyError
from ccinspect.outward.proxy import UpstreamProxy
from ccinspect.outward.tunnel import Streams, open_to_proxy, open_tunnel, refusal

Commands = Generator[commands.Command, Any, None]

_PLAIN = "ccinspect_plain"
"""Attribute of a server connection that is opened for a plain HTTP request: may be one to the proxy itself."""
_ABSOLUTE = "ccinspect_absolute"
"""Attribute of a server connection to the proxy itself: (`host:port` that is meant, Proxy-Authorization or None)."""

_FIRST_BYTES_SECONDS = 0.25
_HTTP2_PREFACE = b"PRI * "

_opening: contextvars.ContextVar[connection.Server | None] = contextvars.ContextVar("opening", default=None)


class _ProxyFailed(OSError):
    """What mitmproxy catches when a connection cannot be opened."""


class ThroughProxy:
    """Addon: refuses what no proxy carries."""

    name = "ccinspect_upstream_proxy"

    def __init__(self, proxy: UpstreamProxy) -> None:
        self.proxy = proxy

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        server = data.server
        if server.transport_protocol == "udp" and server.address and self.proxy.covers(*server.address[:2]):
            server.error = f"refused: {hints.NO_UDP_THROUGH_PROXY}"


def install(proxy: UpstreamProxy, borrowed: BorrowedAddresses) -> None:
    """Adjust mitmproxy in this process; once, before the first connection."""
    _dial_through(proxy)
    _wait_for_first_bytes(proxy, borrowed)
    _know_plain_requests()
    _send_in_absolute_form()
    _ask_once()
    _read_refusals(proxy)


def _dial_through(proxy: UpstreamProxy) -> None:
    open_one = server.ConnectionHandler.open_connection

    async def open_knowing_which(self: server.ConnectionHandler, command: commands.OpenConnection) -> None:
        # Each connection is opened by a task of its own.
        opened = command.connection
        _opening.set(opened if isinstance(opened, connection.Server) else None)
        await open_one(self, command)

    async def dial(host: str, port: int, **options: Any) -> Streams:
        opened = _opening.get()
        if opened is None or not proxy.covers(host, port):
            return await asyncio.open_connection(host, port, **options)
        try:
            streams = await _dial(proxy, opened, host, port)
        except UpstreamProxyError as error:
            raise _ProxyFailed(f"{error.message}; {error.hint}") from error
        object.__setattr__(opened, VIA, proxy.label)
        return streams

    shim = ModuleType("asyncio")
    shim.__dict__.update(vars(asyncio))
    shim.__dict__["open_connection"] = dial
    server.ConnectionHandler.open_connection = open_knowing_which  # type: ignore[method-assign]
    server.asyncio = shim


async def _dial(proxy: UpstreamProxy, opened: connection.Server, host: str, port: int) -> Streams:
    # The place that the request names, unless `connect_to` leads elsewhere: a proxy would say that in `Host`.
    if getattr(opened, _PLAIN, None) != (host, port):
        return await open_tunnel(proxy, host, port)
    authorization = await proxy.authorization()
    streams = await open_to_proxy(proxy)
    name = f"[{host}]" if ":" in host else host
    object.__setattr__(opened, _ABSOLUTE, (name if port == 80 else f"{name}:{port}", authorization))
    return streams


class FirstBytes(layer.Layer):
    """Waits for what the client says first, for a moment; then connects to the server if that is to be done at once.

    TLS connects when the client's hello has been read, and HTTP/1 when its request has. What is neither gets its
    connection now, and so does a client that waits for its server to speak.
    """

    def __init__(self, around: context.Context) -> None:
        super().__init__(around)
        # Other layers look at the stack to see what they are in.
        around.layers.remove(self)
        self._child = layer.NextLayer(around)
        self._wakeup: commands.RequestWakeup | None = None

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            self._wakeup = commands.RequestWakeup(_FIRST_BYTES_SECONDS)
            yield self._wakeup
            return
        waited = isinstance(event, events.Wakeup)
        self._handle_event = self._go_on  # type: ignore[method-assign]
        if not isinstance(event, events.ConnectionClosed) and not (
            isinstance(event, events.DataReceived) and _connects_later(event.data)
        ):
            problem = yield commands.OpenConnection(self.context.server)
            if problem:
                yield commands.CloseConnection(self.context.client)
                self._handle_event = self._over  # type: ignore[method-assign]
                return
        yield from self._child.handle_event(events.Start())
        if not waited:
            yield from self._child.handle_event(event)

    def _go_on(self, event: events.Event) -> layer.CommandGenerator[None]:
        if not (isinstance(event, events.Wakeup) and event.command is self._wakeup):
            yield from self._child.handle_event(event)

    def _over(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from ()


def _connects_later(data: bytes) -> bool:
    """TLS (a handshake record), or the first word of an HTTP/1 request."""
    if data[:2] == b"\x16\x03":
        return True
    word, space, _ = data[:32].partition(b" ")
    return bool(space) and word.isalpha() and word.isupper() and not data.startswith(_HTTP2_PREFACE)


def _wait_for_first_bytes(proxy: UpstreamProxy, borrowed: BorrowedAddresses) -> None:
    start = modes.TransparentProxy._handle_event
    connect = HttpStream.handle_connect_regular

    def start_or_wait(self: modes.TransparentProxy, event: events.Event) -> Commands:
        place = self.context.server.address
        if place is None or self.context.server.transport_protocol != "tcp":
            yield from start(self, event)
            return
        host, port = borrowed.name_of(place[0]) or place[0], place[1]
        if not proxy.covers(host, port):
            yield from start(self, event)
            return
        # The proxy is asked for the name.
        self.context.server.address = (host, port)
        self.child_layer = FirstBytes(self.context)
        self._handle_event = self.child_layer.handle_event
        yield from self.child_layer.handle_event(event)

    def connect_or_wait(self: HttpStream) -> Commands:
        if self.flow.response or not proxy.covers(self.flow.request.host, self.flow.request.port):
            yield from connect(self)
            return
        self.child_layer = FirstBytes(self.context)
        yield from self.handle_connect_finish()

    modes.TransparentProxy._handle_event = start_or_wait  # type: ignore[method-assign]
    HttpStream.handle_connect_regular = connect_or_wait  # type: ignore[method-assign]


def _know_plain_requests() -> None:
    get_connection = HttpLayer.get_connection

    def get_knowing_why(self: HttpLayer, event: GetHttpConnection, *, reuse: bool = True) -> Commands:
        stream = self.command_sources.get(event)
        plain = not event.tls and isinstance(stream, HttpStream) and _may_be_absolute(stream.flow.request)
        if not plain and not event.tls:
            # A connection to the proxy itself cannot become a tunnel.
            reuse = reuse and not any(hasattr(each, _ABSOLUTE) for each in self.connections)
        for command in get_connection(self, event, reuse=reuse):
            if plain and isinstance(command, commands.OpenConnection):
                object.__setattr__(command.connection, _PLAIN, event.address)
            yield command

    HttpLayer.get_connection = get_knowing_why  # type: ignore[method-assign]


def _may_be_absolute(request: http.Request) -> bool:
    """Whether a proxy can pass a request on as it is: no change of protocol, and `Host` says where it goes.

    A proxy writes that field anew from the place it connects to (RFC 9112, section 3.2.2)."""
    if request.is_http2 or request.is_http3:
        return request.authority in ("", *_authorities(request))
    return "upgrade" not in request.headers and request.headers.get("host", "").lower() in _authorities(request)


def _authorities(request: http.Request) -> tuple[str, ...]:
    host = request.data.host.lower()
    name = f"[{host}]" if ":" in host else host
    return (f"{name}:{request.port}", name) if request.port == 80 else (f"{name}:{request.port}",)


def _send_in_absolute_form() -> None:
    send = h1.Http1Client.send

    def send_absolute(self: h1.Http1Client, event: Any) -> Commands:
        meant = getattr(self.conn, _ABSOLUTE, None)
        for command in send(self, event):
            if meant is not None and isinstance(event, RequestHeaders) and isinstance(command, commands.SendData):
                command.data = in_absolute_form(command.data, *meant)
            yield command

    h1.Http1Client.send = send_absolute  # type: ignore[method-assign]


def _ask_once() -> None:
    mark_done = h1.Http1Client.mark_done

    def close_when_done(self: h1.Http1Client, *, request: bool = False, response: bool = False) -> Commands:
        yield from mark_done(self, request=request, response=response)
        # Many a proxy ends its connection after each answer and does not say so; the next request would meet that end.
        if self.request is None and self.conn.connected and getattr(self.conn, _ABSOLUTE, None) is not None:
            self.state = self.done
            yield commands.CloseConnection(self.conn)

    h1.Http1Client.mark_done = close_when_done  # type: ignore[assignment,method-assign]


def in_absolute_form(head: bytes, authority: str, authorization: str | None) -> bytes:
    """The head of a request for a proxy: where it goes stands in its first line (RFC 9112, section 3.2.2)."""
    line, _, rest = head.partition(b"\r\n")
    method, _, target_version = line.partition(b" ")
    target, _, version = target_version.rpartition(b" ")
    if not target.startswith(b"/"):
        # `OPTIONS *` is said without a path.
        target = b"" if target == b"*" else target
        if b"://" in target:
            target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    shown = b"" if authorization is None else b"Proxy-Authorization: %s\r\n" % authorization.encode("latin-1")
    return b"%s http://%s%s %s\r\n%s%s" % (method, authority.encode(), target, version, shown, rest)


def _read_refusals(proxy: UpstreamProxy) -> None:
    read_headers = h1.Http1Client.read_headers

    def read_or_fail(self: h1.Http1Client, event: events.ConnectionEvent) -> Commands:
        meant = getattr(self.conn, _ABSOLUTE, None)
        if meant is None:
            yield from read_headers(self, event)
            return
        for command in read_headers(self, event):
            if (
                isinstance(command, ReceiveHttp)
                and isinstance(command.event, ResponseHeaders)
                and command.event.response.status_code == 407
            ):
                # Said to us, not to the client, which knows of no proxy.
                proxy.refused()
                problem = refusal(proxy, meant[0], 407, "")
                message = f"{problem.message}; {problem.hint}"
                stream_id = command.event.stream_id
                yield commands.CloseConnection(self.conn)
                yield ReceiveHttp(ResponseProtocolError(stream_id, message, ErrorCode.CONNECT_FAILED))
                return
            yield command

    h1.Http1Client.read_headers = read_or_fail  # type: ignore[method-assign]
