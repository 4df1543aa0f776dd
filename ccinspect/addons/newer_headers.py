"""Bring what HTTP/1 says into a form that HTTP/2 and HTTP/3 know; a strict peer gives up what is in no such form.

* A header that is folded over several lines is one line there.
* Trailers are in lower case, and none of them is about the connection. mitmproxy does that for headers only.
* A `101 Switching Protocols` does not exist. It is no answer to a request that has not asked for it, of any version;
  mitmproxy crashes on it, and with it the connection of all other requests.

These are internals of mitmproxy, as in `fidelity.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import cache
from typing import Any

from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import _http1 as h1
from mitmproxy.proxy.layers.http import _http2 as h2
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestTrailers,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._http3 import Http3Connection

Commands = Generator[commands.Command, Any, None]
Fields = list[tuple[bytes, bytes]]

_FOLD = re.compile(rb"[ \t]*\r?\n[ \t]+")
# RFC 9113, section 8.2.2.
_OF_THE_CONNECTION = (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te")

_SWITCHED = "the upstream switches to another protocol, which nobody has asked for"


@cache
def install() -> None:
    """Adjust mitmproxy in this process. Idempotent; must run before the first connection."""
    h2.normalize_h1_headers = _unfolding(h2.normalize_h1_headers)  # type: ignore[assignment]
    for kind in (h2.Http2Connection, Http3Connection):
        kind._handle_event = _with_plain_trailers(kind._handle_event)  # type: ignore[method-assign]
    _refuse_switching()


def _unfolding(normalize: Callable[[Fields, bool], Fields]) -> Callable[[Fields, bool], Fields]:
    def normalize_unfolded(headers: Fields, is_client: bool) -> Fields:
        return normalize([(name, _FOLD.sub(b" ", value)) for name, value in headers], is_client)

    return normalize_unfolded


def _with_plain_trailers(handle_event: Callable[[Any, events.Event], Commands]) -> Callable[..., Commands]:
    def handle_plain(self: Any, event: events.Event) -> Commands:
        if isinstance(event, RequestTrailers | ResponseTrailers):
            event = replace(event, trailers=http.Headers(_plain(event.trailers.fields)))
        yield from handle_event(self, event)

    return handle_plain


def _plain(trailers: tuple[tuple[bytes, bytes], ...]) -> Fields:
    fields = ((name.lower(), _FOLD.sub(b" ", value)) for name, value in trailers)
    return [(name, value) for name, value in fields if name not in _OF_THE_CONNECTION]


def _refuse_switching() -> None:
    read_headers = h1.Http1Client.read_headers

    def read_headers_of_answer(self: h1.Http1Client, event: events.ConnectionEvent) -> Commands:
        for command in read_headers(self, event):
            if isinstance(command, ReceiveHttp) and _switches(self, command.event):
                # Nothing that comes on this connection is an answer from here on.
                self.state = self.done
                yield commands.CloseConnection(self.conn)
                yield ReceiveHttp(
                    ResponseProtocolError(command.event.stream_id, _SWITCHED, ErrorCode.GENERIC_SERVER_ERROR)
                )
                return
            yield command

    h1.Http1Client.read_headers = read_headers_of_answer  # type: ignore[method-assign]


def _switches(connection: h1.Http1Client, event: events.Event) -> bool:
    if connection.request is None or not isinstance(event, ResponseHeaders) or event.response.status_code != 101:
        return False
    return connection.request.is_http2 or connection.request.is_http3 or "upgrade" not in connection.request.headers
