"""The answer to a translated request, told to the client in its own dialect: whole, or event by event."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ccinspect.pipeline.message import Headers
from ccinspect.transform.answers import failed, status_for
from ccinspect.transform.headers import answer_headers, stream_type
from ccinspect.transform.needs import ClientNeeds
from ccinspect.transform.retelling import Naming, events_of, open_encoder
from ccinspect.wire.codec import Encoded
from ccinspect.wire.events import StreamEvent, StreamFailure, UnknownEvent
from ccinspect.wire.jsontext import dump
from ccinspect.wire.model import ApiError, Diagnostic, ErrorKind, JsonObject, Outcome, Response
from ccinspect.wire.ollama.encode import as_prompted
from ccinspect.wire.ratelimits import parse_rate_limits
from ccinspect.wire.registry import DIALECTS
from ccinspect.wire.sse import encode_event
from ccinspect.wire.stream import CloseReason

_STREAMS = ("text/event-stream", "application/x-ndjson", "application/jsonl", "application/vnd.amazon.eventstream")
_PINGS = {
    "anthropic": encode_event('{"type":"ping"}', "ping"),
    "openai_chat": b": ping\n\n",
    "openai_responses": b": ping\n\n",
}
_MAX_HEAD = 65_536
"""Bytes kept of a stream as long as it has no event: it may be an error in one piece of JSON."""


class TranslatedAnswer(NamedTuple):
    status: int
    headers: Headers
    body: bytes
    diagnostics: tuple[Diagnostic, ...]
    """Those of the request included."""


class ResponseTranslator:
    """Turns one upstream's answer into what its client wants. Pure; not thread-safe."""

    def __init__(self, needs: ClientNeeds, diagnostics: Sequence[Diagnostic] = (), *, now: float, unique: str) -> None:
        """`diagnostics` are the request's, told again in the answer's head. `now` is seconds since the epoch, for
        dialects that say when an answer was made; `unique` is told apart from any other answer's (the flow's id)."""
        self.needs = needs
        self.diagnostics = tuple(diagnostics)
        self._naming = Naming(needs, now, unique)

    def streams(self, status: int, headers: Headers) -> bool:
        """Whether to tell the answer as it comes (`head`, `stream`), or to read it whole (`buffered`)."""
        if not self.needs.stream or not 200 <= status < 300:
            return False
        return _kind_of(headers) in ("", "text/plain", "application/octet-stream", *_STREAMS)

    def head(self, headers: Headers) -> Headers:
        """The head of an answer that is told as it comes."""
        kind = stream_type(self.needs.dialect, self.needs.form)
        return answer_headers(headers, self.needs.dialect, kind, self.diagnostics)

    def stream(self, content_type: str) -> StreamTranslator:
        return StreamTranslator(self.needs, content_type, self._naming)

    def buffered(self, status: int, headers: Headers, body: bytes) -> TranslatedAnswer:
        """A whole answer; `body` without content encoding. A client that asked for a stream gets one."""
        response = self._read(status, headers, body)
        if response.error is not None and not (response.blocks and response.outcome is not Outcome.ERROR):
            return self._error(status, headers, response.error)
        # A stream that ended before it said anything of an answer.
        nothing = response.outcome is Outcome.TRUNCATED and not response.blocks and response.model is None
        if nothing or not 200 <= status < 300 or any(note.severity == "error" for note in response.diagnostics):
            words = f"the provider's answer (HTTP {status}, {len(body)} bytes) is no answer of {self.needs.upstream}"
            return self._error(max(status, 502), headers, ApiError(ErrorKind.SERVER, words))
        if self.needs.kind == "count_tokens":
            return self._count(status, headers, response)
        named = self._naming.response(response)
        kind = "application/json"
        if self.needs.stream:
            encoder = open_encoder(self.needs)
            data = encoder.feed(events_of(named)) + encoder.close()
            notes: Sequence[Diagnostic] = encoder.diagnostics
            kind = stream_type(self.needs.dialect, self.needs.form)
        else:
            encoded = self._encoded(named)
            data, notes = encoded.data(), encoded.diagnostics
        found = (*self.diagnostics, *response.diagnostics, *notes)
        return TranslatedAnswer(status, answer_headers(headers, self.needs.dialect, kind, found), data, found)

    def _read(self, status: int, headers: Headers, body: bytes) -> Response:
        codec = DIALECTS[self.needs.upstream]
        kind = _kind_of(headers)
        if 200 <= status < 300 and (kind in _STREAMS or body[:6] in (b"event:", b"data: ")):
            decoder = codec.open_stream(kind if kind in _STREAMS else "text/event-stream")
            decoder.feed(body)
            return decoder.close()
        return codec.decode_response(body, status)

    def _encoded(self, response: Response) -> Encoded:
        encode = DIALECTS[self.needs.dialect].encode_response
        assert encode is not None
        encoded = encode(response)
        if self.needs.envelope:
            return replace(encoded, body={"response": encoded.body})
        if self.needs.form == "generate":
            return replace(encoded, body=as_prompted(encoded.body))
        return encoded

    def _count(self, status: int, headers: Headers, response: Response) -> TranslatedAnswer:
        if response.count is None:
            words = f"{self.needs.upstream} did not say how many tokens"
            return self._error(502, headers, ApiError(ErrorKind.SERVER, words))
        told = answer_headers(headers, self.needs.dialect, "application/json", self.diagnostics)
        return TranslatedAnswer(status, told, dump(_count_body(self.needs.dialect, response.count)), self.diagnostics)

    def _error(self, status: int, headers: Headers, error: ApiError) -> TranslatedAnswer:
        """The error in the client's words. Its status stays, where the client's own provider has it too."""
        if status < 400 or (status == 529) != (status_for(error.kind, self.needs.dialect) == 529):
            status = status_for(error.kind, self.needs.dialect)
        pairs = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in headers.fields]
        limits = parse_rate_limits(pairs)
        wait = error.retry_after if error.retry_after is not None else limits.retry_after if limits else None
        answer = failed(self.needs.dialect, error.kind, _words(error, status), wait, status)
        told = answer_headers(headers, self.needs.dialect, "application/json", self.diagnostics)
        if wait is not None and "retry-after" not in told:
            told.set("retry-after", str(math.ceil(wait)))
        return TranslatedAnswer(status, told, answer.body, self.diagnostics)


