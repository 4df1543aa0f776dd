"""How connections live and die on both sides of us: reuse, early answers, slow readers."""

from __future__ import annotations

import ssl

import pytest

from ccinspect.demo.answers import Answer, Close, Gate, chunk, head, last_chunk, plain
from ccinspect.demo.provider import Provider
from tests.fidelity.corpus import HOST
from tests.fidelity.rawclient import Reader
from tests.fidelity.test_responses import SOCKETS
from tests.fidelity.ways import Ways
from tests.support.daemon import Daemon
from tests.support.processes import resident

GET = f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


@pytest.mark.parametrize("name", SOCKETS)
def test_a_kept_connection_is_served_after_the_upstream_closed_its_own(
    provider: Provider, ways: Ways, name: str
) -> None:
    way = ways.sockets(name)
    with way.connect() as sock:
        reader = Reader(sock)
        for body in (b"one", b"two"):
            provider.answer_with(Answer([*plain(200, body).steps, Close()]))
            sock.sendall(way.rewritten(GET))
            assert reader.message("GET").body == body
            assert provider.requests[-1].hung_up.wait(10)


@pytest.mark.parametrize("name", SOCKETS)
def test_a_request_that_finds_its_connection_closed_is_sent_on_another(
    provider: Provider, ways: Ways, name: str
) -> None:
    """The upstream closed in the moment of the second request."""
    for steps in (plain(200, b"one").steps, [Close()], plain(200, b"two").steps):
        provider.answer_with(Answer(steps))
    way = ways.sockets(name)
    with way.connect() as sock:
        reader = Reader(sock)
        for body in (b"one", b"two"):
            sock.sendall(way.rewritten(GET))
            assert reader.message("GET").body == body
    assert len(provider.requests) == 3


@pytest.mark.parametrize("name", SOCKETS)
def test_nothing_is_sent_twice_that_must_not_be(provider: Provider, ways: Ways, name: str) -> None:
    for steps in (plain(200, b"one").steps, [Close()], plain(200, b"two").steps):
        provider.answer_with(Answer(steps))
    post = GET.replace(b"GET", b"POST", 1).replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n")
    way = ways.sockets(name)
    with way.connect() as sock:
        reader = Reader(sock)
        sock.sendall(way.rewritten(GET))
        assert reader.message("GET").body == b"one"
        sock.sendall(way.rewritten(post))
        assert reader.message("POST").status == 502
    assert len(provider.requests) == 2


def test_a_first_connection_that_is_closed_at_once_is_not_tried_again(provider: Provider, ways: Ways) -> None:
    provider.answer_with(Answer([Close()]))
    way = ways.sockets("base-url")
    with way.connect() as sock:
        sock.sendall(way.rewritten(GET))
        assert Reader(sock).message("GET").status == 502
    assert len(provider.requests) == 1


@pytest.mark.parametrize("name", SOCKETS)
def test_an_upload_is_passed_on_while_it_is_sent(provider: Provider, ways: Ways, name: str) -> None:
    gate = Gate()
    provider.answer_with(Answer(plain(200, b"ok").steps, on_head=[gate]))
    way = ways.sockets(name)
    with way.connect() as sock:
        sock.sendall(way.rewritten(f"POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 6\r\n\r\n".encode()) + b"one")
        gate.wait_reached()
        gate.open()
        sock.sendall(b"two")
        assert Reader(sock).message("POST").body == b"ok"
    assert provider.requests[0].content == b"onetwo"


@pytest.mark.parametrize("name", SOCKETS)
def test_an_answer_before_the_end_of_the_upload_reaches_the_client(provider: Provider, ways: Ways, name: str) -> None:
    refusal = head(413, [("Content-Length", "0"), ("Connection", "close")])
    provider.answer_with(Answer(on_head=[refusal, Close()]))
    way = ways.sockets(name)
    with way.connect() as sock:
        request = f"POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\n\r\n".encode()
        sock.sendall(way.rewritten(request) + b"first part")
        assert Reader(sock).message("POST").head == refusal


@pytest.mark.parametrize("name", SOCKETS)
def test_a_chunk_may_come_in_pieces(provider: Provider, ways: Ways, name: str) -> None:
    """Split anywhere, even within a chunk's size line and between CR and LF."""
    whole = head(200, [("Transfer-Encoding", "chunked")]) + chunk(b"hello") + chunk(b"w" * 300) + last_chunk()
    gates = [Gate() for _ in whole]
    for gate in gates:
        gate.open()
    steps = [step for byte, gate in zip(whole, gates, strict=True) for step in (bytes([byte]), gate)]
    provider.answer_with(Answer(steps))
    way = ways.sockets(name)
    with way.connect() as sock:
        for byte in way.rewritten(GET):
            sock.sendall(bytes([byte]))
        assert Reader(sock).message("GET").body == b"hello" + b"w" * 300


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reverse", "proxy-connect"])
def test_a_client_that_does_not_read_does_not_fill_our_memory(
    provider: Provider, shared_daemon: Daemon, ways: Ways, name: str
) -> None:
    piece = bytes(1_000_000)
    size = 200 * len(piece)
    gate = Gate()
    provider.answer_with(Answer([head(200, [("Content-Length", str(size))]), *([piece] * 200), gate]))
    before = resident(shared_daemon.pid)
    way = ways.sockets(name)
    with way.connect() as sock:
        sock.sendall(way.rewritten(GET))
        reader = Reader(sock)
        reader.head()
        # The provider is stopped by its full socket as long as nobody between us reads on without end.
        with pytest.raises(TimeoutError):
            gate.wait_reached(timeout=3)
        assert resident(shared_daemon.pid) - before < 50_000_000


def test_a_certificate_of_ours_holds_for_what_the_client_asked_for(shared_daemon: Daemon, ways: Ways) -> None:
    """Verified by the client above; here: it is short-lived, names the host, and is not our authority's own."""
    with ways.sockets("proxy-connect").connect() as sock:
        assert isinstance(sock, ssl.SSLSocket)
        certificate = sock.getpeercert()
        assert certificate
        assert ("DNS", HOST) in certificate["subjectAltName"]
        assert sock.version() == "TLSv1.3"
