"""Make mitmproxy's HTTP transparent: what a peer wrote is what the other one reads.

mitmproxy 12 normalises or refuses some things that are legal on the wire. `install()` adjusts these, and
`tests/fidelity/` compares the bytes with and without us for each:

* Header lines keep their spacing and folding (mitmproxy re-joins them as `Name: value`).
* Request targets in absolute form may hold any byte, and `OPTIONS` without a path means `*` (mitmproxy parses them as
  URLs).
* Trailers pass in both directions (mitmproxy raises NotImplementedError and drops the connection).
* Informational answers (100, 102, 103) pass, and the final answer is still awaited (mitmproxy takes the first for
  final).
* `Expect: 100-continue` reaches the upstream, whose own 100 or refusal reaches the client (mitmproxy answers it itself
  and removes the header). Only for streamed requests: a buffered one has been read already.
* A request of HTTP/2 or HTTP/3 that does not say its length reaches an HTTP/1 upstream in chunks, and an answer an
  HTTP/1.1 client (mitmproxy sends both without any framing: the upstream would take the body for its next request, and
  the client an answer that was cut short for a whole one).
* An empty DATA frame of HTTP/2 is passed over (mitmproxy hands it on as an empty piece, which is the sign of the end).
* An answer that we give to HEAD ourselves has no body (mitmproxy sends it, and the client reads it as its next answer).
* A request whose upstream cannot be reached is read to its end before it is answered with the error, so that its body
  is recorded (mitmproxy gives up a streamed request at once).
* What came of a request that its client gave up is recorded, also where it was read whole (mitmproxy forgets it).

These are internals of mitmproxy; `pyproject.toml` therefore pins its minor version.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any

import h11
from h2.events import InformationalResponseReceived
from h11._readers import ChunkedReader
from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.net.http.http1.read import _read_headers as read_headers
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
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook

Commands = Generator[commands.Command, Any, None]


@cache
def install() -> None:
    """Adjust mitmproxy in this process. Idempotent; must run before the first connection."""
    http1.read_request_head = _keep_target(_keep_lines(http1.read_request_head))  # type: ignore[assignment]
    http1.read_response_head = _keep_lines(http1.read_response_head)  # type: ignore[assignment]
    _pass_trailers(h1.Http1Server, ResponseTrailers, ResponseEndOfMessage)
    _pass_trailers(h1.Http1Client, RequestTrailers, RequestEndOfMessage)
    _receive_trailers()
    _pass_informational()
    _frame_requests()
    _frame_answers()
    _pass_expect()
    _read_before_failing()
    _keep_given_up_bodies()
    _pass_over_empty_pieces()
    _answer_head_without_body()


class VerbatimHeaders(http.Headers):
    """Headers that remember the lines they were read from, for those fields that nobody changed."""

    # A copy that mitmproxy makes of these headers has the defaults, and is written in the normal form.
    lines: Mapping[tuple[bytes, bytes], bytes] = MappingProxyType({})
    block: bytes = b""
    block_fields: tuple[tuple[bytes, bytes], ...] | None = None

    def __bytes__(self) -> bytes:
        if self.fields == self.block_fields:
            return self.block
        return b"".join((self.lines.get(field) or b": ".join(field)) + b"\r\n" for field in self.fields)


def _keep_lines[Message: http.Message](read: Callable[[list[bytes]], Message]) -> Callable[[list[bytes]], Message]:
    def read_head(lines: list[bytes]) -> Message:
        message = read(lines)
        block = b"\r\n".join(lines[1:]) + b"\r\n"
        if len(lines) > 1 and bytes(message.headers) != block:
            message.data.headers = _verbatim(message.headers.fields, lines[1:], block)
        return message

    return read_head


def _keep_target(read: Callable[[list[bytes]], http.Request]) -> Callable[[list[bytes]], http.Request]:
    def read_head(lines: list[bytes]) -> http.Request:
        absolute = _ABSOLUTE_FORM.match(lines[0])
        if absolute is None:
            return read(lines)
        method, origin, path, version = absolute.groups()
        request = read([b"%s %s/ %s" % (method, origin, version), *lines[1:]])
        # RFC 9112, section 3.2.4: the last proxy turns an empty path of OPTIONS into `*`.
        default = b"*" if method == b"OPTIONS" else b"/"
        request.data.path = path if path.startswith(b"/") else b"/" + path if path else default
        return request

    return read_head


_ABSOLUTE_FORM = re.compile(rb"^([^ ]+) ([a-zA-Z][a-zA-Z0-9+.-]*://[^ /?#]+)([^ ]*) ([^ ]+)$")


def _verbatim(fields: tuple[tuple[bytes, bytes], ...], lines: Sequence[bytes], block: bytes) -> VerbatimHeaders:
    headers = VerbatimHeaders(fields)
    whole: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and whole:
            whole[-1] += b"\r\n" + line
        else:
            whole.append(line)
    headers.lines = dict(zip(fields, whole, strict=True))
    headers.block = block
    headers.block_fields = fields
    return headers


class _TrailerReader(ChunkedReader):
    """Reads a chunked body as h11 does, but keeps the trailers as they were written, and out of its last event."""

    def __init__(self) -> None:
        super().__init__()
        self.trailers: http.Headers | None = None

    def __call__(self, buffer: Any) -> Any:
        if not self._reading_trailer:
            return super().__call__(buffer)
        lines = buffer.maybe_extract_lines()
        if lines is None:
            return None
        if lines:
            raw = [bytes(line) for line in lines]
            try:
                fields = read_headers(raw).fields
            except ValueError as error:
                raise h11.RemoteProtocolError(f"invalid trailer: {error}") from error
            self.trailers = _verbatim(fields, raw, b"\r\n".join(raw) + b"\r\n")
        return h11.EndOfMessage()


def _receive_trailers() -> None:
    read_body = h1.Http1Connection.read_body
    make_body_reader = h1.make_body_reader

    def make_reader(expected_size: int | None) -> h1.TBodyReader:
        return _TrailerReader() if expected_size is None else make_body_reader(expected_size)

    def read_body_with_trailers(self: h1.Http1Connection, event: events.Event) -> Commands:
        for command in read_body(self, event):
            # The end of the message comes out of the same call that has just read the trailers.
            if (
                isinstance(command, ReceiveHttp)
                and isinstance(command.event, RequestEndOfMessage | ResponseEndOfMessage)
                and isinstance(self.body_reader, _TrailerReader)
                and self.body_reader.trailers is not None
            ):
                kind = RequestTrailers if isinstance(self, h1.Http1Server) else ResponseTrailers
                yield ReceiveHttp(kind(command.event.stream_id, self.body_reader.trailers))
            yield command

    h1.make_body_reader = make_reader
    h1.Http1Connection.read_body = read_body_with_trailers  # type: ignore[method-assign]


def _pass_trailers(connection: Any, trailers: Any, end: Any) -> None:
    send = connection.send

    def send_with_trailers(self: Any, event: Any) -> Commands:
        if isinstance(event, trailers):
            # Held until the end of the message, where HTTP/1 writes them after the last chunk.
            self.ccinspect_trailers = event.trailers
            return
        held = getattr(self, "ccinspect_trailers", None)
        if not (held and isinstance(event, end)):
            yield from send(self, event)
            return
        self.ccinspect_trailers = None
        for command in send(self, event):
            if isinstance(command, commands.SendData) and command.data == b"0\r\n\r\n":
                command.data = b"0\r\n" + bytes(held) + b"\r\n"
            yield command

    connection.send = send_with_trailers


def _frame_requests() -> None:
    send = h1.Http1Client.send

    def send_framed(self: h1.Http1Client, event: Any) -> Commands:
        if isinstance(event, RequestHeaders) and not event.end_stream:
            request = event.request
            if (request.is_http2 or request.is_http3) and "content-length" not in request.headers:
                request = request.copy()
                request.headers["transfer-encoding"] = "chunked"
                event = replace(event, request=request)
        yield from send(self, event)

    h1.Http1Client.send = send_framed  # type: ignore[method-assign]


def _frame_answers() -> None:
    send = h1.Http1Server.send

    def send_framed(self: h1.Http1Server, event: Any) -> Commands:
        if isinstance(event, ResponseHeaders) and not event.end_stream and self.request is not None:
            response = event.response
            has_body = self.request.method != "HEAD" and response.status_code >= 200
            has_body = has_body and response.status_code not in (204, 304)
            unframed = (response.is_http2 or response.is_http3) and "content-length" not in response.headers
            if unframed and has_body and self.request.http_version == "HTTP/1.1":
                response = response.copy()
                response.headers["transfer-encoding"] = "chunked"
                event = replace(event, response=response)
        yield from send(self, event)

    h1.Http1Server.send = send_framed  # type: ignore[method-assign]


def _is_informational(status: int) -> bool:
    return 100 <= status < 200 and status != 101


def _pass_informational() -> None:
    read_head = h1.Http1Client.read_headers
    handle_h2_event = h2.Http2Client.handle_h2_event
    wait_for_headers = HttpStream.state_wait_for_response_headers

    def read_headers_and_interim(self: h1.Http1Client, event: events.ConnectionEvent) -> Commands:
        while isinstance(event, events.DataReceived) and self.request and _INTERIM.match(bytes(self.buf)[:12]):
            head = self.buf.maybe_extract_lines()
            if head is None:
                return
            response = http1.read_response_head([bytes(line) for line in head])
            assert self.stream_id is not None
            yield ReceiveHttp(ResponseHeaders(self.stream_id, response, False))
        if isinstance(event, events.DataReceived) and self.request and not self.buf:
            return
        yield from read_head(self, event)

    def read_interim(self: h2.Http2Client, event: Any) -> layer.CommandGenerator[bool]:
        if not isinstance(event, InformationalResponseReceived):
            return (yield from handle_h2_event(self, event))
        status, headers = h2.parse_h2_response_headers(event.headers)
        response = http.Response(b"HTTP/2.0", status, b"", headers, None, None, time.time(), None)
        yield ReceiveHttp(ResponseHeaders(event.stream_id, response, False))
        return False

    def relay_interim(self: HttpStream, event: ResponseHeaders) -> Commands:
        if not _is_informational(event.response.status_code):
            yield from wait_for_headers(self, event)
        elif self.flow.request.http_version != "HTTP/1.0":
            # HTTP/1.0 knows no interim answers.
            yield SendHttp(ResponseHeaders(self.stream_id, event.response, False), self.context.client)

    h2.Http2Client.handle_h2_event = read_interim  # type: ignore[method-assign]
    h1.Http1Client.read_headers = read_headers_and_interim  # type: ignore[method-assign]
    HttpStream.state_wait_for_response_headers = relay_interim  # type: ignore[method-assign]


# All but 101, which ends HTTP.
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9]{2}")


def _pass_expect() -> None:
    wait_for_request = HttpStream.state_wait_for_request_headers
    start_stream = HttpStream.start_request_stream

    def hold_expect(self: HttpStream, event: Any) -> layer.CommandGenerator[None]:
        generator = wait_for_request(self, event)
        reply = None
        while True:
            try:
                command = generator.send(reply)
            except StopIteration:
                return
            reply = yield command
            if (
                isinstance(command, HttpRequestHeadersHook)
                and self.flow.request.stream
                and not event.end_stream
                and "expect" in self.flow.request.headers
            ):
                self.ccinspect_headers = self.flow.request.headers  # type: ignore[attr-defined]
                self.flow.request.headers = http.Headers(self.flow.request.headers.fields)
                del self.flow.request.headers["expect"]

    def start_with_expect(self: HttpStream) -> layer.CommandGenerator[None]:
        held = getattr(self, "ccinspect_headers", None)
        if held is not None:
            self.flow.request.headers = held
        yield from start_stream(self)

    HttpStream.state_wait_for_request_headers = hold_expect  # type: ignore[method-assign]
    HttpStream.start_request_stream = start_with_expect  # type: ignore[method-assign]


# A client that uploads more than this to a server that is not there gets its error without being heard out.
_HEARD_OUT_BYTES = 64 << 20


def _read_before_failing() -> None:
    make_connection = HttpStream.make_server_connection

    def make_connection_or_read(self: HttpStream) -> Generator[commands.Command, Any, bool]:
        if self.client_state != self.state_wait_for_request_headers:
            # The body has been read already.
            return (yield from make_connection(self))
        request, server = self.flow.request, self.flow.server_conn
        connection, problem = yield GetHttpConnection(
            (request.host, request.port), request.scheme == "https", server.via, server.transport_protocol
        )
        if not problem:
            self.context.server = self.flow.server_conn = connection
            return True
        error = ResponseProtocolError(self.stream_id, problem, ErrorCode.CONNECT_FAILED)
        self.ccinspect_failing = (error, 0)  # type: ignore[attr-defined]
        return False

    def start_or_read(self: HttpStream) -> layer.CommandGenerator[None]:
        yield from start_stream(self)
        if getattr(self, "ccinspect_failing", None) is not None:

            def reading_before_failing(event: events.Event) -> layer.CommandGenerator[None]:
                return read_rest(self, event)

            self.client_state = reading_before_failing

    def read_rest(self: HttpStream, event: events.Event) -> layer.CommandGenerator[None]:
        error, size = self.ccinspect_failing  # type: ignore[attr-defined]
        if isinstance(event, RequestData):
            size += len(event.data)
            self.ccinspect_failing = (error, size)  # type: ignore[attr-defined]
            if callable(self.flow.request.stream):
                self.flow.request.stream(event.data)
        if isinstance(event, RequestEndOfMessage) or size > _HEARD_OUT_BYTES:
            self.client_state = self.state_done
            yield from self.handle_protocol_error(error)

    start_stream = HttpStream.start_request_stream
    HttpStream.make_server_connection = make_connection_or_read  # type: ignore[method-assign]
    HttpStream.start_request_stream = start_or_read  # type: ignore[method-assign]


def _keep_given_up_bodies() -> None:
    handle_error = HttpStream.handle_protocol_error

    def keep_body(self: HttpStream, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        if isinstance(event, RequestProtocolError) and self.request_body_buf:
            self.flow.request.data.content = bytes(self.request_body_buf)
        yield from handle_error(self, event)

    HttpStream.handle_protocol_error = keep_body  # type: ignore[method-assign]


def _pass_over_empty_pieces() -> None:
    stream_request, stream_response = HttpStream.state_stream_request_body, HttpStream.state_stream_response_body

    def stream_request_pieces(self: HttpStream, event: events.Event) -> Commands:
        if not (isinstance(event, RequestData) and not event.data):
            yield from stream_request(self, event)

    def stream_response_pieces(self: HttpStream, event: events.Event) -> Commands:
        if not (isinstance(event, ResponseData) and not event.data):
            yield from stream_response(self, event)

    HttpStream.state_stream_request_body = stream_request_pieces  # type: ignore[method-assign]
    HttpStream.state_stream_response_body = stream_response_pieces  # type: ignore[method-assign]


def _answer_head_without_body() -> None:
    send_response = HttpStream.send_response

    def send_response_or_head(self: HttpStream, already_streamed: bool = False) -> Commands:
        generator = send_response(self, already_streamed)
        reply = None
        while True:
            try:
                command = generator.send(reply)
            except StopIteration:
                return
            told = isinstance(command, SendHttp) and isinstance(command.event, ResponseData)
            reply = None if told and self.flow.request.method == "HEAD" else (yield command)

    HttpStream.send_response = send_response_or_head  # type: ignore[method-assign]
