"""An HTTP/2 server and client for tests: header lists as they came, answers held back by gates.

Built on the h2 package (mitmproxy brings it) with all its tidying of headers switched off.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import h2.config
import h2.connection
import h2.events
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from ccinspect.demo.answers import Gate
from ccinspect.demo.certificates import Authority

Fields = list[tuple[bytes, bytes]]


def _connection(client_side: bool) -> h2.connection.H2Connection:
    return h2.connection.H2Connection(
        h2.config.H2Configuration(
            client_side=client_side,
            header_encoding=None,
            validate_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_inbound_headers=False,
            normalize_outbound_headers=False,
        )
    )


@dataclass
class Message:
    """A request or an answer: its header lists in the order of the wire."""

    headers: Fields = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: Fields = field(default_factory=list)
    interim: list[Fields] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    """The error code of a RST_STREAM."""


@dataclass(frozen=True)
class GoAway:
    """Take no further streams on this connection than those up to `last` (None: this one); these go on."""

    last: int | None = None
    code: ErrorCodes = ErrorCodes.NO_ERROR


@dataclass(frozen=True)
class ResetStream:
    """End the stream at once; nothing of the reply comes after it."""

    code: ErrorCodes
    behind_end: bool = False
    """The reply has ended in order before it."""


@dataclass(frozen=True)
class Reply:
    """What the server answers. With `early`, it starts when the request's headers have come; without `headers`, it is
    none, and only such pieces are sent as are no body."""

    headers: Sequence[tuple[bytes, bytes]] = ((b":status", b"200"),)
    pieces: Sequence[bytes | Gate | GoAway | ResetStream] = ()
    trailers: Sequence[tuple[bytes, bytes]] = ()
    interim: Sequence[Sequence[tuple[bytes, bytes]]] = ()
    early: bool = False


class Server:
    """Serves HTTP/2 over TLS on loopback from `__enter__` to `__exit__`; each request takes the next reply."""

    def __init__(self, authority: Authority, hosts: Sequence[str], most_streams: int = 100) -> None:
        """`most_streams` may be open at once on a connection, as it tells its clients."""
        self._most_streams = most_streams
        self._context = authority.server_context([*hosts, "localhost"], alpn=["h2"])
        self.requests: list[Message] = []
        self.port = 0
        self._replies: deque[Reply] = deque()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http2-server", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Server:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def answer_with(self, reply: Reply) -> None:
        """Queue a reply; without one a request gets an empty 200."""
        self._replies.append(reply)

    def wait_for(self, count: int, timeout: float = 10) -> list[Message]:
        """Return the requests once `count` of them have ended. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: sum(r.ended for r in self.requests) >= count, timeout):
                raise TimeoutError(f"of {count} requests came: {self.requests}")
            return list(self.requests)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _shut_down(self) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._serve(reader, writer))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _connection(client_side=False)
        most = {SettingCodes.MAX_CONCURRENT_STREAMS: self._most_streams}
        connection.local_settings = Settings(client=False, initial_values=most)
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        streams: dict[int, _Stream] = {}
        try:
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    self._take(event, connection, writer, streams)
                writer.write(connection.data_to_send())
        except OSError:
            pass
        finally:
            writer.close()

    def _take(
        self,
        event: h2.events.Event,
        connection: h2.connection.H2Connection,
        writer: asyncio.StreamWriter,
        streams: dict[int, _Stream],
    ) -> None:
        if isinstance(event, h2.events.RequestReceived):
            stream = streams[event.stream_id] = _Stream()
            with self._changed:
                self.requests.append(stream.request)
            reply = self._replies.popleft() if self._replies else Reply()
            self._start(self._answer(reply, event.stream_id, connection, writer, stream.ended))
        if known := streams.get(getattr(event, "stream_id", 0) or 0):
            absorb(event, known.request, connection)
            if known.request.ended:
                known.ended.set()
            with self._changed:
                self._changed.notify_all()

    async def _answer(
        self,
        reply: Reply,
        stream_id: int,
        connection: h2.connection.H2Connection,
        writer: asyncio.StreamWriter,
        request_ended: asyncio.Event,
    ) -> None:
        if not reply.early:
            await request_ended.wait()
        for interim in reply.interim:
            connection.send_headers(stream_id, list(interim))
            writer.write(connection.data_to_send())
        if reply.headers:
            connection.send_headers(stream_id, list(reply.headers), end_stream=not reply.pieces and not reply.trailers)
        writer.write(connection.data_to_send())
        for piece in reply.pieces:
            if isinstance(piece, Gate):
                piece.mark_reached()
                await asyncio.wrap_future(piece.future)
            elif isinstance(piece, GoAway):
                # By h2's own ways nothing could be sent after it.
                last = stream_id if piece.last is None else piece.last
                writer.write(GoAwayFrame(0, last_stream_id=last, error_code=piece.code).serialize())
            elif isinstance(piece, ResetStream):
                if piece.behind_end:
                    connection.end_stream(stream_id)
                connection.reset_stream(stream_id, piece.code)
                writer.write(connection.data_to_send())
                return
            else:
                connection.send_data(stream_id, piece)
                writer.write(connection.data_to_send())
        if reply.trailers:
            connection.send_headers(stream_id, list(reply.trailers), end_stream=True)
        elif reply.headers and reply.pieces:
            connection.end_stream(stream_id)
        writer.write(connection.data_to_send())


