"""QUIC and HTTP/3 go through a jail's tunnel, and are recorded like any other request."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aioquic.asyncio import serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

from ccinspect.demo.answers import plain
from ccinspect.demo.provider import Provider
from tests.addons.conftest import Configure
from tests.support.daemon import Daemon, settings_for, started
from tests.support.shared_daemon import SharedDaemon

HOST = "api.anthropic.com"
TCP_ONLY = "api.tcp.example"
CLIENT = Path(__file__).with_name("http3_client.py")

pytestmark = pytest.mark.jail


class Server(QuicConnectionProtocol):
    """Answers every request with the body it came with, in capitals; one with the key `stale` with a 401."""

    http: H3Connection | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.bodies: dict[int, bytes] = {}
        self.status: dict[int, bytes] = {}

    def quic_event_received(self, event: Any) -> None:
        if self.http is None:
            self.http = H3Connection(self._quic)
        for found in self.http.handle_event(event):
            if isinstance(found, HeadersReceived):
                self.status[found.stream_id] = b"401" if dict(found.headers)[b"x-api-key"] == b"stale" else b"200"
            elif isinstance(found, DataReceived):
                body = self.bodies[found.stream_id] = self.bodies.get(found.stream_id, b"") + found.data
                if found.stream_ended:
                    status = self.status[found.stream_id]
                    self.http.send_headers(found.stream_id, [(b":status", status), (b"server", b"h3")])
                    self.http.send_data(found.stream_id, body.upper(), end_stream=True)
                    self.transmit()


@pytest.fixture(scope="module")
def shared_daemon(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDaemon]:
    """Knows a provider that is reached over TCP only."""
    directory: Path = tmp_path_factory.mktemp("http3")
    settings = settings_for(shared_provider, directory)
    port = shared_provider.listen(shared_provider.authority.server_context([TCP_ONLY]))
    settings["inspector"]["connect_to"][f"{TCP_ONLY}:443"] = f"127.0.0.1:{port}"
    with started(SharedDaemon(directory / "instance", settings)) as running:
        yield running


@pytest.fixture
def http3_server(provider: Provider, tmp_path: Path) -> Iterator[None]:
    """A server on the UDP port of the same number as the provider's TLS port, where `connect_to` leads."""
    certificate, key = provider.authority.issue([HOST])
    (tmp_path / "h3.pem").write_bytes(certificate)
    (tmp_path / "h3.key").write_bytes(key)
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(tmp_path / "h3.pem", tmp_path / "h3.key")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Any:
        return await serve("127.0.0.1", provider.https_port, configuration=configuration, create_protocol=Server)

    async def stop() -> None:
        server.close()

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield
    asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.mark.usefixtures("http3_server")
def test_http3_is_decrypted_and_recorded(daemon: Daemon) -> None:
    done = daemon.run("run", "--inspect", "--", sys.executable, "-P", str(CLIENT), HOST, "/v1/quic?x", "over quic")
    assert (done.returncode, done.stdout) == (0, "200 OVER QUIC\n"), done.stderr
    (record,) = daemon.flows('map(select(.type == "http"))')
    assert record["request"]["http_version"] == "HTTP/3"
    assert record["request"]["host"] == HOST
    assert record["request"]["path"] == "/v1/quic?x"
    assert record["client_conn"]["alpn"] == record["server_conn"]["alpn"] == "h3"
    assert daemon.body(record["id"], "--request") == b"over quic"
    assert daemon.body(record["id"], "--response") == b"OVER QUIC"


@pytest.mark.usefixtures("http3_server")
def test_a_credential_that_was_refused_is_renewed(configure: Configure, tmp_path: Path) -> None:
    flag = tmp_path / "asked"
    daemon = configure(
        providers={"anthropic": {"auth": f"test -e {flag} && echo fresh || {{ touch {flag}; echo stale; }}"}}
    )
    done = ask(daemon, "hello", "sk-ccinspect-anthropic")
    assert (done.returncode, done.stdout) == (0, "200 HELLO\n"), done.stderr
    (record,) = daemon.wait_for(1)
    assert [attempt["status"] for attempt in record["changes"]["attempts"]] == [401]


@pytest.mark.usefixtures("http3_server")
def test_what_a_rule_leads_elsewhere_goes_there_over_tcp(configure: Configure, provider: Provider) -> None:
    """Of the place that the client asked for is known that it speaks QUIC; of the rule's is not."""
    rule = {"match_path": "/v1/echo", "action": "redirect", "dest_host": TCP_ONLY}
    daemon = configure(inspector={"transforms": [rule]})
    for number in range(3):
        provider.answer_with(plain(200, b"%d" % number))
    done = ask(daemon, "hello", "own", "3")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")) == ["", "200 0", "200 1", "200 2"]
    assert {request.body for request in provider.requests} == {b"hello"}
    for record in daemon.wait_for(3):
        assert (record["request"]["host"], record["server_conn"]["alpn"]) == (TCP_ONLY, "http/1.1")
        assert record["state"] == "complete"


def ask(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return daemon.run("run", "--inspect", "--", sys.executable, "-P", str(CLIENT), HOST, "/v1/echo", *arguments)
