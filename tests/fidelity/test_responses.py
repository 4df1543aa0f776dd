"""What the client gets must be what the server sent, byte for byte, and as soon as it was sent."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable

import pytest

from ccinspect.demo.answers import (
    Answer,
    Close,
    Echo,
    Gate,
    Step,
    chunk,
    chunked,
    event_stream,
    head,
    last_chunk,
    plain,
)
from ccinspect.demo.provider import Provider
from tests.fidelity.corpus import HOST, Case
from tests.fidelity.rawclient import Reader
from tests.fidelity.ways import Ways, direct
from tests.support.daemon import Daemon

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NOT_UTF8 = bytes(range(256))
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nx-odd:1\r\n\r\n"

# (name, method, version, what the server writes)
ANSWERS: list[tuple[str, str, str, list[Step]]] = [
    ("plain", "GET", "1.1", [OK]),
    ("204", "GET", "1.1", [head(204, [("X-A", "1")])]),
    ("304 with a length", "GET", "1.1", [head(304, [("Content-Length", "99"), ("ETag", '"x"')])]),
    ("HEAD with a length", "HEAD", "1.1", [head(200, [("Content-Length", "99")])]),
    ("empty body", "GET", "1.1", [head(200, [("Content-Length", "0")])]),
    ("404", "GET", "1.1", [head(404, [("Content-Length", "2")]) + b"no"]),
    ("status 599", "GET", "1.1", [b"HTTP/1.1 599 Odd one\r\nContent-Length: 0\r\n\r\n"]),
    ("no reason", "GET", "1.1", [b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"]),
    ("reason that is not ASCII", "GET", "1.1", [b"HTTP/1.1 200 D'acc\xf4rd!\r\nContent-Length: 0\r\n\r\n"]),
    (
        "odd headers",
        "GET",
        "1.1",
        [
            b"HTTP/1.1 200 OK\r\nsErVer:x\r\nX-Tab:\tv \r\nX-Empty:\r\nX-Bad: \xff\xfe\r\nX-Fold: a\r\n\tb\r\n"
            b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nSet-Cookie: a=3\r\ncontent-length: 2\r\n\r\nok"
        ],
    ),
    ("header of 64 KB", "GET", "1.1", [head(200, [("X-Big", "b" * 65536), ("Content-Length", "2")]) + b"ok"]),
    ("chunked", "GET", "1.1", list(chunked([b"one", b"two", NOT_UTF8]).steps)),
    ("chunked with trailers", "GET", "1.1", list(chunked([b"one"], trailers=[("X-Sum", "1"), ("x-sum", "2")]).steps)),
    ("chunked with nothing in it", "GET", "1.1", list(chunked([]).steps)),
    ("until close", "GET", "1.1", [b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n" + NOT_UTF8, Close()]),
    ("until close, said so", "GET", "1.1", [head(200, [("Connection", "close")]) + b"until close", Close()]),
    ("HTTP/1.0 answer", "GET", "1.1", [head(200, [("X-A", "1")], version="HTTP/1.0") + b"old", Close()]),
    ("HTTP/1.0 both", "GET", "1.0", [head(200, [("X-A", "1")], version="HTTP/1.0") + b"old", Close()]),
    ("gzip", "GET", "1.1", list(plain(200, gzip.compress(b"x" * 999), [("Content-Encoding", "gzip")]).steps)),
    ("says gzip but is not", "GET", "1.1", list(plain(200, b"plain", [("Content-Encoding", "gzip")]).steps)),
    ("unknown encoding", "GET", "1.1", list(plain(200, b"abc", [("Content-Encoding", "x-own")]).steps)),
    ("early hints", "GET", "1.1", [HINTS + OK]),
    ("two early hints, then a pause", "GET", "1.1", [HINTS, HINTS, OK]),
    ("102 processing", "POST", "1.1", [b"HTTP/1.1 102 Processing\r\n\r\n", OK]),
    ("100 nobody asked for", "GET", "1.1", [b"HTTP/1.1 100 Continue\r\n\r\n" + OK]),
    ("one megabyte", "GET", "1.1", list(plain(200, NOT_UTF8 * 4096).steps)),
]


@pytest.mark.parametrize("name", Ways.NAMES)
@pytest.mark.parametrize(("method", "version", "steps"), [pytest.param(*rest, id=title) for title, *rest in ANSWERS])
def test_the_client_gets_what_was_sent(
    provider: Provider, ways: Ways, name: str, method: str, version: str, steps: list[Step]
) -> None:
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    request = f"{method} /a HTTP/{version}\r\nHost: {HOST}\r\n{length}\r\n".encode()
    case = Case("answer", (request,), (method,))
    provider.answer_with(Answer(steps))
    without = direct(provider).send(case)
    assert not without.error
    provider.answer_with(Answer(steps))
    got = ways[name].send(case)
    assert not got.error, got.error
    assert got.messages == without.messages


SOCKETS = [name for name in Ways.NAMES if not name.startswith("jail")]


def start(ways: Ways, name: str, request: bytes) -> tuple[Reader, Callable[[], None]]:
    """Send a request over a connection that stays open; returns its reader and how to close it."""
    way = ways.sockets(name)
    sock = way.connect()
    sock.sendall(way.rewritten(request))
    return Reader(sock), sock.close


@pytest.mark.parametrize("name", SOCKETS)
def test_each_event_arrives_before_the_next_is_sent(provider: Provider, ways: Ways, name: str) -> None:
    events = [f"event: n\ndata: {number}\n\n".encode() for number in range(5)]
    gates = [Gate() for _ in events]
    pieces = [piece for pair in zip(events, gates, strict=True) for piece in pair]
    body = [piece if isinstance(piece, Gate) else chunk(piece) for piece in pieces]
    answer = event_stream([])
    provider.answer_with(Answer([next(iter(answer.steps)), *body, last_chunk()]))
    reader, close = start(ways, name, f"GET /sse HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    try:
        assert reader.head().startswith(b"HTTP/1.1 200")
        for event, gate in zip(events, gates, strict=True):
            received = b""
            while len(received) < len(event):
                received += reader.chunk()
            assert received == event
            gate.open()
        assert reader.chunk() == b""
    finally:
        close()


def test_each_event_reaches_a_jailed_client_before_the_next_is_sent(provider: Provider, shared_daemon: Daemon) -> None:
    script = (
        f"import urllib.request as r\nfor line in r.urlopen('https://{HOST}/sse'): "
        "print(line.decode(), end='', flush=True)"
    )
    gates = [Gate(), Gate(), Gate()]
    body = [step for number, gate in enumerate(gates) for step in (chunk(b"event %d\n" % number), gate)]
    provider.answer_with(Answer([next(iter(event_stream([]).steps)), *body, last_chunk()]))
    argv = shared_daemon.argv("run", "--inspect", "--", sys.executable, "-c", script)
    with shared_daemon.popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as client:
        assert client.stdout
        for number, gate in enumerate(gates):
            assert client.stdout.readline() == f"event {number}\n"
            gate.open()
        assert client.wait(30) == 0


@pytest.mark.parametrize("name", SOCKETS)
def test_pieces_of_a_body_with_a_length_arrive_one_by_one(provider: Provider, ways: Ways, name: str) -> None:
    gate = Gate()
    provider.answer_with(Answer([head(200, [("Content-Length", "10")]), b"first", gate, b"other"]))
    reader, close = start(ways, name, f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    try:
        reader.head()
        assert reader.exactly(5) == b"first"
        gate.open()
        assert reader.exactly(5) == b"other"
    finally:
        close()


@pytest.mark.parametrize("name", SOCKETS)
def test_the_head_arrives_before_the_body(provider: Provider, ways: Ways, name: str) -> None:
    gate = Gate()
    provider.answer_with(Answer([head(200, [("Content-Length", "2")]), gate, b"ok"]))
    reader, close = start(ways, name, f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    try:
        assert reader.head() == head(200, [("Content-Length", "2")])
        gate.open()
        assert reader.exactly(2) == b"ok"
    finally:
        close()


@pytest.mark.parametrize("name", SOCKETS)
def test_an_interim_answer_arrives_before_the_final_one(provider: Provider, ways: Ways, name: str) -> None:
    gate = Gate()
    provider.answer_with(Answer([HINTS, gate, OK]))
    reader, close = start(ways, name, f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    try:
        assert reader.head() == HINTS
        gate.open()
        assert reader.message("GET").body == b"ok"
    finally:
        close()


@pytest.mark.parametrize("name", SOCKETS)
def test_a_websocket_upgrade_passes_and_then_carries_frames(provider: Provider, ways: Ways, name: str) -> None:
    upgrade = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ]
    hello = b"\x81\x05hello"
    provider.answer_with(Answer([head(101, upgrade), hello, Echo()]))
    request = (
        f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    reader, close = start(ways, name, request)
    try:
        assert reader.head() == head(101, upgrade)
        assert reader.exactly(len(hello)) == hello
        assert provider.requests[0].head == ways[name].expected(request)
    finally:
        close()


@pytest.mark.parametrize("name", SOCKETS)
def test_an_upgrade_to_another_protocol_passes(provider: Provider, ways: Ways, name: str) -> None:
    upgrade = [("Upgrade", "own/1"), ("Connection", "Upgrade")]
    provider.answer_with(Answer([head(101, upgrade), Echo()]))
    request = f"GET /up HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: own/1\r\nConnection: Upgrade\r\n\r\n".encode()
    way = ways.sockets(name)
    with way.connect() as sock:
        sock.sendall(way.rewritten(request))
        reader = Reader(sock)
        assert reader.head() == head(101, upgrade)
        sock.sendall(b"\x00\xffraw")
        assert reader.exactly(5) == b"\x00\xffraw"
