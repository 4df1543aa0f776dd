"""What a client says to us as its proxy is for us alone: the server sees the request as if there were none."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from ccinspect.control.client import ControlClient
from ccinspect.demo.answers import plain
from ccinspect.demo.provider import Provider
from tests.fidelity import rawclient
from tests.fidelity.corpus import HOST
from tests.fidelity.rawclient import Reader
from tests.support.daemon import Daemon


@pytest.fixture
def proxy_url(shared_daemon: Daemon) -> Iterator[str]:
    """The URL, credentials included, that `run --proxy` gives to its command."""
    about = {
        "command": ["x"],
        "cwd": "/",
        "name": None,
        "project": None,
        "tags": {},
        "git": None,
        "user": "t",
        "pid": 0,
    }
    with ControlClient.connect(shared_daemon.paths.control_socket) as control:
        run = control.call("run.start", mode="proxy", upstreams={}, **about)
        yield run["env"]["HTTPS_PROXY"]
        control.call("run.end", run_id=run["run_id"], exit_code=0)


def test_nothing_meant_for_a_proxy_reaches_the_server(provider: Provider, proxy_url: str) -> None:
    url = urlsplit(proxy_url)
    token = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    own = f"Proxy-Authorization: Basic {token}\r\nProxy-Connection: Keep-Alive\r\n"
    provider.answer_with(plain(200, b"ok"))
    with rawclient.connect("127.0.0.1", url.port or 0, None) as sock:
        sock.sendall(f"GET http://{HOST}/x HTTP/1.1\r\nHost: {HOST}\r\nX-A: 1\r\n{own}X-B: 2\r\n\r\n".encode())
        assert Reader(sock).message("GET").body == b"ok"
    assert provider.requests[0].head == f"GET /x HTTP/1.1\r\nHost: {HOST}\r\nX-A: 1\r\nX-B: 2\r\n\r\n".encode()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_curl_looks_the_same_to_the_server(
    provider: Provider, shared_daemon: Daemon, proxy_url: str, scheme: str
) -> None:
    port = provider.https_port if scheme == "https" else provider.http_port
    default = 443 if scheme == "https" else 80
    curl = ["curl", "-sS", "--http1.1", "-d", "a=1", "-H", "X-B;", f"{scheme}://{HOST}/v1/x?y"]
    authority = shared_daemon.paths.config_dir.parent / "provider-ca.pem"
    for options in (
        ["--cacert", str(authority), "--connect-to", f"{HOST}:{default}:127.0.0.1:{port}"],
        ["--cacert", str(shared_daemon.paths.ca_cert), "--proxy", proxy_url],
    ):
        provider.answer_with(plain(200, b"ok"))
        assert shared_daemon.execute([*curl, *options]) == "ok"
    without, behind = provider.wait_for(2)
    assert behind.raw == without.raw


def test_credentials_of_no_run_stay_here_too(provider: Provider, proxy_url: str) -> None:
    """The proxy is open to this machine, so they open nothing; but they may be somebody's password."""
    provider.answer_with(plain(200, b"ok"))
    token = base64.b64encode(b"nobody:a password").decode()
    request = f"GET http://{HOST}/x HTTP/1.1\r\nHost: {HOST}\r\nProxy-Authorization: Basic {token}\r\n\r\n"
    with rawclient.connect("127.0.0.1", urlsplit(proxy_url).port or 0, None) as sock:
        sock.sendall(request.encode())
        assert Reader(sock).message("GET").status == 200
    assert provider.requests[0].head == f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
