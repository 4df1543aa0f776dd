"""Everything that leaves goes through the company's proxy, by every way in: a real one."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import connection
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import tflow

from ccinspect.addons.upstream_proxy import ThroughProxy, in_absolute_form
from ccinspect.demo.api import HOSTS
from ccinspect.demo.certificates import Authority
from ccinspect.demo.provider import Provider
from ccinspect.outward.proxy import UpstreamProxy
from ccinspect.outward.settings import UpstreamProxySettings
from tests.support.corporate import PASSWORD, USER, Proxy, tinyproxy
from tests.support.daemon import Daemon, settings_for, started
from tests.support.http2 import Server

ONLY_THERE = "models.corp.test"
"""A name that nobody but the proxy can resolve."""
BODY = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}).encode()
HEADERS = {"content-type": "application/json", "x-api-key": "sk-test", "anthropic-version": "2023-06-01"}


class Corporate:
    """A daemon behind a proxy, and the provider at the other end."""

    def __init__(
        self,
        daemon: Daemon,
        provider: Provider,
        proxy: Proxy,
        opaque: int = 0,
        upgrades: int = 0,
        http2: Server | None = None,
    ) -> None:
        self.daemon = daemon
        self.provider = provider
        self.proxy = proxy
        self.opaque = opaque
        """A TLS port of the provider that is passed through without decryption."""
        self.upgrades = upgrades
        """A plain one that the proxy opens tunnels to."""
        self.http2 = http2

    def post(self, path: str = "/v1/messages", **headers: str) -> tuple[int, bytes]:
        """Ask the reverse listener."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.ports["reverse"], timeout=20)
        connection.request("POST", path, BODY, HEADERS | headers)
        answer = connection.getresponse()
        said = answer.status, answer.read()
        connection.close()
        return said

    def flow(self, path: str) -> dict[str, Any]:
        """The record of the last flow that asked for this path."""
        found = self.daemon.wait_for(1, lambda record: (record.get("request") or {}).get("path") == path)
        return found[-1]

    def nothing_secret(self) -> None:
        """The password stands nowhere: not in the store, the log, the status or a command line."""
        encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode())
        self.daemon.run("flows", "list", check=True)
        status = json.dumps(self.daemon.json("status", "--json")).encode()
        command = Path(f"/proc/{self.daemon.pid}/cmdline").read_bytes()
        files = [path for path in self.daemon.paths.data_dir.rglob("*") if path.is_file()]
        for told in [status, command, *(path.read_bytes() for path in files)]:
            assert PASSWORD.encode() not in told
            assert encoded not in told


def behind(stack: ExitStack, directory: Path, provider: Provider, places: Mapping[str, str], **upstream: Any) -> Daemon:
    """Start a daemon that finds the provider under a name which only the proxy resolves."""
    blocks = settings_for(provider, directory)
    blocks["inspector"] |= {
        "connect_to": {f"{host}:443": f"{ONLY_THERE}:{provider.https_port}" for host in HOSTS},
        "upstream_proxy": upstream,
        **places,
    }
    return stack.enter_context(started(Daemon(directory / "instance", blocks)))


class Echo(socketserver.BaseRequestHandler):
    """Greets, and says again what it heard."""

    def handle(self) -> None:
        self.request.sendall(b"hello")
        while heard := self.request.recv(100):
            self.request.sendall(heard)


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of a server that is no HTTP and speaks first."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def corporate(tmp_path_factory: pytest.TempPathFactory, echo: int) -> Iterator[Corporate]:
    """Behind a proxy that demands a password, and opens tunnels to TLS and to the echo only."""
    directory = tmp_path_factory.mktemp("corporate")
    (directory / "login").write_text(f"{USER}:{PASSWORD}\n")
    with ExitStack() as stack:
        provider = stack.enter_context(Provider([*HOSTS, ONLY_THERE]))
        opaque = provider.listen(provider.authority.server_context([ONLY_THERE]))
        upgrades = provider.listen(None)
        http2 = stack.enter_context(Server(provider.authority, [ONLY_THERE]))
        allowed = [provider.https_port, opaque, upgrades, http2.port, echo]
        proxy = stack.enter_context(tinyproxy({ONLY_THERE: "127.0.0.1"}, allowed, login=True))
        daemon = behind(
            stack,
            directory,
            provider,
            {"passthrough_hosts": [f"{ONLY_THERE}:{opaque}"]},
            url=f"http://127.0.0.1:{proxy.port}",
            auth={"file": str(directory / "login")},
            exceptions="direct.test, 203.0.113.0/24",
        )
        yield Corporate(daemon, provider, proxy, opaque, upgrades, http2)


def test_the_reverse_listener_goes_through_a_tunnel(corporate: Corporate) -> None:
    status, _ = corporate.post("/v1/messages?way=reverse")
    assert status == 200
    flow = corporate.flow("/v1/messages?way=reverse")
    assert flow["server_conn"]["via"] == f"http://127.0.0.1:{corporate.proxy.port}"
    assert flow["server_conn"]["address"] == ["api.anthropic.com", 443]


