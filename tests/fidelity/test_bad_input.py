"""What goes wrong on the wire is passed on as it is, told in a flow, and takes nothing else with it."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator

import pytest

from ccinspect.demo.answers import Answer, Gate, Reset, Truncate, chunk, event_stream, last_chunk, plain
from ccinspect.demo.certificates import Authority
from ccinspect.demo.provider import Provider
from tests.fidelity import rawclient
from tests.fidelity.rawclient import Outcome, Reader
from tests.support.daemon import Daemon, Record, settings_for, started
from tests.support.ports import free_port
from tests.support.processes import resident
from tests.support.shared_daemon import SharedDaemon

HOST = "api.anthropic.com"
GET = f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
EVENTS = [f"event: n\ndata: {number}\n\n".encode() for number in range(3)]
# Of a certificate; each has a host `FAULT.test`.
FAULTS = ("unknown-authority", "wrong-name", "expired")


@pytest.fixture(scope="module")
def shared_daemon(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDaemon]:
    """One that also knows of servers which nobody should trust, or reach."""
    directory = tmp_path_factory.mktemp("patient")
    settings = settings_for(shared_provider, directory)
    broken = {"refused": free_port()}
    for fault in FAULTS:
        authority = Authority() if fault == "unknown-authority" else shared_provider.authority
        names = ["other.test"] if fault == "wrong-name" else [f"{fault}.test"]
        broken[fault] = shared_provider.listen(authority.server_context(names, expired=fault == "expired"))
    for name, port in broken.items():
        places = {f"{name}.test:443": f"127.0.0.1:{port}", f"{name}.test:80": f"127.0.0.1:{port}"}
        settings["inspector"]["connect_to"] |= places
    with started(SharedDaemon(directory / "instance", settings)) as running:
        yield running


@pytest.fixture
def daemon(shared_daemon: SharedDaemon) -> SharedDaemon:
    shared_daemon.begin()
    return shared_daemon


def tunnel(daemon: Daemon, host: str = HOST) -> ssl.SSLSocket:
    """A TLS connection through the forward proxy."""
    sock = rawclient.connect("127.0.0.1", daemon.ports["proxy"], None)
    sock.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    assert Reader(sock).message("HEAD").status == 200
    trust = ssl.create_default_context(cafile=daemon.paths.ca_cert)
    return trust.wrap_socket(sock, server_hostname=host)


def ask(daemon: Daemon, request: bytes = GET, host: str = HOST) -> Outcome:
    with tunnel(daemon, host) as sock:
        return rawclient.exchange(sock, [request], ["GET"])


def only_flow(daemon: Daemon) -> Record:
    (flow,) = daemon.wait_for(1)
    return flow


def assert_alive(daemon: Daemon, provider: Provider) -> None:
    """The next request is served as if nothing had been."""
    provider.forget()
    provider.answer_with(plain(200, b"fine"))
    assert ask(daemon).messages[0].body == b"fine"


@pytest.mark.parametrize("end", [Truncate(), Reset()], ids=["truncated", "reset"])
def test_a_stream_that_breaks_off(daemon: Daemon, provider: Provider, end: Truncate | Reset) -> None:
    gate = Gate()
    opening = next(iter(event_stream([]).steps))
    provider.answer_with(Answer([opening, *(chunk(event) for event in EVENTS), gate, end]))
    with tunnel(daemon) as sock:
        sock.sendall(GET)
        reader = Reader(sock)
        reader.head()
        got = b""
        while len(got) < len(b"".join(EVENTS)):
            got += reader.chunk()
        gate.open()
        with pytest.raises((EOFError, OSError)):
            reader.chunk()
    flow = only_flow(daemon)
    assert flow["state"] == "error"
    assert flow["error"]["msg"]
    assert flow["response"]["status_code"] == 200
    assert daemon.body(flow["id"], "--response") == b"".join(EVENTS)
    assert_alive(daemon, provider)


def test_a_client_that_hangs_up_in_the_middle(daemon: Daemon, provider: Provider) -> None:
    gate = Gate()
    opening = next(iter(event_stream([]).steps))
    provider.answer_with(Answer([opening, chunk(EVENTS[0]), gate, chunk(EVENTS[1]), last_chunk()]))
    with tunnel(daemon) as sock:
        sock.sendall(GET)
        reader = Reader(sock)
        reader.head()
        assert reader.chunk() == EVENTS[0]
    assert provider.requests[0].hung_up.wait(10), "the upstream connection outlived its client"
    flow = only_flow(daemon)
    assert flow["state"] == "error"
    assert daemon.body(flow["id"], "--response") == EVENTS[0]
    assert_alive(daemon, provider)


def test_an_upstream_that_resets_before_it_answers(daemon: Daemon, provider: Provider) -> None:
    provider.answer_with(Answer([Reset()]))
    outcome = ask(daemon)
    assert outcome.closed or outcome.messages[0].status == 502
    flow = only_flow(daemon)
    assert flow["state"] == "error"
    assert flow["request"]["path"] == "/x"
    assert_alive(daemon, provider)


def test_an_upstream_that_answers_nonsense(daemon: Daemon, provider: Provider) -> None:
    provider.answer_with(Answer([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"]))
    outcome = ask(daemon)
    assert outcome.closed or outcome.messages[0].status == 502
    assert only_flow(daemon)["state"] == "error"
    assert_alive(daemon, provider)


class TestUpstreamsThatCannotBeReached:
    """The client learns of it, the flow names it, nothing is sent."""

    def test_refused(self, daemon: Daemon, provider: Provider) -> None:
        with rawclient.connect("127.0.0.1", daemon.ports["proxy"], None) as sock:
            request = b"GET http://refused.test/x HTTP/1.1\r\nHost: refused.test\r\n\r\n"
            outcome = rawclient.exchange(sock, [request], ["GET"])
        assert outcome.messages[0].status == 502
        flow = only_flow(daemon)
        assert flow["state"] == "error"
        assert flow["error"]["msg"]
        assert flow["request"]["host"] == "refused.test"
        assert_alive(daemon, provider)

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_bad_certificate_is_never_talked_to(self, daemon: Daemon, provider: Provider, fault: str) -> None:
        secret = f"GET /x HTTP/1.1\r\nHost: {fault}.test\r\nx-api-key: sk-secret\r\n\r\n".encode()
        try:
            outcome = ask(daemon, secret, f"{fault}.test")
            assert outcome.closed or outcome.messages[0].status == 502
        except (ssl.SSLError, ConnectionError):
            pass
        assert provider.requests == []
        (flow,) = daemon.wait_for(1, when=lambda record: True)
        assert flow["state"] == "error"
        assert "certificate" in flow["error"]["msg"].lower()
        assert_alive(daemon, provider)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_body_of_200_megabytes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It arrives whole, is stored whole, and is never held in memory."""
    piece = bytes(range(256)) * 4096
    count = 200
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(piece)
    directory = tmp_path_factory.mktemp("big")
    with (
        Provider(keep_limit=1000) as provider,
        started(Daemon(directory / "instance", settings_for(provider, directory))) as daemon,
    ):
        before = resident(daemon.pid)
        size = count * len(piece)
        provider.answer_with(plain(200, b"done"))
        with tunnel(daemon) as sock:
            sock.sendall(f"POST /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size}\r\n\r\n".encode())
            for _ in range(count):
                sock.sendall(piece)
            sock.settimeout(120)
            assert Reader(sock).message("POST").body == b"done"
        (received,) = provider.wait_for(1)
        assert received.sha256 == digest.hexdigest()
        (flow,) = daemon.wait_for(1, timeout=120)
        assert flow["request"]["contentLength"] == size
        assert flow["request"]["contentHash"] == digest.hexdigest()
        assert resident(daemon.pid) - before < 100_000_000
        stored = hashlib.sha256(daemon.body(flow["id"], "--request"))
        assert stored.hexdigest() == digest.hexdigest()


