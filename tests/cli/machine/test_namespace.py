"""namespace status, doctor and wireguard-config."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import pytest

from ccinspect.cli.machine.namespace import report_lines
from ccinspect.demo.provider import Provider
from tests.cli.conftest import Place
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon


def test_a_report_says_what_to_do() -> None:
    check = {
        "name": "tunnel device",
        "status": "fail",
        "detail": "missing\x1b[2J",
        "fix": "`sudo chmod 666 /dev/net/tun`",
    }
    lines = list(report_lines({"usable": False, "checks": [check], "limits": []}))
    assert lines[:2] == ["fail   tunnel device  missing\\e[2J", " " * 22 + "-> `sudo chmod 666 /dev/net/tun`"]
    assert "mended" in lines[-1]


@pytest.mark.parametrize("length", [5, 22, 23, 60])
def test_a_long_name_does_not_push_the_others(length: int) -> None:
    checks = [
        {"name": name, "status": "ok", "detail": "word " * 40, "fix": ""} for name in ("short", "n" * length, "tiny")
    ]
    lines = list(report_lines({"usable": True, "checks": checks, "limits": ["one", "two"]}))
    assert max(map(len, lines)) <= max(80, length + 7)
    assert lines[-2:] == ["- one", "- two"]


def test_status_needs_no_daemon(place: Place) -> None:
    found = place.json("namespace", "status")
    assert {check["name"] for check in found["checks"]} >= {"user namespaces", "uplink", "wireguard"}
    assert found["usable"] is True
    assert any("docker.sock" in limit for limit in found["limits"])
    said = "\n".join(place.lines("namespace", "status"))
    assert "What it does not stop" in said
    assert not place.paths.data_dir.exists()


@pytest.mark.jail
@pytest.mark.timeout(180)
def test_doctor_tries_everything_in_a_real_jail(daemon: Daemon, provider: Provider) -> None:
    done = daemon.run("namespace", "doctor", "--json", timeout=170)
    found: dict[str, Any] = json.loads(done.stdout)
    by_name = {check["name"]: check for check in found["checks"]}
    assert by_name["dns"]["status"] == "ok", found
    assert by_name["tcp"]["status"] == "ok"
    assert by_name["tls by curl"]["status"] == "ok"
    assert [name for name in by_name if name.startswith("escape")]
    assert [check for name, check in by_name.items() if name.startswith("escape") and check["status"] != "ok"] == []
    assert done.returncode == (0 if found["usable"] else 1)
    assert "host network" not in by_name, "connect_to leads this name elsewhere: the host's resolver is no matter"
    (run,) = daemon.json("runs", "list", "--json")
    assert run["name"] == "doctor"
    assert provider.requests


def test_doctor_wants_https(place: Place) -> None:
    assert place.run("namespace", "doctor", "--url", "http://x/").returncode == 2


def test_a_tunnel_of_ones_own(daemon: Daemon) -> None:
    with daemon.popen(
        daemon.argv("namespace", "wireguard-config"),
        env={"PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        lines = [process.stdout.readline().decode().strip() for _ in range(9)]
        assert (lines[0], lines[5]) == ("[Interface]", "[Peer]")
        values = dict(line.split(" = ", 1) for line in lines if " = " in line)
        host, port = values["Endpoint"].split(":")
        assert host == "127.0.0.1"
        assert int(port) in udp_ports()
        said = [process.stderr.readline() for _ in range(2)]
        assert b"private key" in said[0]
        assert b"until Ctrl-C" in said[1]
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (0, b"")
    assert int(port) not in udp_ports()


def udp_ports() -> set[int]:
    """UDP ports that anybody on this machine listens on (proc(5))."""
    with open("/proc/net/udp") as table:
        return {int(line.split()[1].split(":")[1], 16) for line in table.readlines()[1:]}


def test_a_tunnel_ends_with_its_daemon(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with daemon.popen(
        daemon.argv("namespace", "wireguard-config", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"{\n"
        daemon.kill()
        _, complaints = process.communicate(timeout=20)
    assert b"the daemon has stopped" in complaints
    assert b"Traceback" not in complaints
