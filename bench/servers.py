"""The processes that are measured: the upstream, bare mitmweb, and our daemon."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ccinspect.paths import resolve_paths

_START_SECONDS = 30
STREAM_SCRIPT = """
def responseheaders(flow):
    if "text/event-stream" in flow.response.headers.get("content-type", ""):
        flow.response.stream = True
"""


@dataclass(frozen=True)
class Proxy:
    """A running proxy in front of the upstream."""

    name: str
    port: int
    pids: tuple[int, ...]
    seconds_to_start: float

    def memory(self) -> int:
        """Resident bytes of its first process (the proxy itself)."""
        return resident(self.pids[0])


def resident(pid: int) -> int:
    """Resident memory of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended")


def processor_seconds(pid: int) -> float:
    """Processor time of another process, all its threads, to the nanosecond: what clock_getcpuclockid(3) computes."""
    return time.clock_gettime((~pid << 3) | 2)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def environment() -> dict[str, str]:
    """Our environment without settings of ccinspect."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CCINSPECT_")}


@contextmanager
def upstream() -> Iterator[int]:
    """The port of a fast server in its own process."""
    with module_with_port("bench.upstream") as port:
        yield port


@contextmanager
def module_with_port(module: str, *arguments: str) -> Iterator[int]:
    """Run a module that prints the port it serves on, until its stdin ends."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


@contextmanager
def bare_mitmweb(upstream_port: int, directory: Path) -> Iterator[Proxy]:
    """mitmweb as anyone would start it in front of a provider, with the script that makes it stream."""
    directory.mkdir(parents=True)
    script = directory / "stream.py"
    script.write_text(STREAM_SCRIPT)
    port, web = free_port(), free_port()
    command = [
        str(Path(sys.executable).parent / "mitmweb"),
        *("--mode", f"reverse:http://127.0.0.1:{upstream_port}@127.0.0.1:{port}"),
        *("--web-host", "127.0.0.1", "--web-port", str(web), "--no-web-open-browser"),
        *("-s", str(script), "--set", f"confdir={directory}", "-q"),
    ]
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_listening(port, process)
        yield Proxy("bare mitmweb", port, (process.pid,), time.monotonic() - started)
    finally:
        process.terminate()
        process.wait(30)


def _wait_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.005)
    raise RuntimeError("mitmweb did not come up")


class Instance:
    """The command line of ccinspect for one directory."""

    def __init__(self, directory: Path, inspector: Mapping[str, Any], **blocks: Any) -> None:
        """`blocks` are further blocks of the settings."""
        directory.mkdir(parents=True)
        ports = {"reverse_port": 0, "proxy_port": 0, "web_port": 0}
        settings = {"inspector": ports | dict(inspector)} | blocks
        (directory / "ccinspect.yaml").write_text(yaml.safe_dump(settings))
        self.paths = resolve_paths(directory)

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "ccinspect", "--config", str(self.paths.config_dir), *arguments]

    def call(self, *arguments: str) -> str:
        """Run a command that must succeed; returns what it printed."""
        done = subprocess.run(
            self.argv(*arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment()
        )
        if done.returncode:
            raise RuntimeError(f"ccinspect {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run a command that prints JSON."""
        return json.loads(self.call(*arguments))

    def is_running(self) -> bool:
        """Whether a daemon holds the lock of this directory."""
        try:
            descriptor = os.open(self.paths.lock_file, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.json("status", "--json")
        return status

    @contextmanager
    def running(self) -> Iterator[float]:
        """The daemon, started in the background; gives the seconds until it was ready."""
        started = time.monotonic()
        self.call("start", "--detach")
        seconds = time.monotonic() - started
        try:
            yield seconds
        finally:
            self.call("stop")


@contextmanager
def our_daemon(upstream_port: int, directory: Path) -> Iterator[Proxy]:
    """Our daemon with a reverse listener for the upstream."""
    port = free_port()
    target = {"port": port, "upstream": f"http://127.0.0.1:{upstream_port}"}
    instance = Instance(directory, {"reverse_targets": [target]})
    with instance.running() as seconds:
        status = instance.status()
        yield Proxy("ccinspect", port, (status["pid"], status["store"]["pid"]), seconds)
