"""Send a request again on a new connection when the kept one turns out to be closed.

An upstream may close an idle connection in the very moment in which we use it. A client that talked to it directly
would open another one by itself (RFC 9110, section 9.2.2); behind us it got a 502. Only requests that may safely be
sent twice and have no body are, once, and only when not a byte of an answer came on a connection that had been used
before.

These are internals of mitmproxy, as in `fidelity.py`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.layers.http import HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseHeaders,
    ResponseProtocolError,
)

_ANSWERED = "ccinspect_answered"
_SAFE = ("GET", "HEAD", "OPTIONS")

_installed = False


def install() -> None:
    """Adjust mitmproxy in this process. Idempotent; must run before the first connection."""
    global _installed
    if _installed:
        return
    _installed = True
    handle_error = HttpStream.handle_protocol_error

    def handle_or_send_again(
        self: HttpStream, event: RequestProtocolError | ResponseProtocolError
    ) -> Generator[commands.Command, Any, None]:
        if _found_closed(self, event) and not getattr(self, "ccinspect_sent_again", False):
            self.ccinspect_sent_again = True  # type: ignore[attr-defined]
            yield from _send_again(self)
        else:
            yield from handle_error(self, event)

    wait_for_headers = HttpStream.state_wait_for_response_headers

    def note_answer(self: HttpStream, event: ResponseHeaders) -> Generator[commands.Command, Any, None]:
        # mitmproxy forbids most changes of an open connection; this one is only ours.
        object.__setattr__(self.flow.server_conn, _ANSWERED, True)
        yield from wait_for_headers(self, event)

    HttpStream.handle_protocol_error = handle_or_send_again  # type: ignore[method-assign]
    HttpStream.state_wait_for_response_headers = note_answer  # type: ignore[method-assign]


def _found_closed(stream: HttpStream, event: RequestProtocolError | ResponseProtocolError) -> bool:
    if (
        not isinstance(event, ResponseProtocolError)
        or event.code is not ErrorCode.GENERIC_SERVER_ERROR
        or stream.server_state != stream.state_wait_for_response_headers
        or stream.client_state != stream.state_done
    ):
        return False
    request = stream.flow.request
    was_used_before = getattr(stream.flow.server_conn, _ANSWERED, False)
    return was_used_before and request.method in _SAFE and not request.raw_content and not request.trailers


def _send_again(stream: HttpStream) -> layer.CommandGenerator[None]:
    ok = yield from stream.make_server_connection()
    if ok:
        yield SendHttp(RequestHeaders(stream.stream_id, stream.flow.request, True), stream.context.server)
        yield SendHttp(RequestEndOfMessage(stream.stream_id), stream.context.server)
