"""Send a request more than once: on a new connection, with another credential, to another provider.

mitmproxy gives up at the first failure. Three things are added:

* A GET that finds its kept connection closed is sent on another one, once. A client that talked to the upstream
  directly would do so by itself (RFC 9110, section 9.2.2); behind us it got a 502. Only requests that may safely be
  sent twice and have no body, and only when not a byte of an answer came on a connection that had been used before.
* A request that was read whole and that its upstream says it has not taken (`http2_endings.py`) is sent on another
  connection, once.
* A flow whose metadata has a `Retries` under RETRIES has been read whole. An answer that it wants to judge is read to
  its end before the client sees any of it; then the hook `ccinspect_attempt_failed` may change the request and set
  AGAIN, and it is sent again; or it sets `flow.response` and ANSWERED. Otherwise the client gets the answer that was
  held, or the error.

These are internals of mitmproxy, as in `fidelity.py`, and must be installed after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpStream, SendHttp
from mitmproxy.proxy.layers.http import _http1 as h1
from mitmproxy.proxy.layers.http import _http2 as h2
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpResponseHeadersHook
from mitmproxy.proxy.layers.http._http3 import Http3Client

from ccinspect.addons.http2_endings import was_refused

Commands = Generator[commands.Command, Any, None]

RETRIES = "ccinspect.retries"
AGAIN = "ccinspect.again"
ANSWERED = "ccinspect.answered"
PROBLEM = "ccinspect.problem"

_ANSWERED = "ccinspect_answered"
_SAFE = ("GET", "HEAD", "OPTIONS")
# What is held of an answer that may be thrown away; a longer one is no error message, and is passed on.
_MAX_HELD = 4 << 20


class Retries(Protocol):
    """Says which answers must not reach the client before they were judged."""

    def holds(self, response: http.Response) -> bool: ...


@dataclass
class AttemptFailedHook(commands.StartHook):
    """An attempt has failed: PROBLEM in the metadata says why, or (where that is None) `flow.response`, whole."""

    name = "ccinspect_attempt_failed"
    flow: http.HTTPFlow


@cache
def install() -> None:
    """Adjust mitmproxy in this process. Idempotent; must run before the first connection."""
    _retry_errors()
    _retry_connecting()
    _hold_answers()
    _allow_second_request()
    _fail_once()


def _retries(stream: HttpStream) -> Retries | None:
    # The flow is there once the request's head has come.
    captured = getattr(stream, "flow", None)
    return captured.metadata.get(RETRIES) if captured is not None else None


def _retry_errors() -> None:
    handle_error = HttpStream.handle_protocol_error

    def handle_or_send_again(self: HttpStream, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        if _is_unanswered(self, event):
            waiting = self.server_state == self.state_wait_for_response_headers
            untouched = _found_closed(self) or (was_refused(event) and self.flow.request.raw_content is not None)
            if waiting and untouched and not getattr(self, "ccinspect_sent_again", False):
                self.ccinspect_sent_again = True  # type: ignore[attr-defined]
                yield from _send(self)
                return
            if _retries(self) is not None and (yield from _settled(self, event.message)):
                return
        yield from handle_error(self, event)

    HttpStream.handle_protocol_error = handle_or_send_again  # type: ignore[method-assign]


def _is_unanswered(stream: HttpStream, event: RequestProtocolError | ResponseProtocolError) -> bool:
    """The request was sent whole, and the connection failed before the client got any of an answer."""
    return (
        isinstance(event, ResponseProtocolError)
        and event.code in (ErrorCode.GENERIC_SERVER_ERROR, ErrorCode.CANCEL)
        and stream.client_state == stream.state_done
        and (
            stream.server_state in (stream.state_wait_for_response_headers, stream.state_consume_response_body)
            or isinstance(stream.server_state, _Held)
        )
    )


def _found_closed(stream: HttpStream) -> bool:
    request = stream.flow.request
    was_used_before = getattr(stream.flow.server_conn, _ANSWERED, False)
    return was_used_before and request.method in _SAFE and not request.raw_content and not request.trailers


def _retry_connecting() -> None:
    make_connection = HttpStream.make_server_connection

    def make_connection_or_another(self: HttpStream) -> Generator[commands.Command, Any, bool]:
        if _retries(self) is None or self.client_state != self.state_done:
            return (yield from make_connection(self))
        request, server = self.flow.request, self.flow.server_conn
        connection, problem = yield GetHttpConnection(
            (request.host, request.port), request.scheme == "https", server.via, server.transport_protocol
        )
        if not problem:
            self.context.server = self.flow.server_conn = connection
            return True
        if not (yield from _settled(self, problem)):
            yield from self.handle_protocol_error(
                ResponseProtocolError(self.stream_id, problem, ErrorCode.CONNECT_FAILED)
            )
        return False

    HttpStream.make_server_connection = make_connection_or_another  # type: ignore[method-assign]


def _hold_answers() -> None:
    wait_for_headers = HttpStream.state_wait_for_response_headers

    def wait_or_hold(self: HttpStream, event: ResponseHeaders) -> Commands:
        # mitmproxy forbids most changes of an open connection; this one is only ours.
        object.__setattr__(self.flow.server_conn, _ANSWERED, True)
        retries = _retries(self)
        if (
            retries is None
            or event.response.status_code < 200
            or self.client_state != self.state_done
            or not retries.holds(event.response)
        ):
            yield from wait_for_headers(self, event)
        else:
            self.server_state = _Held(self, event, wait_for_headers)

    HttpStream.state_wait_for_response_headers = wait_or_hold  # type: ignore[method-assign]


class _Held:
    """State of a stream whose answer is being read, unseen by the client."""

    __name__ = "state_hold_response"

    def __init__(
        self, stream: HttpStream, head: ResponseHeaders, release: Callable[[HttpStream, ResponseHeaders], Commands]
    ) -> None:
        self._stream = stream
        self._head = head
        self._release = release
        self._events: list[events.Event] = []
        self._body = bytearray()

    def __call__(self, event: events.Event) -> layer.CommandGenerator[None]:
        stream = self._stream
        self._events.append(event)
        if isinstance(event, ResponseData):
            self._body += event.data
            if len(self._body) > _MAX_HELD:
                yield from self._let_go()
        elif isinstance(event, ResponseEndOfMessage):
            response = stream.flow.response = self._head.response
            response.data.content = bytes(self._body)
            if not (yield from _settled(stream, None)):
                response.data.content = None
                yield from self._let_go()

    def _let_go(self) -> layer.CommandGenerator[None]:
        stream = self._stream
        stream.server_state = stream.state_wait_for_response_headers
        yield from self._release(stream, self._head)
        for event in self._events:
            yield from stream.server_state(event)


def _settled(stream: HttpStream, problem: str | None) -> Generator[commands.Command, Any, bool]:
    """Ask what to do about a failed attempt; True when that was done and nothing is left to do."""
    stream.flow.metadata[PROBLEM] = problem
    stream.response_body_buf.clear()
    yield AttemptFailedHook(stream.flow)
    if (yield from stream.check_killed(True)):
        return True
    if stream.flow.metadata.pop(ANSWERED, False) and stream.flow.response:
        stream.flow.response.timestamp_start = time.time()
        yield HttpResponseHeadersHook(stream.flow)
        yield from stream.send_response()
        return True
    if not stream.flow.metadata.pop(AGAIN, False):
        return False
    stream.flow.response = None
    yield from _send(stream)
    return True


def _send(stream: HttpStream) -> layer.CommandGenerator[None]:
    """Send the flow's request, all of which is there."""
    stream.server_state = stream.state_wait_for_response_headers
    if not (yield from stream.make_server_connection()):
        return
    request, server = stream.flow.request, stream.context.server
    content, trailers = request.raw_content, request.trailers
    yield SendHttp(RequestHeaders(stream.stream_id, request, not (content or trailers)), server)
    if content:
        yield SendHttp(RequestData(stream.stream_id, content), server)
    if trailers:
        yield SendHttp(RequestTrailers(stream.stream_id, trailers), server)
    yield SendHttp(RequestEndOfMessage(stream.stream_id), server)


