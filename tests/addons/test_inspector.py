"""Every kind of connection leaves a record, through a real daemon."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from ccinspect.demo.answers import Answer, Gate, head, json_answer
from ccinspect.demo.provider import Provider
from ccinspect.store.query import StoreReader
from tests.addons.connections import server, tunnel
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon, settings_for, started
from tests.support.shared_daemon import SharedDaemon
from tests.support.websocket import answering, exchange

HOST = "api.anthropic.com"
NOT_DECRYPTED = "generativelanguage.googleapis.com"
UNREACHABLE = "ollama.com"


@pytest.fixture(scope="module")
def shared_daemon(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDaemon]:
    """With all that these tests want to see at work."""
    directory = tmp_path_factory.mktemp("inspector")
    settings = settings_for(shared_provider, directory)
    inspector = settings["inspector"]
    inspector["passthrough_hosts"] = [NOT_DECRYPTED.replace(".", r"\.")]
    inspector["view"] = {"max_flows": 3, "max_bytes": 10_000_000}
    inspector["connect_to"][f"{UNREACHABLE}:443"] = "127.0.0.1:1"
    with started(SharedDaemon(directory / "instance", settings)) as running:
        yield running


def test_websocket_messages_are_recorded_in_both_directions(daemon: Daemon) -> None:
    with server(answering(str.upper)) as port, tunnel(daemon, "127.0.0.1", port) as sock:
        assert exchange(sock, f"127.0.0.1:{port}", "/v1/responses", ["one", "two"]) == ["ONE", "TWO"]
        (record,) = daemon.wait_for(1)
    assert record["response"]["status_code"] == 101
    with StoreReader(daemon.paths.store_dir) as store:
        messages = {(one["from_client"], one["content"]) for one in store.messages(record["id"])}
        kept = store.get(record["id"])
    assert messages == {(True, b"one"), (True, b"two"), (False, b"ONE"), (False, b"TWO")}
    assert kept["sizes"] == {"request": 6, "response": 6}
    assert (kept["request"]["contentState"], kept["response"]["contentState"]) == ("empty", "empty")


def test_raw_tcp_is_recorded_piece_by_piece(daemon: Daemon) -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-hello\r\n")
        connection.recv(100)

    with server(greet) as port, tunnel(daemon, "127.0.0.1", port) as sock:
        assert sock.recv(100) == b"SSH-2.0-hello\r\n"
        sock.sendall(b"SSH-2.0-client\r\n")
        sock.shutdown(socket.SHUT_WR)
        (record,) = daemon.wait_for(1, lambda one: one["type"] == "tcp")
    assert not record["opaque"]
    assert record["sizes"] == {"request": 16, "response": 15}


def test_a_passthrough_host_is_not_decrypted_and_shows_as_opaque(daemon: Daemon, provider: Provider) -> None:
    trust = ssl.create_default_context(cadata=provider.authority.pem.decode())
    host = NOT_DECRYPTED
    with tunnel(daemon, host, 443) as sock, trust.wrap_socket(sock, server_hostname=host) as secure:
        # Our CA is not in `trust`: the handshake was the provider's own.
        secure.sendall(b"GET /v1/models?very-private HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert secure.recv(65536).startswith(b"HTTP/1.1 ")
    (record,) = daemon.wait_for(1, lambda one: one["type"] == "tcp")
    assert record["opaque"]
    assert record["request"]["pretty_host"] == host
    assert record["sizes"]["request"] > 200
    assert [flow for flow in daemon.flows() if flow["type"] == "http"] == []
    for path in [path for path in daemon.paths.data_dir.rglob("*") if path.is_file()]:
        assert b"very-private" not in path.read_bytes()


def test_a_client_that_does_not_trust_us_is_told_apart(daemon: Daemon) -> None:
    stranger = ssl.create_default_context()
    with tunnel(daemon, HOST, 443) as sock, pytest.raises(ssl.SSLCertVerificationError):
        stranger.wrap_socket(sock, server_hostname=HOST)
    (record,) = daemon.wait_for(1, lambda one: one["type"] == "tls")
    assert record["opaque"]
    assert record["request"]["pretty_host"] == HOST
    assert "does not trust our CA" in record["hint"]


def test_a_client_that_hangs_up_after_the_handshake_is_told_apart(daemon: Daemon) -> None:
    trust = ssl.create_default_context(cafile=daemon.paths.ca_cert)
    with tunnel(daemon, HOST, 443) as sock, trust.wrap_socket(sock, server_hostname=HOST):
        pass
    (record,) = daemon.wait_for(1, lambda one: one["type"] == "tls")
    assert "perhaps it does not trust our CA" in record["hint"]


def test_http2_without_tls_is_understood(daemon: Daemon) -> None:
    """As gRPC speaks it on a private network: prior knowledge, trailers at the end."""

    def serve(connection: socket.socket) -> None:
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        peer.initiate_connection()
        connection.sendall(peer.data_to_send())
        while data := connection.recv(65536):
            for event in peer.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    peer.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                    peer.send_data(event.stream_id, b"\0\0\0\0\0")
                    peer.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
            connection.sendall(peer.data_to_send())

    with server(serve) as port, tunnel(daemon, "127.0.0.1", port) as sock:
        client = h2.connection.H2Connection()
        client.initiate_connection()
        authority = f"127.0.0.1:{port}"
        client.send_headers(
            1, [(":method", "POST"), (":scheme", "http"), (":authority", authority), (":path", "/pkg.Service/Call")]
        )
        client.send_data(1, b"\0\0\0\0\x01x", end_stream=True)
        sock.sendall(client.data_to_send())
        trailers: list[tuple[bytes, bytes]] = []
        while not trailers:
            for event in client.receive_data(sock.recv(65536)):
                if isinstance(event, h2.events.TrailersReceived):
                    trailers = event.headers or []
            sock.sendall(client.data_to_send())
        (record,) = daemon.wait_for(1)
    assert dict(trailers)[b"grpc-status"] == b"0"
    assert record["request"]["http_version"] == "HTTP/2.0"
    assert record["request"]["path"] == "/pkg.Service/Call"
    assert record["response"]["trailers"] == [["grpc-status", "0"]]


def test_a_client_that_leaves_in_the_middle_keeps_what_came(daemon: Daemon, provider: Provider) -> None:
    gate = Gate()
    provider.answer_with(Answer([head(200, [("Content-Length", "100")]) + b"so far", gate]))
    with socket.create_connection(("127.0.0.1", daemon.ports["reverse"]), timeout=20) as sock:
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
        answer = b""
        while not answer.endswith(b"so far"):
            answer += sock.recv(65536)
    (record,) = daemon.wait_for(1)
    gate.open()
    assert record["state"] == "error"
    assert daemon.body(record["id"], "--response") == b"so far"
    assert daemon.body(record["id"], "--request") == b"{}"


def test_mitmweb_keeps_the_newest_flows_only(daemon: Daemon, provider: Provider) -> None:
    for number in range(8):
        provider.answer_with(json_answer(200, {"number": number}))
        url = f"http://127.0.0.1:{daemon.ports['reverse']}/v1/messages?{number}"
        urllib.request.urlopen(urllib.request.Request(url, data=b"{}"), timeout=20).close()
    token = daemon.status["inspector"]["url"].partition("?token=")[2]
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon.ports['web']}/flows", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        shown = json.load(answer)
    assert [flow["request"]["path"] for flow in shown] == [f"/v1/messages?{number}" for number in (5, 6, 7)]
    assert len(daemon.flows()) == 8


def test_with_bodies_none_no_content_reaches_the_disk(start_daemon: StartDaemon, provider: Provider) -> None:
    daemon = start_daemon(store={"bodies": "none"})
    provider.answer_with(json_answer(200, {"answer": "needle-in-the-answer"}))
    body = b'{"prompt": "needle-in-the-prompt"}' + b" " * 3_000_000
    url = f"http://127.0.0.1:{daemon.ports['reverse']}/v1/messages"
    urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=20).close()
    (record,) = daemon.flows()
    assert record["sizes"]["request"] == len(body)
    for path in [path for path in daemon.paths.data_dir.rglob("*") if path.is_file()]:
        assert b"needle" not in path.read_bytes(), path


def test_curl_speaks_http2_through_us_unchanged(daemon: Daemon, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            "curl", "-sS", "--http2", "--cacert", str(daemon.paths.ca_cert), "-x", f"http://127.0.0.1:{daemon.ports['proxy']}",
            "-H", "x-api-key: k", "-d", '{"model": "m", "max_tokens": 1, "messages": []}', f"https://{HOST}/v1/messages",
        ],
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout
    (record,) = daemon.wait_for(1)
    assert record["client_conn"]["alpn"] == record["server_conn"]["alpn"]


def test_a_jailed_connection_without_a_byte_is_recorded(daemon: Daemon) -> None:
    """A port scan, or a connection that nobody answers: it leaves a trace all the same."""
    connect = (
        "import socket; s = socket.socket(); s.setblocking(False); s.connect_ex(('198.51.100.7', 4444)); s.close()"
    )
    scan = f"import socket; socket.create_connection(('{HOST}', 443), 10).close()"
    done = daemon.run("run", "--inspect", "--", "python3", "-c", f"{connect}\n{scan}")
    assert done.returncode == 0, done.stderr
    (record,) = daemon.wait_for(1, lambda one: one["type"] == "tcp" and one["request"]["port"] == 443)
    assert record["run"]
    assert "without sending anything" in record["hint"]


@pytest.mark.parametrize("size", [10, 70_000, 3_000_000])
def test_the_body_of_a_request_that_went_nowhere_is_kept(daemon: Daemon, size: int) -> None:
    body = b"{" + b" " * (size - 2) + b"}"
    url = f"http://127.0.0.1:{daemon.ports['reverse']}/v1/messages"
    elsewhere = {"x-ccinspect-upstream": f"https://{UNREACHABLE}"}
    with pytest.raises(urllib.error.HTTPError, match="502") as refused:
        urllib.request.urlopen(urllib.request.Request(url, data=body, headers=elsewhere), timeout=20)
    refused.value.close()
    (record,) = daemon.wait_for(1)
    assert record["state"] == "error"
    assert "nothing listens there" in record["hint"]
    assert daemon.body(record["id"], "--request") == body