def through_forward_proxy(corporate: Corporate, host: str, port: int) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(corporate.daemon.paths.ca_cert))
    connection = http.client.HTTPSConnection("127.0.0.1", corporate.daemon.ports["proxy"], timeout=20, context=context)
    connection.set_tunnel(host, port)
    return connection


def test_the_forward_proxy_lets_the_upstream_one_resolve_names(corporate: Corporate) -> None:
    connection = through_forward_proxy(corporate, ONLY_THERE, corporate.provider.https_port)
    connection.request("POST", "/v1/messages?way=connect", BODY, HEADERS)
    assert connection.getresponse().status == 200
    connection.close()
    assert corporate.flow("/v1/messages?way=connect")["server_conn"]["via"]


def test_plain_http_is_asked_of_the_proxy_itself(corporate: Corporate) -> None:
    port = corporate.provider.http_port
    url = f"http://{ONLY_THERE}:{port}/v1/messages?way=absolute"
    with closing(http.client.HTTPConnection("127.0.0.1", corporate.daemon.ports["proxy"], timeout=20)) as connection:
        for _ in range(2):
            connection.request("POST", url, BODY, HEADERS)
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True)
    first, flow = corporate.daemon.wait_for(2, lambda one: str(one["request"].get("path")).endswith("way=absolute"))
    # This proxy ends its connections without a word: none is used again.
    assert first["server_conn"]["sockname"] != flow["server_conn"]["sockname"]
    assert first["client_conn"]["id"] == flow["client_conn"]["id"]
    names = [name for name, _ in flow["request"]["headers"]]
    assert "proxy-authorization" not in [name.lower() for name in names]
    assert flow["server_conn"]["via"]


def test_http2_travels_in_a_tunnel(corporate: Corporate) -> None:
    assert corporate.http2 is not None
    url = f"https://{ONLY_THERE}:{corporate.http2.port}/v1/messages?way=http2"
    through = f"http://127.0.0.1:{corporate.daemon.ports['proxy']}"
    options = ["--cacert", str(corporate.daemon.paths.ca_cert), "-w", "%{http_version} %{http_code}", "--data", "x"]
    told = corporate.daemon.execute(["curl", "-s", "--http2", "-x", through, *options, url])
    assert told == "2 200"
    assert corporate.http2.wait_for(1)[0].body == b"x"
    flow = corporate.flow("/v1/messages?way=http2")
    assert flow["server_conn"]["via"]
    assert flow["server_conn"]["alpn"] == "h2"