def _allow_second_request() -> None:
    for kind in (h2.Http2Client, Http3Client):
        kind._handle_event = _forgetting_first_request(kind._handle_event)  # type: ignore[method-assign]


def _forgetting_first_request(handle_event: Callable[[Any, events.Event], Commands]) -> Callable[..., Commands]:
    def forget_first_request(self: Any, event: events.Event) -> Commands:
        # Each request needs a new stream on the connection, also one for the same stream of the client.
        if isinstance(event, RequestHeaders):
            self.our_stream_id.pop(event.stream_id, None)
        yield from handle_event(self, event)

    return forget_first_request


def _fail_once() -> None:
    handle_event = h1.Http1Client._handle_event

    def handle_until_failure(self: h1.Http1Connection, event: events.Event) -> Commands:
        # A connection with an answer that cannot be parsed is closed, which is told as an error once more; by then it
        # would be taken for the failure of the next attempt.
        for command in handle_event(self, event):
            if isinstance(command, ReceiveHttp) and isinstance(command.event, ResponseProtocolError):
                if getattr(self, "ccinspect_failed", False):
                    continue
                self.ccinspect_failed = True  # type: ignore[attr-defined]
            yield command

    h1.Http1Client._handle_event = handle_until_failure  # type: ignore[method-assign]
