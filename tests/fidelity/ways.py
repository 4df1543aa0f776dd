"""The ways a request can take to the provider, and what of it may differ by the nature of the way."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol
from urllib.parse import urlsplit

from ccinspect.control.client import ControlClient
from ccinspect.demo.provider import Provider
from tests.fidelity import rawclient
from tests.fidelity.corpus import HOST, Case
from tests.fidelity.rawclient import Outcome
from tests.support.daemon import Daemon

Rewrite = Callable[[bytes], bytes]

# Only where a header line follows: a body may hold what looks like a request line.
_REQUEST_LINE = re.compile(rb"^([A-Za-z_-]+) (\S+) (HTTP/1\.[01])\r\n(?=[^\r\n]+:)", re.MULTILINE)


class Way(Protocol):
    """One way of sending a case."""

    name: str

    def send(self, case: Case) -> Outcome: ...

    def expected(self, head: bytes) -> bytes:
        """What the server must see, given the head that the client sends."""
        ...


class Sockets:
    """A way that opens a connection and sends the bytes, perhaps with other targets."""

    def __init__(
        self, name: str, connect: Callable[[], socket.socket], rewrite: Rewrite = lambda target: target
    ) -> None:
        self.name = name
        self.connect = connect
        self._rewrite = rewrite

    def send(self, case: Case) -> Outcome:
        with self.connect() as sock:
            return rawclient.exchange(sock, [self.rewritten(part) for part in case.parts], list(case.methods))

    def rewritten(self, part: bytes) -> bytes:
        """The same request as it must be sent this way."""
        return _REQUEST_LINE.sub(lambda line: b"%s %s %s\r\n" % (line[1], self._rewrite(line[2]), line[3]), part)

    def expected(self, head: bytes) -> bytes:
        return head


class ReverseSockets(Sockets):
    """A reverse listener: the client must name us as its host, so the Host line is ours to write."""

    def expected(self, head: bytes) -> bytes:
        return re.sub(rb"(?im)^(host):[ \t]*\S*[ \t]*\r\n", rb"\1: " + HOST.encode() + b"\r\n", head)


class Jail:
    """Through a jailed process that never heard of us."""

    def __init__(self, daemon: Daemon, name: str, port: int, tls: bool) -> None:
        self.name = name
        self._task = {"host": HOST, "port": port, "tls": tls}
        self._process = daemon.popen(
            daemon.argv("run", "--inspect", "--", sys.executable, "-P", str(Path(rawclient.__file__))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, case: Case) -> Outcome:
        assert self._process.stdin
        assert self._process.stdout
        parts = [base64.b64encode(part).decode() for part in case.parts]
        try:
            self._process.stdin.write(json.dumps({**self._task, "parts": parts, "methods": case.methods}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.kill()
            raise AssertionError(f"the jailed client ended: {self._process.communicate()[1]}")
        return rawclient.load(line)

    def expected(self, head: bytes) -> bytes:
        return head

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.communicate(timeout=30)


def direct(provider: Provider, tls: bool = False) -> Sockets:
    """Straight to the provider, without us."""
    if not tls:
        return Sockets("direct", lambda: rawclient.connect("127.0.0.1", provider.http_port, None))
    context = ssl.create_default_context(cadata=provider.authority.pem.decode())
    return Sockets("direct", lambda: rawclient.connect("localhost", provider.https_port, context))


class Ways:
    """All ways, made when first asked for."""

    NAMES = ("reverse", "base-url", "proxy-connect", "proxy-absolute", "jail-plain", "jail-tls")

    def __init__(self, daemon: Daemon, reverse_port: int) -> None:
        self._daemon = daemon
        self._reverse_port = reverse_port
        self._made: dict[str, Way] = {}
        self._control: ControlClient | None = None

    def __enter__(self) -> Ways:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for way in self._made.values():
            if isinstance(way, Jail):
                way.close()
        if self._control:
            self._control.close()

    def __getitem__(self, name: str) -> Way:
        if name not in self._made:
            self._made[name] = getattr(self, "_" + name.replace("-", "_"))()
        return self._made[name]

    def sockets(self, name: str) -> Sockets:
        """A way that is a connection of our own (all but the jails)."""
        way = self[name]
        assert isinstance(way, Sockets)
        return way

    def _local(self, port: int) -> socket.socket:
        return rawclient.connect("127.0.0.1", port, None)

    def _reverse(self) -> Way:
        return ReverseSockets("reverse", lambda: self._local(self._reverse_port))

    def _base_url(self) -> Way:
        self._control = ControlClient.connect(self._daemon.paths.control_socket)
        run = self._control.call(
            "run.start",
            mode="base-url",
            command=["raw"],
            cwd="/",
            name=None,
            project=None,
            tags={},
            git=None,
            user="test",
            pid=0,
            upstreams={"ANTHROPIC_BASE_URL": f"http://{HOST}"},
        )
        url = urlsplit(run["env"]["ANTHROPIC_BASE_URL"])
        assert url.port is not None
        port, prefix = url.port, url.path.rstrip("/").encode()
        return ReverseSockets("base-url", lambda: self._local(port), lambda target: prefix + target)

    def _proxy_connect(self) -> Way:
        trust = ssl.create_default_context(cafile=self._daemon.paths.ca_cert)

        def connect() -> socket.socket:
            sock = self._local(self._daemon.ports["proxy"])
            sock.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
            answer = rawclient.Reader(sock).message("HEAD")
            assert answer.status == 200, answer
            return trust.wrap_socket(sock, server_hostname=HOST)

        return Sockets("proxy-connect", connect)

    def _proxy_absolute(self) -> Way:
        prefix = f"http://{HOST}".encode()
        return Sockets(
            "proxy-absolute", lambda: self._local(self._daemon.ports["proxy"]), lambda target: prefix + target
        )

    def _jail_plain(self) -> Way:
        return Jail(self._daemon, "jail-plain", 80, tls=False)

    def _jail_tls(self) -> Way:
        return Jail(self._daemon, "jail-tls", 443, tls=True)