def test_a_change_of_protocol_gets_a_tunnel_also_without_tls(corporate: Corporate) -> None:
    """A proxy would not pass it on."""
    place = f"{ONLY_THERE}:{corporate.upgrades}"
    request = (
        f"GET http://{place}/v1/realtime HTTP/1.1\r\nHost: {place}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", corporate.daemon.ports["proxy"]), timeout=20) as client:
        # On one connection, and the first request goes to the proxy itself.
        client.sendall(f"HEAD http://{place}/v1/models?first HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 ")
        client.sendall(request.encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 ")
    first, second = (
        [each for each in corporate.provider.requests if word in each.raw][-1].raw for word in (b"?first", b"realtime")
    )
    assert b"tinyproxy" in first
    assert b"Upgrade: websocket" in second
    assert b"tinyproxy" not in second


ASK = """if True:
    import json, sys, urllib.request as u
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"content-type": "application/json", "x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
    for url in sys.argv[1:]:
        print(u.urlopen(u.Request(url, body, headers), timeout=30).status, flush=True)
"""
RAW = """if True:
    import socket, ssl, sys
    host, opaque, echo = sys.argv[1], *map(int, sys.argv[2:])
    context = ssl._create_unverified_context()
    with socket.create_connection((host, opaque), timeout=20) as tcp, context.wrap_socket(tcp) as s:
        print(b"throw-away" in s.getpeercert(True))
    with socket.create_connection((host, echo), timeout=20) as s:
        print(s.recv(5).decode())
        s.sendall(b"\\0raw")
        print(s.recv(4)[1:].decode())
        s.shutdown(socket.SHUT_WR)
        print(s.recv(1))
"""


@pytest.mark.jail
def test_a_jail_reaches_names_that_this_machine_does_not_know(corporate: Corporate) -> None:
    provider = corporate.provider
    urls = [
        f"https://{ONLY_THERE}:{provider.https_port}/v1/messages?way=jail",
        f"http://{ONLY_THERE}:{provider.http_port}/v1/messages?way=jail-plain",
        "https://api.anthropic.com/v1/messages?way=jail-mapped",
    ]
    done = corporate.daemon.run("run", "-i", "--", sys.executable, "-c", ASK, *urls)
    assert done.stdout.split() == ["200"] * 3, done.stderr + corporate.daemon.log()
    for way in ("jail", "jail-plain", "jail-mapped"):
        flow = corporate.flow(f"/v1/messages?way={way}")
        assert flow["server_conn"]["via"]
        assert flow["source"] == "wireguard"


@pytest.mark.jail
def test_streams_of_a_jail_that_are_no_http_get_tunnels(corporate: Corporate, echo: int) -> None:
    done = corporate.daemon.run(
        "run", "-i", "--", sys.executable, "-c", RAW, ONLY_THERE, str(corporate.opaque), str(echo)
    )
    assert done.stdout.split() == ["True", "hello", "raw", "b''"], done.stderr + corporate.daemon.log()
    streams = corporate.daemon.flows('map(select(.type == "tcp"))')
    told = {(flow["request"]["port"], bool(flow["server_conn"]["via"]), flow["opaque"]) for flow in streams}
    assert told == {(corporate.opaque, True, True), (echo, True, False)}


def test_nothing_tells_the_password(corporate: Corporate) -> None:
    assert corporate.post("/v1/messages?way=secret")[0] == 200
    corporate.flow("/v1/messages?way=secret")
    corporate.nothing_secret()


def test_a_place_that_the_proxy_does_not_open_is_told_in_the_clients_dialect(corporate: Corporate) -> None:
    connection = through_forward_proxy(corporate, "api.anthropic.com", 4)
    connection.request("POST", "/v1/messages?way=closed", BODY, HEADERS)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status == 502
    assert told["type"] == "error"
    assert "opens no way to api.anthropic.com:4: it answered 403" in told["error"]["message"]
    flow = corporate.flow("/v1/messages?way=closed")
    assert flow["response"]["status_code"] == 502
    assert "opens no way" in flow["error"]["msg"]
    assert flow["hint"].startswith("ask whoever runs it")


@pytest.mark.parametrize(
    ("host", "transport", "refused"),
    [(ONLY_THERE, "udp", True), (ONLY_THERE, "tcp", False), ("127.0.0.1", "udp", False), ("203.0.113.9", "udp", True)],
)
def test_udp_is_refused_where_only_the_proxy_leads(tmp_path: Path, host: str, transport: str, refused: bool) -> None:
    proxy = UpstreamProxy(UpstreamProxySettings(url="http://127.0.0.1:1"), tmp_path)
    server = connection.Server(address=(host, 4433), transport_protocol=transport)
    addon = ThroughProxy(proxy)
    addon.server_connect(ServerConnectionHookData(server=server, client=tflow.tclient_conn()))
    assert ("UDP does not go through the upstream proxy" in (server.error or "")) is refused


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("GET /a?b HTTP/1.1", "GET http://h.test:81/a?b HTTP/1.1"),
        ("OPTIONS * HTTP/1.1", "OPTIONS http://h.test:81 HTTP/1.1"),
        ("GET http://h.test:81/a HTTP/1.1", "GET http://h.test:81/a HTTP/1.1"),
        ("GET /a b HTTP/1.0", "GET http://h.test:81/a b HTTP/1.0"),
    ],
)
def test_a_request_for_the_proxy_says_where_it_goes(line: str, first: str) -> None:
    head = f"{line}\r\nHost: h.test:81\r\nA:  b\r\n\r\n".encode()
    rest = "Host: h.test:81\r\nA:  b\r\n\r\n"
    assert in_absolute_form(head, "h.test:81", None) == f"{first}\r\n{rest}".encode()
    shown = f"{first}\r\nProxy-Authorization: Basic eA==\r\n{rest}"
    assert in_absolute_form(head, "h.test:81", "Basic eA==") == shown.encode()


def test_a_proxy_behind_tls_that_changes_its_mind(tmp_path: Path) -> None:
    """One daemon and one proxy after the other on its port: down, without a login, with one; TLS all the time."""
    authority = Authority("corporate")
    with ExitStack() as stack:
        provider = stack.enter_context(Provider([*HOSTS, ONLY_THERE]))
        names, allowed = {ONLY_THERE: "127.0.0.1"}, [provider.https_port]
        login = tmp_path / "login"
        login.write_text("alice:wrong")
        (tmp_path / "roots.pem").write_bytes(provider.authority.pem + authority.pem)
        with tinyproxy(names, allowed, login=True, authority=authority) as proxy:
            daemon = behind(
                stack,
                tmp_path,
                provider,
                {"upstream_ca": str(tmp_path / "roots.pem")},
                url=f"https://127.0.0.1:{proxy.tls_port}",
                auth={"file": str(login), "ttl": 0},
            )
            corporate = Corporate(daemon, provider, proxy)
            status, told = corporate.post("/v1/messages?way=refused")
            assert (status, b"refuses the credentials" in told) == (502, True)
            login.write_text(f"{USER}:{PASSWORD}")
            status, told = corporate.post("/v1/messages?way=tls")
            assert (status, told[:1]) == (200, b"{")
        status, told = corporate.post("/v1/messages?way=down")
        assert (status, b"cannot be reached" in told) == (502, True)
        assert corporate.flow("/v1/messages?way=down")["hint"].startswith("see that it runs")
        assert corporate.flow("/v1/messages?way=tls")["server_conn"]["via"] == f"https://127.0.0.1:{proxy.tls_port}"
        assert daemon.json("status", "--json")["upstream_proxy"] == f"https://127.0.0.1:{proxy.tls_port}"
        corporate.nothing_secret()
