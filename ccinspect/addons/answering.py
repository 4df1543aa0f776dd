"""Brings an answer to a client that speaks another dialect than the upstream: piece by piece, or whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http.client import responses

from mitmproxy import http

from ccinspect.addons.exchange import Exchange
from ccinspect.addons.records import response_record
from ccinspect.pipeline.message import Headers
from ccinspect.transform.response import ResponseTranslator, StreamTranslator
from ccinspect.wire.encoding import StreamDecompressor, decode_body
from ccinspect.wire.model import Diagnostic

# Smaller bodies are translated where they are: handing them to a thread would take longer.
_WORTH_A_THREAD = 32_768


class Answering:
    """The answer to one attempt."""

    def __init__(self, exchange: Exchange, translator: ResponseTranslator, diagnostics: Sequence[Diagnostic]) -> None:
        """`diagnostics` are those of the request."""
        self._exchange = exchange
        self._translator = translator
        self._diagnostics = list(diagnostics)
        self._stream: StreamTranslator | None = None

    def take_head(self, response: http.Response, http_version: str) -> None:
        """The answer has begun: its head becomes the one for a client of this version of HTTP."""
        headers = Headers(response.headers.fields)
        self._exchange.upstream_response = response_record(response)
        if not self._translator.streams(response.status_code, headers):
            self._exchange.reads_response = True
            return
        self._stream = self._translator.stream(response.headers.get("content-type", ""))
        self._exchange.translate = _unpacking(self._stream, response.headers.get("content-encoding", ""))
        head = self._translator.head(headers)
        if http_version == "HTTP/1.1":
            head.set("transfer-encoding", "chunked")
        response.headers = http.Headers(head.fields)

    async def finish(self, response: http.Response) -> list[Diagnostic]:
        """The answer is complete; one that was read whole is translated now. Returns all diagnostics."""
        self._keep_trailers(response)
        if not self._exchange.reads_response:
            return [*self._diagnostics, *(self._stream.diagnostics if self._stream else ())]
        body = self._exchange.upstream_body = response.raw_content or b""
        plain = decode_body(body, response.headers.get("content-encoding", "")).data
        fields = Headers(response.headers.fields)
        told = await off_loop(len(body), self._translator.buffered, response.status_code, fields, plain)
        if response.status_code != told.status:
            response.status_code, response.reason = told.status, responses.get(told.status, "")
        told.headers.set("content-length", str(len(told.body)))
        response.headers = http.Headers(told.headers.fields)
        response.data.content = told.body
        return list(told.diagnostics)

    def _keep_trailers(self, response: http.Response) -> None:
        """They are the upstream's, and come after its body: no headers of the client's answer."""
        if response.trailers and self._exchange.upstream_response is not None:
            self._exchange.upstream_response["trailers"] = response.trailers.fields
        response.trailers = None


async def off_loop[**P, T](size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what takes as long as the body is large, where no other flow waits for it."""
    if size > _WORTH_A_THREAD:
        return await asyncio.to_thread(function, *args, **kwargs)
    return function(*args, **kwargs)


def _unpacking(stream: StreamTranslator, content_encoding: str) -> Callable[[bytes], bytes]:
    unpack = StreamDecompressor(content_encoding) if content_encoding else None

    def translate(piece: bytes) -> bytes:
        if not piece:
            return stream.close()
        return stream.feed(unpack.feed(piece) if unpack else piece)

    return translate
