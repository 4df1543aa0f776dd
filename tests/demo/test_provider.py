"""The fake provider's server: every byte that came in is kept, every byte that goes out is decided by the script."""

from __future__ import annotations

import gzip
import json
import socket
import ssl

import pytest

from ccinspect.demo.answers import (
    Answer,
    Close,
    Echo,
    Gate,
    Reset,
    Truncate,
    chunk,
    chunked,
    head,
    json_answer,
    last_chunk,
    plain,
)
from ccinspect.demo.provider import Provider

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(provider: Provider) -> socket.socket:
    return socket.create_connection(("127.0.0.1", provider.http_port), timeout=10)


def read_all(sock: socket.socket) -> bytes:
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


def read_exactly(sock: socket.socket, expected: bytes) -> None:
    received = b""
    while len(received) < len(expected):
        data = sock.recv(len(expected) - len(received))
        assert data, f"the connection ended after {received!r}"
        received += data
    assert received == expected


def test_pipelined_oddities_are_kept_byte_for_byte(provider: Provider) -> None:
    odd = (
        b"POST /a//b/../c?x=%zz&&y#f HTTP/1.1\r\nhOsT:x\r\nX-Two:  a\t\r\nX-Two:\r\n"
        b"X-Bad: \xff\xfe\r\n folded\r\nContent-Length: 3\r\n\r\n\xff\x00\n"
    )
    chunks = (
        b"PUT /t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;ext=1\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Trailer:  v\r\n\r\n"
    )
    with connect(provider) as sock:
        sock.sendall(odd + chunks + GET)
        first, second, third = provider.wait_for(3)
    assert (first.raw, second.raw, third.raw) == (odd, chunks, GET)
    assert first.request_line == ("POST", "/a//b/../c?x=%zz&&y#f", "HTTP/1.1")
    assert bytes(second.content) == b"abc0123456789"
    assert second.trailers == b"X-Trailer:  v\r\n"
    assert first.connection == third.connection == 1


def test_a_body_beyond_the_limit_is_counted_and_hashed(provider: Provider) -> None:
    with Provider(keep_limit=10) as small, connect(small) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world")
        (request,) = small.wait_for(1)
    assert request.content == b""
    assert request.size == 11
    assert request.sha256 == "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"


def test_a_gzipped_request_is_understood(provider: Provider) -> None:
    ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "squeezed"}]}
    body = gzip.compress(json.dumps(ask).encode())
    with connect(provider) as sock:
        sock.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\nx-api-key: k\r\nContent-Encoding: gzip\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        answer = read_all(sock)
    assert b"You said: squeezed" in answer


@pytest.mark.parametrize(
    ("request_bytes", "status", "message"),
    [
        (b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 401, "no API key was sent"),
        (b"GET /v1/messages HTTP/1.1\r\nHost: h\r\nx-api-key: k\r\n\r\n", 405, "/v1/messages wants POST, not GET"),
        (b"GET /nowhere HTTP/1.1\r\nHost: h\r\nAuthorization: k\r\n\r\n", 404, "there is no /nowhere here"),
        (
            b"POST /v1/responses HTTP/1.1\r\nHost: h\r\nAuthorization: k\r\nContent-Length: 2\r\n\r\n[]",
            400,
            "the body must be a JSON object",
        ),
    ],
)
def test_refusals(provider: Provider, request_bytes: bytes, status: int, message: str) -> None:
    with connect(provider) as sock:
        sock.sendall(request_bytes.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = read_all(sock)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"] == message


@pytest.mark.parametrize("field", ["messages", "tools", "tool_choice", "system", "thinking"])
@pytest.mark.parametrize("value", [7, "x", [7], {"type": 7}, None], ids=str)
def test_fields_of_the_wrong_type_never_break_the_server(provider: Provider, field: str, value: object) -> None:
    ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], field: value}
    body = json.dumps(ask).encode()
    with connect(provider) as sock:
        for path in (b"/v1/messages", b"/v1/chat/completions"):
            sock.sendall(
                b"POST %s HTTP/1.1\r\nHost: h\r\nAuthorization: k\r\nContent-Length: %d\r\n\r\n%s"
                % (path, len(body), body)
            )
            assert sock.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 400")
            rest = sock.recv(65536)
            assert rest


