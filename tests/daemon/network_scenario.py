"""Run in a network namespace of its own: a daemon that other machines can reach, and another machine.

Prints what happened as one JSON object. The other machine is a second namespace at the end of a cable (veth).
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, settings_for, started

TOKEN = "network-token-4711"
HERE, THERE = "10.77.0.1", "10.77.0.2"
BODY = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}).encode()
API = {"content-type": "application/json", "x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
_HOLD = ["unshare", "--net", "sh", "-c", "ip link set lo up; echo ready; exec sleep 300"]
_FROM_JAIL = """if True:
    import socket, sys
    s = socket.socket(); s.settimeout(20)
    try: s.connect((sys.argv[1], int(sys.argv[2]))); s.sendall(b"GET /health HTTP/1.0\\r\\n\\r\\n"); print(s.recv(20))
    except OSError: print(b"")
"""


@contextmanager
def other_machine() -> Iterator[int]:
    """A namespace with a cable to this one; gives the process that holds it."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with subprocess.Popen(_HOLD, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            there = ["nsenter", "--net", "--target", str(holder.pid)]
            for command in (
                ["ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable1", "netns", str(holder.pid)],
                ["ip", "address", "add", f"{HERE}/24", "dev", "cable0"],
                ["ip", "link", "set", "cable0", "up"],
                [*there, "ip", "address", "add", f"{THERE}/24", "dev", "cable1"],
                [*there, "ip", "link", "set", "cable1", "up"],
            ):
                subprocess.run(command, check=True)
            yield holder.pid
        finally:
            holder.kill()


