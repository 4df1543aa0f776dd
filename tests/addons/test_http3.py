"""QUIC and HTTP/3 go through a jail's tunnel, and are recorded like any other request."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aioquic.asyncio import serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived
from aioquic.quic.configuration import QuicConfiguration

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon

HOST = "api.anthropic.com"
CLIENT = Path(__file__).with_name("http3_client.py")

pytestmark = pytest.mark.jail


class Server(QuicConnectionProtocol):
    """Answers every request with the body it came with, in capitals."""

    http: H3Connection | None = None
    body = b""

    def quic_event_received(self, event: Any) -> None:
        if self.http is None:
            self.http = H3Connection(self._quic)
        for found in self.http.handle_event(event):
            if isinstance(found, DataReceived):
                self.body += found.data
                if found.stream_ended:
                    self.http.send_headers(found.stream_id, [(b":status", b"200"), (b"server", b"h3")])
                    self.http.send_data(found.stream_id, self.body.upper(), end_stream=True)
                    self.transmit()


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
