"""A real mitmproxy with WireGuard listeners, and servers behind it, all on the loopback interface."""

from __future__ import annotations

import json
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import mitmproxy_rs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import NameOID

ADDON = Path(__file__).with_name("proxy_addon.py")
LISTENERS = 60
# From the eleventh handshake of a listener on, mitmproxy's WireGuard wants a cookie, which costs a client five seconds.
# The daemon has a listener for each run; the tests start fewer jails on one than that.
JAILS_PER_LISTENER = 9
SIDE_BY_SIDE = 10
_STOP = b"end of test"
_WORKERS = 16


class Hello(BaseHTTPRequestHandler):
    """Answers with the path it was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"hello from outside: {self.path}".encode()
        if self.path.startswith("/bytes/"):
            body = b"x" * int(self.path.rpartition("/")[2])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        left = size
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        body = str(size).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Nothing on the terminal."""


def _echo_udp(server: socket.socket) -> None:
    data = b""
    while data != _STOP:
        data, sender = server.recvfrom(1 << 16)
        server.sendto(data, sender)


def _self_signed(directory: Path) -> Path:
    """A certificate that nobody has reason to trust, with its key."""
    path = directory / "upstream.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream.example")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    signed = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@contextmanager
def servers(directory: Path) -> Iterator[dict[int, int]]:
    """A web server with and without TLS, and a UDP echo; yields the port asked for -> the real port."""
    web, secure = (ThreadingHTTPServer(("127.0.0.1", 0), Hello) for _ in range(2))
    web.daemon_threads = secure.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(directory))
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    threads = [
        threading.Thread(target=web.serve_forever),
        threading.Thread(target=secure.serve_forever),
        threading.Thread(target=_echo_udp, args=[udp]),
    ]
    for thread in threads:
        thread.start()
    try:
        plain, echo = web.server_address[1], udp.getsockname()[1]
        yield {80: plain, 8000: plain, 443: secure.server_address[1], 7: echo}
    finally:
        for server in (web, secure):
            server.shutdown()
            server.server_close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(_STOP, udp.getsockname())
        for thread in threads:
            thread.join(5)
        udp.close()


class Tunnels:
    """mitmdump with several listeners, so that jails can run side by side as they do with the daemon."""

    def __init__(self, directory: Path, upstreams: dict[int, int]) -> None:
        self.directory = directory
        self.ca_cert = directory / "ca" / "mitmproxy-ca-cert.pem"
        self._log = directory / "seen.jsonl"
        self._log.touch()
        self._ports = _free_udp_ports(LISTENERS)
        self._keys = [(mitmproxy_rs.wireguard.genkey(), mitmproxy_rs.wireguard.genkey()) for _ in self._ports]
        self._next = count()
        modes = []
        for number, (port, (server, client)) in enumerate(zip(self._ports, self._keys, strict=True)):
            file = directory / f"keys-{number}.json"
            file.write_text(json.dumps({"server_key": server, "client_key": client}))
            modes += ["--mode", f"wireguard:{file}@127.0.0.1:{port}"]
        environ = os.environ | {"JAIL_TEST_LOG": str(self._log), "JAIL_TEST_UPSTREAMS": json.dumps(upstreams)}
        # It does not flush what it says of its listeners.
        environ["PYTHONUNBUFFERED"] = "1"
        command = [str(Path(sys.executable).with_name("mitmdump")), "--set", f"confdir={directory / 'ca'}", "-s", ADDON]
        self._process = subprocess.Popen(
            [*command, "--set", "ssl_insecure=true", *modes],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            text=True,
        )
        assert self._process.stdout
        started, said = 0, []
        for line in self._process.stdout:
            said.append(line)
            started += "WireGuard server listening" in line
            if started == LISTENERS:
                break
        assert started == LISTENERS, "mitmdump did not start:\n" + "".join(said)
        self._drain = threading.Thread(target=self._process.stdout.read)
        self._drain.start()

    def fresh(self, ipv6: bool = False) -> dict[str, Any]:
        """A tunnel for one jail, as `run.start` would answer; no other of the last ten has the same listener."""
        group, within = divmod(next(self._next), JAILS_PER_LISTENER * SIDE_BY_SIDE)
        number = group * SIDE_BY_SIDE + within % SIDE_BY_SIDE
        assert number < LISTENERS, "more jails than these listeners are good for: raise LISTENERS"
        server, client = self._keys[number]
        return {
            "endpoint_port": self._ports[number],
            "server_public_key": mitmproxy_rs.wireguard.pubkey(server),
            "client_private_key": client,
            "address": "10.0.0.1",
            "dns": "10.0.0.53",
            "ipv6": ipv6,
        }

    def seen(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What has crossed the tunnels so far."""
        entries = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [entry for entry in entries if kind in (None, entry["kind"])]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._drain.join(5)
        assert self._process.stdout
        self._process.stdout.close()


def _free_udp_ports(number: int) -> list[int]:
    """Different ones, below those that the kernel hands out: nobody gets one of them before mitmproxy does."""
    with ExitStack() as probes:
        free: list[int] = []
        # pytest-xdist's workers run side by side: each has ports of its own.
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
        for port in random.sample(range(20_000 + worker, 32_768, _WORKERS), 10 * number):
            probe = probes.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                free.append(port)
            if len(free) == number:
                return free
    raise AssertionError(f"no {number} free UDP ports on 127.0.0.1")
