"""From a stored flow to the model calls in it: who it was with, and what was said, as `wire.model` has it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ccinspect.analysis import parties
from ccinspect.analysis.declared import read_answer, read_request
from ccinspect.analysis.parties import HeaderList
from ccinspect.identity.declarative import Declarations
from ccinspect.identity.lookalike import MAX_SCAN
from ccinspect.identity.providers import ProviderMatch, Providers
from ccinspect.store.query import StoreReader
from ccinspect.store.record import Record, part
from ccinspect.wire.encoding import StreamDecompressor
from ccinspect.wire.model import Outcome, Request, Response
from ccinspect.wire.openai_responses.socket import Exchange as SocketExchange
from ccinspect.wire.openai_responses.socket import ResponsesSocket
from ccinspect.wire.registry import DIALECTS
from ccinspect.wire.stream import CloseReason, StreamDecoder

MAX_BODY = 64_000_000
"""Bytes of a body, without its content encoding, that are read."""
EXPRESSIONS = "expressions"
"""The dialect of calls read by the expressions of `providers.NAME`."""

_STREAMS = ("text/event-stream", "application/x-ndjson", "application/jsonl", "application/vnd.amazon.eventstream")
_KEPT_FLOWS = 4


@dataclass(frozen=True, slots=True)
class Spoken:
    """One model call of a flow."""

    position: int
    """0; in a WebSocket 1, 2, ..."""
    dialect: str
    request: Request
    response: Response | None
    started_at: float
    ended_at: float | None
    first_byte_at: float | None
    outcome: str | None
    readable: bool = True
    note: str | None = None


@dataclass(frozen=True, slots=True)
class FlowReading:
    match: ProviderMatch | None
    request_headers: HeaderList
    response_headers: HeaderList
    calls: tuple[Spoken, ...] = ()


class FlowReader:
    """Reads flows of one store. Keeps the newest few, for calls that name another one of the same WebSocket."""

    def __init__(self, store: StoreReader, providers: Providers, declarations: Declarations) -> None:
        self._store = store
        self._providers = providers
        self._declarations = declarations
        self._kept: OrderedDict[str, FlowReading] = OrderedDict()

    def read(self, record: Record) -> FlowReading:
        """What a stored HTTP flow says. Raises FlowNotFound when it is removed meanwhile."""
        known = self._kept.get(record["id"])
        if known is None:
            known = self._kept[record["id"]] = self._read(record)
            while len(self._kept) > _KEPT_FLOWS:
                self._kept.popitem(last=False)
        return known

    def forget(self) -> None:
        """Let go of the content of the flows read so far."""
        self._kept.clear()

    def _read(self, record: Record) -> FlowReading:
        sent = parties.header_list(part(record, "request"))
        answered = parties.header_list(part(record, "response"))
        match = parties.match_address(record, self._providers, sent) or self._by_shape(record, sent)
        reading = FlowReading(match, sent, answered)
        if match is None or not match.is_call:
            return reading
        return replace(reading, calls=tuple(self._calls(record, match, reading)))

    def _by_shape(self, record: Record, sent: HeaderList) -> ProviderMatch | None:
        """For a host in no table: whether the beginning of the body looks like a model call."""
        host, port, path, method = parties.address_of(record)
        if method != "POST" or not _stored(record, "request"):
            return None
        start = self._body(record["id"], "request", sent, MAX_SCAN)[0]
        return self._providers.identify(host, path, port=port, method=method, headers=sent, body=start)

    def _calls(self, record: Record, match: ProviderMatch, reading: FlowReading) -> Iterator[Spoken]:
        if match.opaque:
            yield _unread(record, "", "nobody knows how to read this provider's calls")
        elif _is_socket(record, reading):
            yield from self._socket_calls(record, match.dialect or "")
        elif _body_state(record, "request") in ("none", "lost"):
            yield self._metadata(record, match, "its content was not kept")
        elif match.declared:
            yield self._declared(record, match, reading)
        else:
            yield self._call(record, match.dialect or "", reading)

    def _metadata(self, record: Record, match: ProviderMatch, note: str) -> Spoken:
        """What path and status tell."""
        if match.dialect is None:
            return _unread(record, EXPRESSIONS, note)
        path = parties.address_of(record)[2]
        # Some dialects say model and kind in the path.
        asked = DIALECTS[match.dialect].decode_request(b"{}", path)
        return replace(_unread(record, match.dialect, note), request=asked)

    def _call(self, record: Record, dialect: str, reading: FlowReading) -> Spoken:
        codec, path = DIALECTS[dialect], parties.address_of(record)[2]
        body, problem = self._body(record["id"], "request", reading.request_headers, MAX_BODY)
        if problem is not None and len(body) >= MAX_BODY:
            known = replace(codec.decode_request(b"{}", path), dialect=dialect)
            return replace(_unread(record, dialect, f"the request is larger than {MAX_BODY} bytes"), request=known)
        request = codec.decode_request(body, path)
        notes = [f"the request's content encoding: {problem}"] if problem else []
        notes += [note.message for note in request.diagnostics if note.severity == "error"][:1]
        response = None
        status = part(record, "response").get("status_code")
        if isinstance(status, int):
            kind = parties.header(reading.response_headers, b"content-type").lower()
            if _is_stream(request, kind, status):
                response = self._streamed(record, reading, codec.open_stream(kind))
            else:
                data, problem = self._body(record["id"], "response", reading.response_headers, MAX_BODY)
                response = _buffered(codec.decode_response(data, status), record, data, problem)
        return _spoken(record, dialect, request, response, "; ".join(notes) or None)

    def _streamed(self, record: Record, reading: FlowReading, decoder: StreamDecoder) -> Response:
        for piece in self._pieces(record["id"], "response", reading.response_headers):
            decoder.feed(piece)
        return decoder.close(_close_reason(record))

    def _declared(self, record: Record, match: ProviderMatch, reading: FlowReading) -> Spoken:
        reader = self._declarations.get(match.provider)
        if reader is None:
            return _unread(record, EXPRESSIONS, "no expressions are declared for this provider any more")
        body, _ = self._body(record["id"], "request", reading.request_headers, MAX_BODY)
        request, notes = read_request(reader, body)
        response = None
        status = part(record, "response").get("status_code")
        if isinstance(status, int):
            data, problem = self._body(record["id"], "response", reading.response_headers, MAX_BODY)
            kind = parties.header(reading.response_headers, b"content-type")
            response, more = read_answer(reader, data, kind, status, _cut(record, problem))
            notes += more
        return _spoken(record, EXPRESSIONS, request, response, "; ".join(notes[:3]) or None)

    def _socket_calls(self, record: Record, dialect: str) -> Iterator[Spoken]:
        times: dict[int, _Times] = {}
        socket = ResponsesSocket()
        missing = False
        for message in self._store.messages(record["id"]):
            content, at = message["content"], message["timestamp"]
            if content is None:
                missing = missing or message["size"] > 0
                continue
            if message["from_client"]:
                if (begun := socket.client_message(content)) is not None:
                    times[id(begun)] = _Times(at)
            else:
                exchange, _ = socket.server_message(content)
                if exchange is not None:
                    times[id(exchange)].answered(at)
        if missing and not socket.exchanges:
            yield _unread(record, dialect, "its content was not kept")
        socket.close(_close_reason(record))
        for position, exchange in enumerate(socket.exchanges, 1):
            yield _from_socket(position, dialect, exchange, times[id(exchange)])

    def _body(self, flow: str, role: str, headers: HeaderList, limit: int) -> tuple[bytes, str | None]:
        """(the first `limit` bytes of a body without its content encoding, what is wrong with it)."""
        decompressor = StreamDecompressor(parties.header(headers, b"content-encoding"), limit)
        out: list[bytes] = []
        for piece in self._store.stream_body(flow, role) or ():
            out.append(decompressor.feed(piece))
            if decompressor.problem:
                break
        decompressor.close()
        return b"".join(out), decompressor.problem

    def _pieces(self, flow: str, role: str, headers: HeaderList) -> Iterator[bytes]:
        decompressor = StreamDecompressor(parties.header(headers, b"content-encoding"), MAX_BODY)
        for piece in self._store.stream_body(flow, role) or ():
            yield decompressor.feed(piece)
            if decompressor.problem:
                return


@dataclass(slots=True)
class _Times:
    started: float
    first: float | None = field(default=None)
    last: float | None = field(default=None)

    def answered(self, at: float) -> None:
        self.first = at if self.first is None else self.first
        self.last = at


def _from_socket(position: int, dialect: str, exchange: SocketExchange, times: _Times) -> Spoken:
    # One that was never answered is known by its request alone.
    response = exchange.response if times.last is not None else None
    outcome = exchange.response.outcome.value if exchange.response else None
    return Spoken(position, dialect, exchange.request, response, times.started, times.last, times.first, outcome)


def _is_socket(record: Record, reading: FlowReading) -> bool:
    switched = part(record, "response").get("status_code") == 101
    extended = parties.address_of(record)[3] == "CONNECT"
    return switched or extended or parties.header(reading.request_headers, b"upgrade").lower() == "websocket"


def _body_state(record: Record, side: str) -> str | None:
    state = part(record, side).get("contentState")
    return state if isinstance(state, str) else None


def _stored(record: Record, side: str) -> bool:
    return _body_state(record, side) == "stored"


def _is_stream(request: Request, content_type: str, status: int) -> bool:
    """Whether an answer is told in events: by its content type, or where that says nothing, because it was asked for.

    Gemini streams one JSON array, and Ollama's lines are often called plain JSON.
    """
    kind = content_type.partition(";")[0].strip()
    if kind in _STREAMS:
        return True
    if status >= 400 or not request.stream:
        return False
    return request.dialect in ("gemini", "ollama", "amazon_q") or kind in ("", "text/plain", "application/octet-stream")


def _close_reason(record: Record) -> CloseReason:
    error = part(record, "error").get("msg")
    if not error:
        return "eof"
    # How mitmproxy and our inspector say that it was the client who hung up.
    lowered = str(error).lower()
    by_client = "client" in lowered or "connection closed before the flow" in lowered
    return "client_disconnected" if by_client else "upstream_reset"


_CUT_OUTCOMES = {
    "eof": Outcome.TRUNCATED,
    "client_disconnected": Outcome.CLIENT_DISCONNECTED,
    "upstream_reset": Outcome.UPSTREAM_RESET,
}


def _cut(record: Record, problem: str | None) -> Outcome | None:
    """How the body was cut off; None when it came to its end."""
    reason = _close_reason(record)
    return None if reason == "eof" and problem is None else _CUT_OUTCOMES[reason]


def _buffered(response: Response, record: Record, data: bytes, problem: str | None) -> Response:
    cut = _cut(record, problem)
    broken = any(note.severity == "error" for note in response.diagnostics) and bool(data)
    if response.outcome is Outcome.COMPLETE and (cut or broken):
        return replace(response, outcome=cut or Outcome.TRUNCATED)
    return response


def _spoken(record: Record, dialect: str, request: Request, response: Response | None, note: str | None) -> Spoken:
    timing = part(record, "timing")
    if response is not None:
        outcome: str | None = response.outcome.value
    else:
        outcome = None if record["state"] == "interrupted" else _CUT_OUTCOMES[_close_reason(record)].value
    return Spoken(
        0,
        dialect,
        request,
        response,
        float(timing.get("started_at") or 0.0),
        timing.get("ended_at"),
        timing.get("first_byte_at"),
        outcome,
        note=note,
    )


def _unread(record: Record, dialect: str, note: str) -> Spoken:
    """A call of which only metadata is known."""
    spoken = _spoken(record, dialect, Request(dialect), None, note)
    status = part(record, "response").get("status_code")
    outcome = spoken.outcome
    if isinstance(status, int):
        outcome = Outcome.ERROR.value if status >= 400 else (_cut(record, None) or Outcome.COMPLETE).value
    return replace(spoken, outcome=outcome, readable=False)