@dataclass
class _Stream:
    request: Message = field(default_factory=Message)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


def absorb(event: h2.events.Event, message: Message, connection: h2.connection.H2Connection) -> None:
    """Add what an event says to a message."""
    match event:
        case h2.events.RequestReceived() | h2.events.ResponseReceived():
            message.headers = list(event.headers)
        case h2.events.InformationalResponseReceived():
            message.interim.append(list(event.headers))
        case h2.events.DataReceived():
            message.body += event.data
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        case h2.events.TrailersReceived():
            message.trailers = list(event.headers)
        case h2.events.StreamEnded():
            message.ended = True
        case h2.events.StreamReset():
            message.reset = int(event.error_code)
            message.ended = True


class Client:
    """A blocking client on one connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        if isinstance(sock, ssl.SSLSocket):
            assert sock.selected_alpn_protocol() == "h2", f"negotiated {sock.selected_alpn_protocol()}"
        self._socket = sock
        self._connection = _connection(client_side=True)
        self._connection.initiate_connection()
        self._streams: dict[int, Message] = {}
        self._flush()

    def send_headers(self, headers: Fields, end: bool = False) -> int:
        """Open a stream; returns its number."""
        stream = self._connection.get_next_available_stream_id()
        self._streams[stream] = Message()
        self._connection.send_headers(stream, headers, end_stream=end)
        self._flush()
        return stream

    def send_data(self, stream: int, data: bytes, end: bool = False) -> None:
        self._connection.send_data(stream, data, end_stream=end)
        self._flush()

    def send_trailers(self, stream: int, trailers: Fields) -> None:
        self._connection.send_headers(stream, trailers, end_stream=True)
        self._flush()

    def send_reset(self, stream: int, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Give a stream up."""
        self._connection.reset_stream(stream, code)
        self._flush()

    def send_goaway(self) -> None:
        """Say that no further streams will be opened; those that are open go on."""
        self._socket.sendall(GoAwayFrame(0, error_code=ErrorCodes.NO_ERROR).serialize())

    def read_until_body(self, stream: int, body: bytes) -> None:
        """Read until the answer's body so far is `body`. Raises AssertionError when it becomes another."""
        while bytes(self._streams[stream].body) != body:
            assert body.startswith(self._streams[stream].body)
            self._read()

    def answer(self, stream: int) -> Message:
        """The whole answer."""
        while not self._streams[stream].ended:
            self._read()
        return self._streams[stream]

    def close(self) -> None:
        self._socket.close()

    def wait_for_reset(self, stream: int) -> int:
        """The error code of the stream's RST_STREAM."""
        while (code := self._streams[stream].reset) is None:
            self._read()
        return code

    def _read(self) -> None:
        data = self._socket.recv(65536)
        assert data, "the connection ended"
        for event in self._connection.receive_data(data):
            if message := self._streams.get(getattr(event, "stream_id", 0) or 0):
                absorb(event, message, self._connection)
        self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._connection.data_to_send())


def wrap(sock: socket.socket, host: str, trust: ssl.SSLContext) -> ssl.SSLSocket:
    """TLS that offers HTTP/2 and nothing else."""
    trust.set_alpn_protocols(["h2"])
    return trust.wrap_socket(sock, server_hostname=host)