def test_expect_100_continue(provider: Provider) -> None:
    with connect(provider) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        read_exactly(sock, b"HTTP/1.1 100 Continue\r\n\r\n")
        sock.sendall(b"ok")
        assert provider.wait_for(1)[0].content == b"ok"


def test_a_gate_holds_the_answer_back(provider: Provider) -> None:
    gate = Gate()
    provider.answer_with(chunked([b"one", gate, b"two"], trailers=[("X-End", "yes")]))
    with connect(provider) as sock:
        sock.sendall(GET)
        read_exactly(sock, head(200, [("Transfer-Encoding", "chunked")]) + chunk(b"one"))
        gate.wait_reached()
        gate.open()
        read_exactly(sock, chunk(b"two") + last_chunk([("X-End", "yes")]))


def test_a_client_that_leaves_at_a_gate_is_noticed(provider: Provider) -> None:
    gate = Gate()
    provider.answer_with(chunked([b"one", gate, b"two"]))
    with connect(provider) as sock:
        sock.sendall(GET)
        gate.wait_reached()
    assert provider.wait_for(1)[0].hung_up.wait(10)


def test_scripts_queue_up_and_may_choose_their_request(provider: Provider) -> None:
    provider.answer_with(plain(500, b"for b"), when=lambda request: request.path == "/b")
    provider.answer_with(json_answer(529, {}))
    with connect(provider) as sock:
        for target, status in ((b"/a", b"529"), (b"/b", b"500")):
            sock.sendall(GET.replace(b"/", target, 1))
            assert sock.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_connections_end_as_the_script_says(provider: Provider) -> None:
    with connect(provider) as sock:
        provider.answer_with(Answer([b"HTTP/1.1 200 OK\r\n\r\nuntil close", Close()]))
        sock.sendall(GET)
        assert read_all(sock).endswith(b"until close")
    with connect(provider) as sock:
        provider.answer_with(Answer([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Reset()]))
        sock.sendall(GET)
        with pytest.raises(ConnectionResetError):
            read_all(sock)
    trust = ssl.create_default_context(cadata=provider.authority.pem.decode())
    raw = socket.create_connection(("127.0.0.1", provider.https_port), timeout=10)
    with trust.wrap_socket(raw, server_hostname="api.openai.com", suppress_ragged_eofs=False) as sock:
        provider.answer_with(Answer([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Truncate()]))
        sock.sendall(GET)
        assert sock.recv(65536).endswith(b"half")
        with pytest.raises(ssl.SSLEOFError):
            sock.recv(1)
    assert provider.requests[-1].tls == {"sni": "api.openai.com", "alpn": None, "version": "TLSv1.3"}


def test_an_upgraded_connection_echoes(provider: Provider) -> None:
    provider.answer_with(Answer([head(101, [("Upgrade", "echo"), ("Connection", "Upgrade")]), Echo()]))
    with connect(provider) as sock:
        sock.sendall(GET)
        assert sock.recv(65536).startswith(b"HTTP/1.1 101 Switching Protocols")
        sock.sendall(b"\x00anything")
        read_exactly(sock, b"\x00anything")


def test_an_expired_certificate_is_refused_by_clients(provider: Provider) -> None:
    port = provider.listen(provider.authority.server_context(["localhost"], expired=True))
    trust = ssl.create_default_context(cadata=provider.authority.pem.decode())
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        pytest.raises(ssl.SSLCertVerificationError, match="expired"),
    ):
        trust.wrap_socket(raw, server_hostname="localhost")
