"""Pass on how streams and connections of HTTP/2 end: what goes on at one peer goes on at the other.

* A GOAWAY without an error ends nothing that has begun (RFC 9113, section 6.8): a server that restarts says so while
  its answers still stream. mitmproxy cuts them off. Such a connection only gets no further requests, and is closed when
  the last of its streams has ended.
* A request that the server has not taken, as it says so or refuses the stream, is refused the client too, who may send
  it again whatever it asks for (section 8.7); a client of HTTP/1 is told so.
* A stream is reset with the code that the other peer gave: `NO_ERROR` behind a whole answer says that the rest of the
  request is not wanted (section 8.1), and is no failure.
* An answer that is complete before its request is ends at once; mitmproxy tells the client of its end when the request
  has ended, for which a client may wait in vain.

These are internals of mitmproxy, as in `fidelity.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import cache
from typing import Any

from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamReset
from hyperframe.frame import Frame, GoAwayFrame
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpStream, SendHttp
from mitmproxy.proxy.layers.http import _http2 as h2
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestEndOfMessage,
    RequestProtocolError,
    ResponseEndOfMessage,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http3 import Http3Client
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection

Commands = Generator[commands.Command, Any, None]

_LEAVING = "ccinspect_leaving"
_CODE = "ccinspect_code"
_CLOSED = "peer closed connection"
_NOT_TAKEN = "the upstream is ending its HTTP/2 connection and did not take this request; send it again"


@cache
def install() -> None:
    """Adjust mitmproxy in this process. Idempotent; must run before the first connection."""
    _read_goaway()
    _let_streams_end()
    _pass_codes()
    _name_who_ended()
    _end_early_answers()


def _read_goaway() -> None:
    receive = BufferedH2Connection._receive_goaway_frame

    def receive_goaway(self: BufferedH2Connection, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        if frame.error_code != ErrorCodes.NO_ERROR:
            return receive(self, frame)
        # h2 would take no further frame on this connection.
        told = ConnectionTerminated()
        told.error_code, told.last_stream_id = ErrorCodes.NO_ERROR, frame.last_stream_id
        return [], [told]

    BufferedH2Connection._receive_goaway_frame = receive_goaway  # type: ignore[assignment, method-assign]


def _let_streams_end() -> None:
    handle_h2_event, handle_event = h2.Http2Connection.handle_h2_event, h2.Http2Client._handle_event
    matches = GetHttpConnection.connection_spec_matches

    def handle_goaway(self: h2.Http2Connection, event: Event) -> layer.CommandGenerator[bool]:
        if not (isinstance(event, ConnectionTerminated) and event.error_code == ErrorCodes.NO_ERROR):
            return (yield from handle_h2_event(self, event))
        # A client that says so opens no further streams; those that it has opened are served.
        if isinstance(self, h2.Http2Client):
            # mitmproxy forbids most changes of an open connection; this one is only ours.
            object.__setattr__(self.conn, _LEAVING, True)
            yield from _fail_not_taken(self, event.last_stream_id or 0)
        return False

    def handle_until_last_stream(self: h2.Http2Client, event: events.Event) -> Commands:
        if isinstance(event, RequestProtocolError) and event.stream_id in self.stream_queue:
            # It waited for a free place among the open ones; mitmproxy would open it, and reset it then.
            del self.stream_queue[event.stream_id]
            return
        yield from handle_event(self, event)
        if getattr(self.conn, _LEAVING, False) and self.conn.connected and not self.h2_conn.open_outbound_streams:
            # Of streams that ended on both sides, mitmproxy keeps those that we ended last.
            self.streams.clear()
            yield from self.close_connection("the upstream ended the connection")

    def matches_and_stays(self: GetHttpConnection, connection: Connection) -> bool:
        return not getattr(connection, _LEAVING, False) and matches(self, connection)

    h2.Http2Connection.handle_h2_event = handle_goaway  # type: ignore[method-assign]
    h2.Http2Client._handle_event = handle_until_last_stream  # type: ignore[method-assign]
    GetHttpConnection.connection_spec_matches = matches_and_stays  # type: ignore[method-assign]


def _fail_not_taken(connection: h2.Http2Client, last: int) -> Commands:
    """Fail the streams after `last`, and those that wait for a free place among the open ones."""
    lost = [stream for stream in connection.streams if stream > last]
    for stream in lost:
        del connection.streams[stream]
        if not connection.is_closed(stream):
            connection.h2_conn.reset_stream(stream, ErrorCodes.CANCEL)
    for waiting in connection.stream_queue:
        # They have no number of this connection yet, under which a stream is told of what came.
        number = connection.h2_conn.get_next_available_stream_id() + 2 * len(lost)
        connection.their_stream_id[number] = waiting
        lost.append(number)
    connection.stream_queue.clear()
    for stream in lost:
        error = ResponseProtocolError(stream, _NOT_TAKEN, ErrorCode.GENERIC_SERVER_ERROR)
        setattr(error, _CODE, ErrorCodes.REFUSED_STREAM)
        yield ReceiveHttp(error)


def was_refused(event: events.Event) -> bool:
    """Whether the upstream says that it has not done anything of a request, whatever that asks for."""
    return getattr(event, _CODE, None) == ErrorCodes.REFUSED_STREAM


def refuses(stream: HttpStream, event: events.Event) -> bool:
    """Whether a client of HTTP/2 is told that its request was not taken, and sends it again by itself."""
    return was_refused(event) and stream.flow.request.is_http2


def _pass_codes() -> None:
    handle_h2_event, handle_event = h2.Http2Connection.handle_h2_event, h2.Http2Connection._handle_event

    def keep_code(self: h2.Http2Connection, event: Event) -> layer.CommandGenerator[bool]:
        if not isinstance(event, StreamReset):
            return (yield from handle_h2_event(self, event))
        opened = self.their_stream_id if isinstance(self, h2.Http2Client) else ()
        if event.stream_id in opened and event.stream_id not in _asked(self):
            # mitmproxy forgets a stream at the end of its answer, when the reset has come along with that.
            self.streams.setdefault(event.stream_id, h2.StreamState.HEADERS_RECEIVED)
        for command in handle_h2_event(self, event):
            if isinstance(command, ReceiveHttp):
                setattr(command.event, _CODE, event.error_code)
            yield command
        return False

    def reset_with_code(self: h2.Http2Connection, event: events.Event) -> Commands:
        if isinstance(event, RequestEndOfMessage):
            _asked(self).add(event.stream_id)
        code = getattr(event, _CODE, None)
        if code is not None and isinstance(event, HttpEvent) and _is_resettable(self, event):
            self.h2_conn.reset_stream(event.stream_id, code)
            yield commands.SendData(self.conn, self.h2_conn.data_to_send())
        else:
            yield from handle_event(self, event)

    h2.Http2Connection.handle_h2_event = keep_code  # type: ignore[method-assign]
    h2.Http2Connection._handle_event = reset_with_code  # type: ignore[method-assign]


def _asked(connection: h2.Http2Connection) -> set[int]:
    """Streams to an upstream whose requests have ended: none is told that the rest is not wanted."""
    found: set[int] = connection.__dict__.setdefault("ccinspect_asked", set())
    return found


def _is_resettable(connection: h2.Http2Connection, event: HttpEvent) -> bool:
    """Whether it is the stream that ends; a client without an answer gets an error page where it was not refused."""
    if connection.is_closed(event.stream_id):
        return False
    if getattr(event, _CODE) == ErrorCodes.REFUSED_STREAM:
        return True
    began = connection.h2_conn.streams[event.stream_id].state_machine.headers_sent
    return isinstance(event, RequestProtocolError) or bool(began)


def _name_who_ended() -> None:
    for kind in (h2.Http2Client, Http3Client, h2.Http2Server):
        kind._handle_event = _naming_who_ended(kind._handle_event)  # type: ignore[method-assign]


def _naming_who_ended(handle_event: Callable[[Any, events.Event], Commands]) -> Callable[..., Commands]:
    """mitmproxy has the same words for both sides; in HTTP/1 it has these."""

    def handle_named(self: Any, event: events.Event) -> Commands:
        for command in handle_event(self, event):
            ended = command.event if isinstance(command, ReceiveHttp) else None
            if isinstance(ended, ResponseProtocolError):
                told = ended.message.replace("by client", "by the upstream", 1)
                ended.message = "server closed connection" if told == _CLOSED else told
            elif isinstance(ended, RequestProtocolError) and ended.message == _CLOSED:
                ended.message, ended.code = "Client disconnected.", ErrorCode.CLIENT_DISCONNECTED
            yield command

    return handle_named


def _end_early_answers() -> None:
    send_response, flow_done = HttpStream.send_response, HttpStream.flow_done
    handle_error = HttpStream.handle_protocol_error

    def send_and_end(self: HttpStream, already_streamed: bool = False) -> Commands:
        yield from send_response(self, already_streamed)
        if self.server_state == self.state_done and self.client_state == self.state_stream_request_body:
            self.ccinspect_ended = True  # type: ignore[attr-defined]
            yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def done_once(self: HttpStream) -> layer.CommandGenerator[None]:
        if not getattr(self, "ccinspect_ended", False):
            yield from flow_done(self)
            return
        for command in flow_done(self):
            if not (isinstance(command, SendHttp) and isinstance(command.event, ResponseEndOfMessage)):
                yield command

    def give_up_rest(self: HttpStream, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        answered = self.server_state == self.state_done and self.client_state == self.state_stream_request_body
        if answered and isinstance(event, RequestProtocolError):
            # The upstream still waits for the rest of the request.
            yield SendHttp(event, self.context.server)
        yield from handle_error(self, event)

    HttpStream.handle_protocol_error = give_up_rest  # type: ignore[method-assign]
    HttpStream.send_response = send_and_end  # type: ignore[method-assign]
    HttpStream.flow_done = done_once  # type: ignore[method-assign]