class Machine:
    """Sends requests from a namespace; None is this one, by the loopback."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self.host = HERE if pid else "127.0.0.1"

    def connect(self, port: int) -> socket.socket:
        if self._pid is None:
            return socket.create_connection((self.host, port), timeout=30)
        # A socket stays in the namespace that it was made in.
        own, other = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/proc/{self._pid}/ns/net", os.O_RDONLY)
        os.setns(other, os.CLONE_NEWNET)
        try:
            return socket.create_connection((self.host, port), timeout=30)
        finally:
            os.setns(own, os.CLONE_NEWNET)
            os.close(own)
            os.close(other)

    def ask(self, port: int, target: str, headers: Mapping[str, str] = {}, body: bytes = BODY) -> list[Any]:
        """[status, what came with it, names of headers]; [0, the error's name, []] where nothing was answered."""
        try:
            with closing(http.client.HTTPConnection(self.host, port, timeout=30)) as connection:
                connection.sock = self.connect(port)
                connection.request("POST", target, body, {**API, **headers})
                answer = connection.getresponse()
                said = answer.read().decode(errors="replace")
                return [answer.status, said[:400], [name.lower() for name, _ in answer.getheaders()]]
        except (OSError, http.client.HTTPException) as error:
            return [0, type(error).__name__, []]

    def health(self, port: int) -> int:
        with closing(http.client.HTTPConnection(self.host, port, timeout=30)) as connection:
            connection.sock = self.connect(port)
            connection.request("GET", "/health")
            return connection.getresponse().status

    def tunnel(self, port: int, place: str, headers: str = "") -> str:
        """The first line of the answer to CONNECT."""
        with self.connect(port) as client:
            client.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{headers}\r\n".encode())
            return client.recv(4096).split(b"\r\n")[0].decode()


def basic(password: str) -> str:
    return f"Basic {base64.b64encode(f'laptop:{password}'.encode()).decode()}"


def ask_all(machine: Machine, ports: Mapping[str, int], plain: int) -> dict[str, Any]:
    """What the other machine gets, by what it showed. Targets name themselves in their query."""
    reverse, proxy = ports["reverse"], ports["proxy"]
    ask, messages = machine.ask, "/v1/messages?show="
    absolute = f"http://127.0.0.1:{plain}{messages}"
    hostile = {"host": "localhost", "origin": "http://localhost"}
    return {
        "nothing": ask(reverse, messages + "nothing"),
        "wrong": ask(reverse, messages + "wrong", {"x-ccinspect-token": "wrong"}),
        "empty": ask(reverse, messages + "empty", {"x-ccinspect-token": ""}),
        "begins right": ask(reverse, messages + "begins", {"x-ccinspect-token": TOKEN[:-1]}),
        "query": ask(reverse, f"{messages}query&token={TOKEN}&x-ccinspect-token={TOKEN}"),
        "wrong path": ask(reverse, f"/t/wrong{messages}wrong-path"),
        "empty path": ask(reverse, f"/t/{messages}empty-path"),
        "claims loopback": ask(reverse, messages + "claims", hostile),
        "health": [machine.health(reverse)],
        "own endpoint": ask(reverse, "/mcp/notify"),
        "long body": ask(reverse, messages + "long", body=b"x" * (3 << 20)),
        "bearer for a provider": ask(reverse, messages + "bearer", {"authorization": f"Bearer {TOKEN}"}),
        "absolute": ask(proxy, absolute + "absolute"),
        "connect": machine.tunnel(proxy, "api.anthropic.com:443"),
        "wrong connect": machine.tunnel(proxy, "api.anthropic.com:443", f"Proxy-Authorization: {basic('wrong')}\r\n"),
        "good header": ask(reverse, messages + "good-header", {"x-ccinspect-token": TOKEN}),
        "good path": ask(reverse, f"/t/{TOKEN}{messages}good-path"),
        "good basic": ask(reverse, messages + "good-basic", {"authorization": basic(TOKEN)}),
        "good absolute": ask(proxy, absolute + "good-absolute", {"proxy-authorization": basic(TOKEN)}),
        "good connect": machine.tunnel(proxy, "api.anthropic.com:443", f"Proxy-Authorization: {basic(TOKEN)}\r\n"),
    }


def main(directory: Path) -> None:
    with other_machine() as pid, Provider() as provider:
        settings = settings_for(provider, directory)
        settings["inspector"]["host"] = "0.0.0.0"
        settings["proxy"] = {"token": TOKEN, "allow_other_machines": True}
        with started(Daemon(directory / "instance", settings)) as daemon:
            print(json.dumps(happened(daemon, provider, Machine(pid), Machine(None))))


def happened(daemon: Daemon, provider: Provider, there: Machine, here: Machine) -> dict[str, Any]:
    ports, status = daemon.ports, daemon.json("status", "--json")
    told: dict[str, Any] = {"there": ask_all(there, ports, provider.http_port)}
    told["closed"] = [there.ask(port, "/")[1] for port in (ports["web"], status["mcp"]["port"])]
    told["here"] = {
        "by hand": here.ask(ports["reverse"], "/v1/messages?show=by-hand"),
        "health": here.health(ports["reverse"]),
    }
    # A run shows its prefix in what it prints: another machine may know it, and must not be able to use it.
    ask = 'curl -s -o /dev/null -w "%{http_code} " -d "$0" -H "anthropic-version: 2023-06-01" -H "x-api-key: k" "$1" $2'
    run = ["sh", "-c", f'echo "$ANTHROPIC_BASE_URL"; {ask}; read wait', BODY.decode()]
    argv = [*run[:2], run[2].replace('"$1" $2', '"$ANTHROPIC_BASE_URL/v1/messages?show=run"'), run[3]]
    with daemon.popen(
        daemon.argv("run", "--", *argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        prefix = "/" + process.stdout.readline().strip().partition("://")[2].partition("/")[2]
        told["there"]["prefix of a run"] = there.ask(ports["reverse"], f"{prefix}/v1/messages?show=prefix")
        told["here"]["run"] = process.communicate("\n", timeout=60)[0].strip()
    proxied = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        f"http://127.0.0.1:{provider.http_port}/v1/models",
    ]
    told["here"]["proxy run"] = daemon.run("run", "--proxy", "--", *proxied).stdout
    jailed = [sys.executable, "-c", _FROM_JAIL, HERE, str(ports["reverse"])]
    told["jail"] = daemon.run("run", "-i", "--", *jailed).stdout.strip()
    told["renamed"] = daemon.json("devices", "rename", THERE, "Laptop", "--json")
    told["devices"] = daemon.json("devices", "list", "--json")
    told["flows"] = daemon.flows('map(select(.type == "http"))')
    told["of device"] = len(daemon.flows(None, "--device", "Laptop"))
    told["table"] = daemon.run("flows", "list").stdout
    told["status"] = daemon.json("status", "--json")
    files = [path for path in daemon.paths.data_dir.rglob("*") if path.is_file()]
    secrets = [TOKEN.encode(), base64.b64encode(f"laptop:{TOKEN}".encode())]
    daemon.run("flows", "list")
    told["kept"] = [path.name for path in files if any(secret in path.read_bytes() for secret in secrets)]
    told["records"] = TOKEN in json.dumps(told["flows"])
    told["forwarded"] = [request.raw.decode("latin-1").split("\r\n\r\n")[0] for request in provider.requests]
    return told


if __name__ == "__main__":
    main(Path(sys.argv[1]))