def test_a_client_that_does_not_trust_us(daemon: Daemon, provider: Provider) -> None:
    """The request never happened, but the attempt is seen, with a hint at the reason."""
    with rawclient.connect("127.0.0.1", daemon.ports["proxy"], None) as sock:
        sock.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        Reader(sock).message("HEAD")
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context(cadata=Authority().pem.decode()).wrap_socket(sock, server_hostname=HOST)
    (flow,) = daemon.wait_for(1, when=lambda record: record["type"] == "tls")
    assert "trust" in flow["hint"]
    assert flow["client_conn"]["sni"] == HOST
    assert provider.requests == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03" * 100 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://api.anthropic.com/ HTTP/1.1\r\nHost: api.anthropic.com\r\nContent-Length: -1\r\n\r\n",
        b"GET http://api.anthropic.com/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x00\x05hello",
    ],
    ids=["binary", "version", "negative length", "bad chunk", "half a handshake"],
)
def test_garbage_from_a_client_ends_its_connection_and_nothing_else(
    daemon: Daemon, provider: Provider, garbage: bytes
) -> None:
    with rawclient.connect("127.0.0.1", daemon.ports["proxy"], None) as sock:
        sock.sendall(garbage)
        sock.shutdown(socket.SHUT_WR)
        Reader(sock).rest()
    assert_alive(daemon, provider)
    assert "Traceback" not in daemon.log(1000)


def test_a_slow_head_does_not_hold_up_others(daemon: Daemon, provider: Provider) -> None:
    with rawclient.connect("127.0.0.1", daemon.ports["proxy"], None) as sock:
        sock.sendall(b"GET http://api.anthropic.com/ HT")
        assert_alive(daemon, provider)
