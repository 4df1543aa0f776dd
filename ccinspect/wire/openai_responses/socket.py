"""OpenAI Responses over one WebSocket: many requests and answers, one after another or side by side.

Each client message `response.create` is a request; the server's messages are the same events as in a stream, ended by
`response.completed` and its kin. Side by side they are told apart by `stream_id`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ccinspect.wire.events import StreamEvent
from ccinspect.wire.jsontext import as_object, as_text, parse_event
from ccinspect.wire.model import Request, Response
from ccinspect.wire.openai_responses.decode import decode_request
from ccinspect.wire.openai_responses.stream import ResponsesStream, open_stream
from ccinspect.wire.stream import CloseReason

MAX_EXCHANGES = 10_000


@dataclass(slots=True)
class Exchange:
    """One request of the socket, and its answer as far as it came."""

    request: Request
    stream: ResponsesStream
    stream_id: str
    response: Response | None = None


class ResponsesSocket:
    """Feed both sides' messages in their order. Never raises."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.unmatched = 0
        """Server messages that no request waits for."""
        self._waiting: list[Exchange] = []

    def client_message(self, data: bytes | str) -> Exchange | None:
        """The exchange that this message begins; None for a message that begins none (a steer, not JSON)."""
        body = data.encode("utf-8", "replace") if isinstance(data, str) else data
        request = decode_request(body, "")
        raw = as_object(request.raw)
        if raw.get("type") != "response.create" or len(self.exchanges) >= MAX_EXCHANGES:
            return None
        exchange = Exchange(request, open_stream(), as_text(raw.get("stream_id")))
        self.exchanges.append(exchange)
        self._waiting.append(exchange)
        return exchange

    def server_message(self, data: bytes | str) -> tuple[Exchange | None, list[StreamEvent]]:
        """(the exchange it belongs to, the events it told)."""
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        value, _ = parse_event(text.strip())
        exchange = self._owner(as_text(as_object(value).get("stream_id")))
        if exchange is None:
            self.unmatched += 1
            return None, []
        events = exchange.stream.feed_message(text)
        if exchange.stream.builder.ended or exchange.stream.builder.error is not None:
            exchange.response = exchange.stream.close("eof")
            self._waiting.remove(exchange)
        return exchange, events

    def close(self, reason: CloseReason = "eof") -> list[Exchange]:
        """The exchanges that the end of the socket has cut off, each with what came of its answer."""
        cut, self._waiting = self._waiting, []
        for exchange in cut:
            exchange.response = exchange.stream.close(reason)
        return cut

    def _owner(self, stream_id: str) -> Exchange | None:
        if stream_id:
            return next((exchange for exchange in self._waiting if exchange.stream_id == stream_id), None)
        return self._waiting[0] if self._waiting else None
