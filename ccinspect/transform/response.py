"""The answer on its way back: told in the client's dialect, whole or piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ccinspect.pipeline.message import Headers
from ccinspect.transform.diagnostics import HEADER, as_records, header_value
from ccinspect.transform.request import ClientNeeds
from ccinspect.transform.retelling import events_of
from ccinspect.wire.apierror import STATUS
from ccinspect.wire.codec import StreamEncoder
from ccinspect.wire.encoding import StreamDecompressor, decode_body
from ccinspect.wire.gemini import GeminiEncoder
from ccinspect.wire.jsontext import dump, dump_line, parse_event
from ccinspect.wire.model import ApiError, Diagnostic, ErrorKind, Json, Outcome, Response
from ccinspect.wire.openai_chat import ChatEncoder
from ccinspect.wire.ratelimits import parse_rate_limits
from ccinspect.wire.registry import DIALECTS
from ccinspect.wire.sse import SseDecoder

# Of the answer as it was; everything else goes on.
_REPLACED = (
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "trailer",
    "content-md5",
    HEADER,
)
_OVERLOADED = 529
"""Anthropic's own status; to all others an overloaded provider is 503."""


class ResponseTranslator:
    """Makes the client's answer of the upstream's, for one request."""

    def __init__(self, needs: ClientNeeds, upstream_dialect: str, diagnostics: Iterable[Diagnostic] = ()) -> None:
        self.needs = needs
        self.upstream_dialect = upstream_dialect
        self.diagnostics: list[Diagnostic] = list(diagnostics)
        """Of the request, and then of the answer as far as it has been translated."""

    def streams(self, status: int, content_type: str) -> bool:
        """Whether the client gets this answer piece by piece."""
        return status < 300 and self.needs.stream and _is_stream(content_type)

    def head(self, status: int, headers: Headers) -> Headers:
        """The headers of an answer that is told piece by piece."""
        return self._headers(headers, _content_type(self.needs) if status < 300 else "application/json")

    def stream(self, content_type: str, content_encoding: str = "") -> StreamTranslator:
        return StreamTranslator(self, content_type, content_encoding)

    def whole(self, status: int, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        """(status, headers, body) for the client, of an answer that was read to its end."""
        content_type = headers.get("content-type") or ""
        plain = decode_body(body, headers.get("content-encoding") or "").data
        codec = DIALECTS[self.upstream_dialect]
        if status < 300 and _is_stream(content_type):
            # Some providers stream whatever was asked for.
            decoder = codec.open_stream(content_type)
            decoder.feed(plain)
            response = decoder.close()
        else:
            response = codec.decode_response(plain, status)
        self.diagnostics += response.diagnostics
        if response.error is not None or status >= 300:
            return self._error(status, headers, response, plain)
        if self.needs.stream:
            encoder = self.open_encoder()
            data = encoder.feed(events_of(response)) + encoder.close()
            self.diagnostics += encoder.diagnostics
            return status, self._headers(headers, _content_type(self.needs)), data
        encode = DIALECTS[self.needs.dialect].encode_response
        assert encode is not None
        encoded = encode(response)
        self.diagnostics += encoded.diagnostics
        value: Json = {"response": encoded.body} if self.needs.envelope else encoded.body
        return status, self._headers(headers, "application/json"), dump(value)

    def open_encoder(self) -> StreamEncoder:
        """What tells events to this client."""
        source, needs = self.upstream_dialect, self.needs
        if needs.dialect == "openai_chat":
            return ChatEncoder(source, needs.include_usage)
        if needs.dialect == "gemini":
            encoder: StreamEncoder = GeminiEncoder(source, array=needs.array and not needs.envelope)
            return _Enveloped(encoder) if needs.envelope else encoder
        make = DIALECTS[needs.dialect].open_encoder
        assert make is not None
        return make(source)

    def _error(self, status: int, headers: Headers, response: Response, body: bytes) -> tuple[int, Headers, bytes]:
        error = response.error or ApiError(ErrorKind.SERVER, body.decode("utf-8", "replace")[:2_000])
        limits = parse_rate_limits([(name, headers.get(name) or "") for name in headers])
        if error.retry_after is None and limits is not None and limits.retry_after is not None:
            error = replace(error, retry_after=limits.retry_after)
        status = status if status >= 400 else error.status or STATUS[error.kind]
        told, _, data = failed(self.needs.dialect, error.kind, error.message, error.retry_after, status)
        return told, self._headers(headers, "application/json"), data

    def _headers(self, headers: Headers, content_type: str) -> Headers:
        kept = Headers(headers.fields)
        kept.remove(*_REPLACED)
        kept.set("content-type", content_type)
        if (value := header_value(as_records(self.diagnostics))) is not None:
            kept.set(HEADER, value)
        return kept


class StreamTranslator:
    """Feed it the upstream's bytes, get the client's; feed it an empty piece at the end. Never raises.

    What it keeps of the answer is what the dialect repeats at its end (the text of each block).
    """

    def __init__(self, translator: ResponseTranslator, content_type: str, content_encoding: str) -> None:
        self._translator = translator
        self._unpack = StreamDecompressor(content_encoding) if content_encoding else None
        self._decoder = DIALECTS[translator.upstream_dialect].open_stream(content_type)
        self._encoder = translator.open_encoder()
        self._closed = False

    def __call__(self, chunk: bytes) -> bytes:
        if not chunk:
            return self._close()
        plain = self._unpack.feed(chunk) if self._unpack else chunk
        events = self._decoder.feed(plain)
        return self._encoder.feed(events) if events else b""

    def _close(self) -> bytes:
        if self._closed:
            return b""
        self._closed = True
        response = self._decoder.close("eof")
        said = self._encoder.feed(self._decoder.tail)
        if response.outcome in (Outcome.COMPLETE, Outcome.ERROR):
            said += self._encoder.close()
        self._translator.diagnostics += [*response.diagnostics, *self._encoder.diagnostics]
        return said


class _Enveloped:
    """A Gemini stream in Code Assist's envelope."""

    def __init__(self, encoder: StreamEncoder) -> None:
        self._encoder = encoder
        self._sse = SseDecoder()

    @property
    def diagnostics(self) -> Any:
        return self._encoder.diagnostics

    def feed(self, events: Any) -> bytes:
        return self._wrap(self._encoder.feed(events))

    def close(self) -> bytes:
        return self._wrap(self._encoder.close())

    def _wrap(self, data: bytes) -> bytes:
        out = []
        for event in self._sse.feed(data):
            value, _ = parse_event(event.data)
            out.append(f"data: {dump_line({'response': value})}\r\n\r\n".encode())
        return b"".join(out)


def failed(
    dialect: str | None, kind: ErrorKind, message: str, retry_after: float | None = None, status: int | None = None
) -> tuple[int, Headers, bytes]:
    """(status, headers, body) of an error in a dialect; for None in the form that most clients can read."""
    status = status or STATUS[kind]
    if kind is ErrorKind.OVERLOADED and status in (503, _OVERLOADED):
        status = _OVERLOADED if dialect == "anthropic" else 503
    error = ApiError(kind, message, status=status, retry_after=retry_after)
    encode = DIALECTS[dialect].encode_error if dialect in DIALECTS else None
    if encode is not None:
        body: Json = encode(error).body
    else:
        body = {"error": {"message": message, "type": f"{kind}_error", "code": None}}
    headers = Headers([(b"content-type", b"application/json")])
    if retry_after is not None:
        headers.add("retry-after", f"{max(0, round(retry_after))}")
    return status, headers, dump(body) + b"\n"


def _is_stream(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in ("text/event-stream", "application/x-ndjson", "application/jsonl")


def _content_type(needs: ClientNeeds) -> str:
    if needs.dialect == "ollama":
        return "application/x-ndjson"
    if needs.dialect == "gemini" and needs.array and not needs.envelope:
        return "application/json"
    return "text/event-stream; charset=utf-8"
