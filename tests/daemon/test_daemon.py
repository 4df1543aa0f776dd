"""The daemon's promises: loopback only, private files, one per directory, nothing half started, nothing lost."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.demo.answers import Answer, Gate, head, json_answer
from ccinspect.demo.provider import Provider
from ccinspect.errors import ControlError
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon, clean_environment, settings_for
from tests.support.ports import free_port

RUN: dict[str, Any] = {
    "command": ["true"],
    "cwd": "/",
    "name": None,
    "project": None,
    "tags": {},
    "user": "me",
    "pid": 1,
}


def post(port: int, path: str, body: bytes = b"{}", headers: tuple[str, ...] = ()) -> bytes:
    """One request by a raw socket; the whole answer, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        lines = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", "Connection: close", *headers]
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def sockets_of(pid: int) -> Iterator[tuple[str, str]]:
    """(table, local address in hex) of every internet socket that a process has open (proc(5))."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        # A descriptor may be closed while we look.
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                yield table, fields[1]


def is_loopback(table: str, local: str) -> bool:
    address = bytes.fromhex(local.split(":")[0])
    words = b"".join(address[at : at + 4][::-1] for at in range(0, len(address), 4))
    family = socket.AF_INET6 if table.endswith("6") else socket.AF_INET
    text = socket.inet_ntop(family, words)
    return text.startswith("127.") or text == "::1" or text.startswith("::ffff:127.")


def test_every_socket_is_bound_to_the_loopback(start_daemon: StartDaemon, provider: Provider) -> None:
    target = {"port": free_port(), "upstream": f"http://127.0.0.1:{provider.http_port}"}
    daemon = start_daemon(inspector={"reverse_targets": [target]})
    with ControlClient.connect(daemon.paths.control_socket) as control:
        control.call("run.start", mode="inspect", **RUN)
        found = list(sockets_of(daemon.pid))
        tables = {table for table, _ in found}
        assert tables >= {"tcp", "udp"}, f"not all listeners are there: {found}"
        assert [entry for entry in found if not is_loopback(*entry)] == []


def test_files_are_private(daemon: Daemon) -> None:
    post(daemon.ports["reverse"], "/v1/messages")
    for directory, names, files in os.walk(daemon.paths.data_dir):
        for name in names:
            assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o700, name
        for name in files:
            mode = stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode)
            assert mode & 0o077 == 0, (name, oct(mode))
    assert stat.S_IMODE(daemon.paths.control_socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(daemon.paths.runtime_dir.stat().st_mode) == 0o700


def test_a_second_daemon_on_the_same_directory_is_refused(daemon: Daemon) -> None:
    second = daemon.run("start")
    assert second.returncode != 0
    assert str(daemon.pid) in second.stderr
    assert "Traceback" not in second.stderr
    assert daemon.run("status").returncode == 0


@pytest.mark.parametrize("setting", ["reverse_port", "proxy_port", "web_port"])
def test_a_busy_port_is_named_and_nothing_is_left(tmp_path: Path, provider: Provider, setting: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        settings = settings_for(provider, tmp_path)
        settings["inspector"][setting] = holder.getsockname()[1]
        daemon = Daemon(tmp_path / "instance", settings)
        started = daemon.run("start", "--detach")
    assert started.returncode != 0
    assert str(holder_port(settings, setting)) in started.stderr
    assert f"inspector.{setting}" in started.stderr
    assert not daemon.paths.control_socket.exists()
    assert daemon.run("status").returncode != 0


def holder_port(settings: dict[str, Any], setting: str) -> int:
    return int(settings["inspector"][setting])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("store:\n  bodys: none\n", ["line 2", "store.bodys", "bodies"]),
        ("inspector:\n  web_port: many\n", ["line 2", "inspector.web_port"]),
        ("store: [\n", ["line 2", "YAML"]),
        ("inspector:\n  mitmproxy:\n    nonsense: 1\n", ["nonsense", "mitmproxy"]),
        ("inspector:\n  mitmproxy:\n    listen_host: 0.0.0.0\n", ["listen_host", "loopback"]),
        ("inspector:\n  passthrough_hosts: ['(']\n", ["line 2", "regular expression"]),
        ("inspector:\n  connect_to: {'a:b': c}\n", ["connect_to"]),
        ("inspector:\n  upstream_ca: /nowhere.pem\n", ["upstream_ca", "/nowhere.pem"]),
        ("inspector:\n  web_password: {command: 'exit 3'}\n", ["web_password", "exit code 3"]),
    ],
)
def test_a_setting_that_makes_no_sense_stops_the_start_with_its_place(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    daemon = Daemon(tmp_path / "instance", {})
    # The usual ports may be taken, which would be found first.
    names = ["reverse_port", "proxy_port", "web_port"] if text.startswith("inspector:\n") else []
    daemon.paths.config_file.write_text(text + "".join(f"  {name}: 0\n" for name in names if name not in text))
    started = daemon.run("start", "--detach")
    assert started.returncode != 0
    for word in words:
        assert word in started.stderr, started.stderr
    assert "Traceback" not in started.stderr
    assert not daemon.paths.control_socket.exists()


def test_the_environment_beats_the_file(tmp_path: Path, provider: Provider) -> None:
    daemon = Daemon(tmp_path / "instance", settings_for(provider, tmp_path))
    refused = daemon.run("start", "--detach", env={"CCINSPECT_STORE__BODYS": "none"})
    assert refused.returncode != 0
    assert "CCINSPECT_STORE__BODYS" in refused.stderr
    started = daemon.run("start", "--detach", env={"CCINSPECT_STORE__BODIES": "none"})
    try:
        assert started.returncode == 0, started.stderr
        assert daemon.json("status", "--json")["store"]["bodies"] == "none"
    finally:
        daemon.run("stop")


def test_mitmweb_asks_for_a_token_that_survives_restarts(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    url = daemon.status["inspector"]["url"]
    token = url.partition("?token=")[2]
    assert token
    assert token not in daemon.log()
    web = daemon.ports["web"]
    assert b" 403 " in get(web, "/").splitlines()[0]
    assert b" 200 " in get(web, f"/?token={token}").splitlines()[0]
    daemon.stop()
    daemon.restart_after_kill()
    assert daemon.status["inspector"]["url"].partition("?token=")[2] == token


def get(port: int, path: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_kill_9_loses_no_completed_flow_and_marks_the_others(start_daemon: StartDaemon, provider: Provider) -> None:
    daemon = start_daemon()
    gate = Gate()
    provider.answer_with(
        Answer([head(200, [("Content-Length", "10")]) + b"half-", gate]),
        lambda request: request.request_line[1] == "/v1/messages?slow",
    )
    with socket.create_connection(("127.0.0.1", daemon.ports["reverse"]), timeout=20) as slow:
        slow.sendall(b"POST /v1/messages?slow HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}")
        gate.wait_reached()
        for number in range(50):
            provider.answer_with(json_answer(200, {}), lambda request: b"slow" not in request.head)
            assert b" 200 " in post(daemon.ports["reverse"], f"/v1/messages?{number}")[:20]
        recorder = os.pidfd_open(daemon.status["store"]["pid"])
        daemon.kill()
    gate.open()
    # The recorder outlives its daemon to write what it was given, and takes the dead socket away.
    assert select.select([recorder], [], [], 20)[0]
    os.close(recorder)
    assert not daemon.paths.control_socket.exists()
    daemon.restart_after_kill()
    records = daemon.flows()
    states = {record["request"]["path"].partition("?")[2]: record["state"] for record in records}
    assert states.pop("slow") == "interrupted"
    assert states == {str(number): "complete" for number in range(50)}


def test_a_run_lives_as_long_as_its_connection(daemon: Daemon) -> None:
    with ControlClient.connect(daemon.paths.control_socket) as observer:
        control = ControlClient.connect(daemon.paths.control_socket)
        before = len(list(sockets_of(daemon.pid)))
        run = control.call("run.start", mode="inspect", **RUN)
        assert [one["id"] for one in observer.call("run.list")] == [run["run_id"]]
        control.close()
        # `run.end` of a run that is being closed waits for nothing of ours: ask until the daemon has noticed.
        for _ in range(1000):
            if not observer.call("run.list") and len(list(sockets_of(daemon.pid))) == before:
                break
        else:
            pytest.fail("the run outlived its connection")
        recorded = {one["id"]: one for one in daemon.json("runs", "list", "--json")}
        assert recorded[run["run_id"]]["ended_at"] is not None
        assert recorded[run["run_id"]]["exit_code"] is None


def test_the_control_socket_survives_nonsense(daemon: Daemon) -> None:
    for nonsense in (b"\n", b"{}\n", b"[1]\n", b'{"id": "x", "method": 5}\n', b"\xff\xfe\n", b'{"id": 1'):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            with protocol.socket_address(daemon.paths.control_socket) as address:
                sock.connect(address)
            sock.sendall(nonsense)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
    with ControlClient.connect(daemon.paths.control_socket) as control:
        with pytest.raises(ControlError, match="unknown control method"):
            control.call("no.such.method")
        with pytest.raises(ControlError, match="unknown run mode"):
            control.call("run.start", mode="sideways", **RUN)
        assert control.call("status")["pid"] == daemon.pid


def test_proxy_credentials_name_the_run_and_go_no_further(daemon: Daemon, provider: Provider) -> None:
    with ControlClient.connect(daemon.paths.control_socket) as control:
        run = control.call("run.start", mode="proxy", **RUN)
        environment = clean_environment() | run["env"]
        for url, trust in (
            ("http://api.anthropic.com/v1/messages", []),
            ("https://api.anthropic.com/v1/messages", ["--cacert", run["ca_cert"]]),
        ):
            subprocess.run(["curl", "-sS", *trust, "-d", "{}", url], env=environment, check=True, timeout=30)
        ended = control.call("run.end", run_id=run["run_id"], exit_code=0)
    assert ended["flows"] == 2
    assert {record["run"] for record in daemon.flows()} == {run["run_id"]}
    password = run["env"]["HTTP_PROXY"].split(":")[2].split("@")[0].encode()
    for request in provider.wait_for(2):
        assert b"proxy-" not in request.raw.lower()
    for path in [*daemon.paths.data_dir.rglob("*"), *daemon.paths.runtime_dir.rglob("*")]:
        if path.is_file():
            assert password not in path.read_bytes(), path


def test_wrong_proxy_credentials_name_no_run(daemon: Daemon) -> None:
    proxy = f"http://someone:guess@127.0.0.1:{daemon.ports['proxy']}"
    subprocess.run(
        ["curl", "-sS", "-x", proxy, "-d", "{}", "http://api.anthropic.com/v1/messages"], check=True, timeout=30
    )
    assert [record["run"] for record in daemon.wait_for(1)] == [None]


def test_an_upstream_with_a_bad_certificate_is_refused(start_daemon: StartDaemon, provider: Provider) -> None:
    # Without the provider's authority its certificate is as bad as a forged one.
    daemon = start_daemon(inspector={"upstream_ca": None})
    answer = post(daemon.ports["reverse"], "/v1/messages", b'{"secret": 1}')
    assert answer.startswith(b"HTTP/1.1 502")
    (record,) = daemon.wait_for(1)
    assert record["state"] == "error"
    assert "certificate" in record["error"]["msg"].lower()
    assert "upstream_ca" in record["hint"]
    assert provider.requests == []


def test_the_log_has_no_key_and_no_line_per_flow(daemon: Daemon, provider: Provider) -> None:
    lines_before = len(daemon.log(10_000).splitlines())
    with ControlClient.connect(daemon.paths.control_socket) as control:
        run = control.call("run.start", mode="inspect", **RUN)
        for number in range(20):
            provider.answer_with(json_answer(200 if number % 2 else 500, {}))
            post(daemon.ports["reverse"], "/v1/messages", headers=("x-api-key: sk-ant-secret-key",))
        control.call("run.end", run_id=run["run_id"], exit_code=0)
    log = daemon.log(10_000)
    assert "sk-ant-secret-key" not in log
    assert run["tunnel"]["client_private_key"] not in log
    assert len(log.splitlines()) - lines_before <= 20


def test_nothing_of_a_tunnels_key_stays_on_disk(daemon: Daemon) -> None:
    with ControlClient.connect(daemon.paths.control_socket) as control:
        run = control.call("run.start", mode="inspect", **RUN)
        key = run["tunnel"]["client_private_key"].encode()
        roots = (daemon.paths.data_dir, daemon.paths.runtime_dir)
        for path in [path for root in roots for path in root.rglob("*") if path.is_file()]:
            assert key not in path.read_bytes(), path
