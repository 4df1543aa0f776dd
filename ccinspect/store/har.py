"""Export as HAR 1.2, written as it is read: neither the archive nor a body is ever whole in memory.

One page per HTTP flow, its id the flow's. Entry 2i is the request as forwarded with the response as it came from
upstream, entry 2i+1 the client's own request with the response that the client got. Other flows have no form in HAR;
they are counted.
"""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from ccinspect import __version__
from ccinspect.errors import FlowNotFound, StoreUnavailable
from ccinspect.store import har_entry
from ccinspect.store.decode import DecodedStream
from ccinspect.store.query import StoreReader
from ccinspect.store.record import Record, part

# A compressed body can claim to be of any size.
MAX_BODY = 1 << 30
_FORM = "application/x-www-form-urlencoded"

Json = dict[str, Any]


@dataclass(frozen=True)
class HarSummary:
    """What was written: `pages` flows, and `left_out` flows that are no HTTP."""

    pages: int
    left_out: int


def write_har(out: BinaryIO, records: Iterable[Record], store: StoreReader) -> HarSummary:
    """Write an archive of `records` to `out`; bodies and messages are taken from `store` by the records' ids.

    Raises OSError when `out` does.
    """
    head = {"version": "1.2", "creator": {"name": "ccinspect", "version": __version__}}
    out.write(b'{"log":' + _dump(head)[:-1] + b',"entries":[')
    pages: list[bytes] = []
    left_out = 0
    for record in records:
        if record.get("type") != "http":
            left_out += 1
            continue
        for number, made in enumerate(_entries(record, store)):
            out.write(b",\n" if pages or number else b"\n")
            for piece in _encode(made):
                out.write(piece)
        pages.append(_dump(har_entry.page(record)))
    # The pages come last: only then are they known, and a JSON object has no order.
    out.write(b'\n],"pages":[\n' + b",\n".join(pages) + b"\n]}}\n")
    return HarSummary(len(pages), left_out)


def _entries(record: Record, store: StoreReader) -> Iterator[Json]:
    """The forwarded entry, and the client's."""
    for side in ("", "client_"):
        request = part(record, f"{side}request") or part(record, "request")
        response = part(record, f"{side}response") or part(record, "response")
        made = har_entry.entry(record, request, response)
        _add_request_body(made["request"], _Body(store, record["id"], f"{side}request", request))
        _add_response_body(made["response"], _Body(store, record["id"], f"{side}response", response))
        if _is_websocket(response):
            made["_resourceType"] = "websocket"
            made["_webSocketMessages"] = _Streamed(lambda: _messages(store, record["id"]))
        yield made


def _add_request_body(request: Json, body: _Body) -> None:
    if not body.size:
        return
    mime = har_entry.find(request["headers"], "content-type")
    data: Json = {"mimeType": mime, "params": [], "text": body.text()}
    if mime.split(";")[0].strip().lower() == _FORM and body.is_text and body.size <= 1 << 20:
        data["params"] = [
            {"name": name, "value": value} for name, value in parse_qsl(body.whole().decode(), keep_blank_values=True)
        ]
    if not body.is_text:
        data["_encoding"] = "base64"  # HAR has no field for it in requests
    if body.problem:
        data["comment"] = body.problem
    request["postData"] = data


def _add_response_body(response: Json, body: _Body) -> None:
    content = response["content"]
    content["size"] = body.size
    if body.encoded and response["bodySize"] >= 0:
        content["compression"] = body.size - response["bodySize"]
    if body.size:
        content["text"] = body.text()
        if not body.is_text:
            content["encoding"] = "base64"
    if body.problem:
        content["comment"] = body.problem


class _Streamed:
    """A JSON value that is written in pieces when its turn comes."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        self.pieces = pieces


class _Body:
    """A body, read twice: once to see whether it is text, and how long; once more to write it."""

    def __init__(self, store: StoreReader, flow_id: str, role: str, message: Json) -> None:
        self._store = store
        self._flow_id = flow_id
        self._role = role
        self._encoding = har_entry.find(har_entry.pairs(message.get("headers")), "content-encoding")
        self.size = 0
        self.is_text = True
        self.encoded = False
        self.problem = ""
        self._inspect(message)

    def whole(self) -> bytes:
        return b"".join(self._stream() or ())

    def text(self) -> _Streamed:
        return _Streamed(self._as_text if self.is_text else self._as_base64)

    def _inspect(self, message: Json) -> None:
        stream = self._stream()
        if stream is None:
            if message.get("contentState") in ("lost", "none"):
                self.problem = "the body was not kept"
            return
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for chunk in stream:
                self.size += len(chunk)
                if self.is_text:
                    self.is_text = _is_text(decoder, chunk)
            if self.is_text:
                self.is_text = _is_text(decoder, b"", final=True)
        except StoreUnavailable as error:
            self.problem = error.message
        self.encoded = bool(stream.encodings)
        self.problem = self.problem or stream.problem
        if stream.truncated:
            self.problem = f"cut after {MAX_BODY} bytes"

    def _stream(self) -> DecodedStream | None:
        try:
            chunks = self._store.stream_body(self._flow_id, self._role)
        except FlowNotFound:
            return None
        return None if chunks is None else DecodedStream(chunks, self._encoding, MAX_BODY)

    def _as_text(self) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        yield b'"'
        for chunk in self._readable():
            yield _dump(decoder.decode(chunk))[1:-1]
        yield b'"'

    def _as_base64(self) -> Iterator[bytes]:
        held = b""
        yield b'"'
        for chunk in self._readable():
            held += chunk
            whole = len(held) - len(held) % 3
            yield base64.b64encode(held[:whole])
            held = held[whole:]
        yield base64.b64encode(held) + b'"'

    def _readable(self) -> Iterator[bytes]:
        try:
            yield from self._stream() or ()
        except StoreUnavailable:
            return  # said in `problem`


def _is_text(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    try:
        return "\0" not in decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False


def _is_websocket(response: Json) -> bool:
    upgrade = har_entry.find(har_entry.pairs(response.get("headers")), "upgrade")
    return response.get("status_code") in (101, 200) and upgrade.lower() == "websocket"


def _messages(store: StoreReader, flow_id: str) -> Iterator[bytes]:
    """WebSocket messages as Chromium's DevTools write them."""
    yield b"["
    between = b""
    for message in store.messages(flow_id):
        content = message["content"] or b""
        as_text = message["type"] == "text"
        made = {
            "type": "send" if message["from_client"] else "receive",
            "time": message["timestamp"],
            "opcode": 1 if as_text else 2,
            "data": content.decode("utf-8", "replace") if as_text else base64.b64encode(content).decode(),
        }
        yield between + _dump(made)
        between = b","
    yield b"]"


def _encode(value: Any) -> Iterator[bytes]:
    """JSON of objects in which some values are streamed."""
    if isinstance(value, _Streamed):
        yield from value.pieces()
    elif isinstance(value, dict):
        between = b"{"
        for key, item in value.items():
            yield between + _dump(key) + b":"
            yield from _encode(item)
            between = b","
        yield b"}" if value else b"{}"
    else:
        yield _dump(value)


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