class StreamTranslator:
    """Bytes of the upstream's stream in (without content encoding), bytes of the client's out.

    Holds one event at a time, and what the client's dialect repeats at its end (OpenAI Responses); never raises.
    """

    def __init__(self, needs: ClientNeeds, content_type: str, naming: Naming) -> None:
        self.needs = needs
        self._naming = naming
        self._decoder = DIALECTS[needs.upstream].open_stream(content_type)
        self._decoder.forget_content()
        self._encoder = open_encoder(needs)
        self._head: bytes | None = b""
        self._failed = False
        self._closed = False

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What could not be carried so far."""
        return tuple(self._encoder.diagnostics)

    def feed(self, data: bytes) -> bytes:
        events = self._decoder.feed(data)
        if self._head is not None:
            self._look_at(data, events)
        if not events:
            return b""
        return self._encoder.feed(self._naming.events(self._until_failure(events))) + self._signs_of_life(events)

    def close(self, reason: CloseReason = "eof") -> bytes:
        """The bytes still to be said. Without the upstream's end mark there is none for the client either, so that
        it notices as it would without us. May be called more than once."""
        if self._closed:
            return b""
        self._closed = True
        self._decoder.close(reason)
        events = self._decoder.tail
        if self._head is not None:
            self._look_at(b"", events)
        if self._head:
            events = self._in_one_piece(self._head)
        return self._encoder.feed(self._naming.events(self._until_failure(events))) + self._encoder.close()

    def _until_failure(self, events: Sequence[StreamEvent]) -> Sequence[StreamEvent]:
        """The events up to the first error, the error included: after it no provider says anything more."""
        if self._failed:
            return ()
        for index, event in enumerate(events):
            if isinstance(event, StreamFailure):
                self._failed = True
                return events[: index + 1]
        return events

    def _signs_of_life(self, events: Sequence[StreamEvent]) -> bytes:
        """Pings, for clients that give up a stream on which nothing comes for long."""
        said = b""
        for event in events:
            if isinstance(event, UnknownEvent) and event.name == "ping":
                said += _PINGS.get(self.needs.dialect, b"")
        return said

    def _look_at(self, data: bytes, events: Sequence[StreamEvent]) -> None:
        """Keep the start of the stream until it is known to be one."""
        assert self._head is not None
        if any(not isinstance(event, UnknownEvent) for event in events):
            self._head = None
        else:
            self._head = (self._head + data)[:_MAX_HEAD]

    def _in_one_piece(self, body: bytes) -> list[StreamEvent]:
        """Some servers announce a stream and send an error, or the whole answer, as one piece of JSON."""
        if not body.lstrip().startswith((b"{", b"[")):
            return []
        response = DIALECTS[self.needs.upstream].decode_response(body, 200)
        if response.error is not None:
            return [StreamFailure(response.error)]
        return events_of(response) if response.blocks else []


def _kind_of(headers: Headers) -> str:
    return (headers.get("content-type") or "").partition(";")[0].strip().lower()


def _words(error: ApiError, status: int) -> str:
    """The error's message; a page of HTML has none."""
    return error.message or f"HTTP {status}"


def _count_body(dialect: str, count: int) -> JsonObject:
    if dialect == "gemini":
        return {"totalTokens": count}
    if dialect == "openai_responses":
        return {"object": "response.input_tokens", "input_tokens": count}
    return {"input_tokens": count}
