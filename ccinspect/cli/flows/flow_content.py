"""`flows show`: reading one flow's messages and bodies from the store, and writing them pretty or exact."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from ccinspect.cli.flows import flow_show
from ccinspect.cli.flows.flow_show import Part
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import write_json
from ccinspect.cli.pager import page
from ccinspect.cli.reading import open_store
from ccinspect.errors import CcinspectError
from ccinspect.store.query import StoreReader
from ccinspect.store.record import header

SHOWN_BYTES = 8 * 1024 * 1024
"""Of a decoded body; who wants more takes it raw."""

_STREAMS = ("tcp", "udp")


def show(instance: Instance, flow: str, *, want_request: bool, want_response: bool, as_json: bool) -> None:
    """Print one flow. Raises FlowNotFound, AmbiguousFlowId."""
    with open_store(instance) as store:
        record = store.get(flow)
        if as_json:
            write_json(record)
            return
        page(_lines(store, record, want_request, want_response))


def _lines(store: StoreReader, record: dict[str, Any], want_request: bool, want_response: bool) -> Iterator[str]:
    if want_request and want_response:
        yield from flow_show.summary_lines(record)
    if record["type"] == "dns":
        yield from flow_show.dns_lines(record)
    elif record["type"] == "http":
        yield from flow_show.http_lines(_parts(store, record, want_request, want_response))
    yield from flow_show.message_lines(_messages(store, record, want_request, want_response))


def _parts(store: StoreReader, record: dict[str, Any], want_request: bool, want_response: bool) -> Iterator[Part]:
    roles = [("client_request", "request", "as the client sent it"), ("request", "request", "as forwarded")]
    if not want_request:
        roles = []
    if want_response:
        roles += [("response", "response", "as it came"), ("client_response", "response", "as the client got it")]
    for role, forwarded, how in roles:
        message = record.get(role)
        if message:
            differs = bool(record.get(f"client_{forwarded}"))
            yield _part(store, record["id"], role, f"{forwarded}, {how}" if differs else forwarded, message)


def _part(store: StoreReader, flow: str, role: str, title: str, message: dict[str, Any]) -> Part:
    from ccinspect.store.decode import decode_body

    chunks = store.stream_body(flow, role)
    if chunks is None:
        missing = "the body was not kept" if message.get("contentState") in ("lost", "none") else ""
        return Part(title, message, None, missing)
    decoded = decode_body(chunks, header(message, "content-encoding"), SHOWN_BYTES)
    return Part(title, message, decoded.data, decoded.problem, decoded.truncated)


def _messages(
    store: StoreReader, record: dict[str, Any], want_request: bool, want_response: bool
) -> Iterator[dict[str, Any]]:
    for message in store.messages(record["id"]):
        if want_request if message["from_client"] else want_response:
            yield message


def write_raw(instance: Instance, flow: str, *, want_request: bool, want_response: bool) -> None:
    """Write exact bytes to stdout: of one message its body alone; of both, the heads too.

    Raises FlowNotFound, AmbiguousFlowId, and CcinspectError for a terminal that would obey what is in them.
    """
    with open_store(instance) as store:
        record = store.get(flow)
        chunks = _raw(store, record, want_request, want_response)
        _copy(chunks, sys.stdout.buffer, sys.stdout.isatty())


def _raw(store: StoreReader, record: dict[str, Any], want_request: bool, want_response: bool) -> Iterator[bytes]:
    if record["type"] in _STREAMS or not (want_request and want_response):
        yield from _bare(store, record, want_request, want_response)
        return
    for role in ("request", "response"):
        message = record.get(role)
        if message and record["type"] == "http":
            yield _head(message)
            yield from store.stream_body(record["id"], role) or ()
            yield b"\r\n"


def _bare(store: StoreReader, record: dict[str, Any], want_request: bool, want_response: bool) -> Iterator[bytes]:
    """One message's body; of a stream or a WebSocket what one side, or both, sent."""
    if record["type"] == "http":
        yield from store.stream_body(record["id"], "request" if want_request else "response") or ()
    for message in _messages(store, record, want_request, want_response):
        yield message["content"] or b""


def _head(message: dict[str, Any]) -> bytes:
    """Start line and header as HTTP/1 writes them."""
    if "status_code" in message:
        words = [message.get("http_version"), message.get("status_code"), message.get("reason") or ""]
    else:
        words = [message.get("method"), message.get("path"), message.get("http_version")]
    lines = [" ".join(map(str, words)), *(f"{name}: {value}" for name, value in message.get("headers") or [])]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def _copy(chunks: Iterable[bytes], out: BinaryIO, to_terminal: bool) -> None:
    for chunk in chunks:
        if to_terminal and _does_something(chunk):
            raise CcinspectError(
                "these bytes hold control characters that your terminal would obey",
                "send them elsewhere (`> FILE`, `| less`), or leave --raw out",
            )
        out.write(chunk)
    out.flush()


def _does_something(chunk: bytes) -> bool:
    return any(byte < 0x20 and byte not in b"\t\n\r" for byte in chunk.translate(None, bytes(range(0x20, 0x7F))))
