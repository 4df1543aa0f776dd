"""What a real daemon says to a real receiver of sd_notify(3) datagrams."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml

from ccinspect.config import Config
from ccinspect.daemon.service_manager import ServiceManager
from ccinspect.demo.provider import Provider
from tests.store.old import unpack_old_store
from tests.support.daemon import Daemon, settings_for

SECONDS = 30


class Receiver:
    """systemd's end of the socket. Like systemd it reads at once: the kernel keeps ten datagrams, no more."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._heard: Queue[bytes] = Queue()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._reading = Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        while message := self._socket.recv(4096):
            self._heard.put(message)

    def next(self) -> dict[str, str]:
        lines = self._heard.get(timeout=SECONDS).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def until(self, name: str) -> dict[str, str]:
        """The next message that has `name`; at most so many others before it."""
        for _ in range(200):
            message = self.next()
            if name in message:
                return message
        raise AssertionError(f"no {name}")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._reading.join()
        self._socket.close()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    found = Receiver(str(tmp_path / "notify"))
    yield found
    found.close()


def readiness_probe() -> dict[str, Any]:
    file = Path(__file__).parents[2] / "process-compose.yaml"
    probe = yaml.safe_load(file.read_text())["processes"]["ccinspect"]["readiness_probe"]["http_get"]
    return dict(probe)


def test_process_compose_asks_where_the_daemon_listens() -> None:
    probe = readiness_probe()
    assert (probe["host"], probe["port"]) == ("127.0.0.1", Config().inspector.reverse_port)


def test_an_address_without_a_file() -> None:
    receiver = Receiver(f"@ccinspect-test-{os.getpid()}")
    try:
        ServiceManager(receiver.address).ready("well")
        assert receiver.next() == {"READY": "1", "STATUS": "well"}
    finally:
        receiver.close()


def test_the_life_of_a_supervised_daemon(provider: Provider, receiver: Receiver, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "instance", settings_for(provider, tmp_path))
    unpack_old_store(daemon.paths.store_dir, 1)
    environ = daemon.environment() | {"NOTIFY_SOCKET": receiver.address, "WATCHDOG_USEC": "300000"}
    with subprocess.Popen(
        daemon.argv("start"), env=environ, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            message = receiver.next()
            assert "up to date" in message["STATUS"]
            assert int(message["EXTEND_TIMEOUT_USEC"]) >= 60_000_000
            ready = receiver.until("READY")
            assert "http://127.0.0.1:" in ready["STATUS"]
            # As process-compose.yaml asks, which waits for this.
            url = ready["STATUS"].split("base URL ")[1].split(",")[0]
            assert httpx.get(url + readiness_probe()["path"], trust_env=False).json()["status"] == "ok"
            for _ in range(3):
                receiver.until("WATCHDOG")
            settings = yaml.safe_load(daemon.paths.config_file.read_text())
            for mistake, words in ((True, "those before stay"), (False, "read anew")):
                daemon.paths.config_file.write_text(yaml.safe_dump(settings | ({"flosw": {}} if mistake else {})))
                process.send_signal(signal.SIGHUP)
                assert int(receiver.until("RELOADING")["MONOTONIC_USEC"]) > 0
                receiver.until("READY")
                assert words in daemon.log()
            process.terminate()
            receiver.until("STOPPING")
        finally:
            process.terminate()
            _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert b"token" not in said, "the journal is no place for it"


def test_no_child_is_taken_for_the_service() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    manager = ServiceManager.from_environment(environ)
    assert environ == {}
    assert (manager.supervised, manager.watchdog) == (True, 3.0)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": "vsock:2:1234"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "soon"},
    ],
)
def test_what_is_not_meant_for_us(environ: dict[str, str]) -> None:
    assert ServiceManager.from_environment(environ).watchdog is None


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    for manager in (ServiceManager(), ServiceManager(str(tmp_path / "gone"))):
        manager.ready("x")
        assert manager.watchdog is None
    assert list(tmp_path.iterdir()) == []
