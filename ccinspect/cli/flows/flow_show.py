"""`flows show`: one flow in full, for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.flows.body_text import body_lines
from ccinspect.cli.flows.changes_view import change_lines
from ccinspect.cli.flows.flow_table import code_cell, port_suffix, server_name
from ccinspect.cli.output import BOLD, CYAN, DIM, RED, YELLOW, paint
from ccinspect.store.record import header

CUT = "... cut here; all of it: ccinspect flows show ID --raw"


@dataclass(frozen=True)
class Part:
    """One message of a flow with its decoded body. `body` is None when there is none, or none was kept.

    `decoded` names the content encodings that were undone, `problem` why they could not be.
    """

    title: str
    message: dict[str, Any]
    body: bytes | None
    problem: str = ""
    cut: bool = False


def summary_lines(record: dict[str, Any]) -> Iterator[str]:
    """What is known of the flow besides its messages."""
    yield paint(f"{record['type']} flow {text.clean(str(record['id']))}", BOLD)
    sizes = record.get("sizes") or {}
    facts = [
        ("state", _state(record)),
        ("hint", record.get("hint")),
        ("run", record.get("run")),
        ("source", f"{record.get('source')}{', tunnelled without decryption' if record.get('opaque') else ''}"),
        ("device", record.get("device")),
        ("client", _connection(record.get("client_conn"))),
        ("server", f"{server_name(record)} {_connection(record.get('server_conn'))}".strip()),
        ("started", _times(record.get("timing") or {})),
        ("bodies", f"{text.size(sizes.get('request'))} sent, {text.size(sizes.get('response'))} received"),
        ("parent", record.get("parent")),
    ]
    for label, value in facts:
        if value:
            yield _fact(label, value, YELLOW if label == "hint" else "")
    yield from change_lines(record.get("changes"))


def _times(timing: dict[str, Any]) -> str:
    parts = [text.full_moment(timing.get("started_at"))]
    if timing.get("duration") is not None:
        parts.append(f"took {text.duration(timing['duration'])}")
    if timing.get("first_byte") is not None:
        parts.append(f"first byte after {text.duration(timing['first_byte'])}")
    return ", ".join(parts)


def _state(record: dict[str, Any]) -> str:
    error = record.get("error")
    return f"{record.get('state')}: {error.get('msg')}" if error else str(record.get("state"))


def _connection(connection: dict[str, Any] | None) -> str:
    if not connection:
        return ""
    peer = connection.get("peername") or []
    address = f"{peer[0]}:{peer[1]}" if len(peer) > 1 else ""
    tls = " ".join(str(connection[key]) for key in ("tls_version", "cipher", "alpn") if connection.get(key))
    return f"{address} ({tls})" if tls else address


def _fact(label: str, value: object, colour: str = "") -> str:
    return f"  {label:<8} {paint(text.clean(str(value)), colour)}".rstrip()


def http_lines(parts: Iterable[Part]) -> Iterator[str]:
    """Start line, header and body of each message."""
    for part in parts:
        yield ""
        yield paint(f"--- {part.title}", DIM)
        yield paint(start_line(part.message), CYAN)
        yield from _header_lines(part.message.get("headers"))
        if part.problem:
            yield paint(f"({text.clean(part.problem)})", RED)
        if part.body:
            yield ""
            yield from body_lines(part.body, header(part.message, "content-type"))
            if part.cut:
                yield paint(CUT, DIM)
        if part.message.get("trailers"):
            yield ""
            yield from _header_lines(part.message["trailers"])


def start_line(message: dict[str, Any]) -> str:
    """`POST https://host/path HTTP/1.1` or `HTTP/1.1 200 OK`, cleaned."""
    if "status_code" in message:
        words = [message.get("http_version"), message.get("status_code"), message.get("reason")]
        return text.clean(" ".join(str(word) for word in words if word not in (None, "")))
    host = str(message.get("pretty_host") or message.get("host") or "")
    url = f"{message.get('scheme')}://{host}{port_suffix(message)}{message.get('path')}"
    return text.clean(f"{message.get('method')} {url} {message.get('http_version')}")


def _header_lines(headers: Iterable[Any] | None) -> Iterator[str]:
    for name, value in headers or []:
        yield f"{paint(text.clean(str(name)), DIM)}: {text.clean(str(value))}"


def dns_lines(record: dict[str, Any]) -> Iterator[str]:
    question = (record.get("request") or {}).get("question") or {}
    yield ""
    yield _fact("asked", f"{question.get('name')} {question.get('type')}")
    yield _fact("code", code_cell(record).text)
    for answer in (record.get("response") or {}).get("answers") or []:
        yield _fact(
            "answer", f"{answer.get('name')} {answer.get('type')} {answer.get('data')} (ttl {answer.get('ttl')})"
        )


def message_lines(messages: Iterable[dict[str, Any]]) -> Iterator[str]:
    """WebSocket messages, or the pieces of a TCP or UDP stream."""
    for message in messages:
        arrow = "->" if message.get("from_client") else "<-"
        content = message.get("content") or b""
        title = (
            f"{arrow} {message.get('type')} {text.moment(message.get('timestamp'))} {text.size(message.get('size'))}"
        )
        yield ""
        yield paint(title, DIM)
        if content:
            yield from body_lines(content, "")
