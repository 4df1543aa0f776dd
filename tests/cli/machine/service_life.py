"""The life of the service, told step by step from inside a systemd user instance (see test_service.py)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.waiting import wait_until

CCINSPECT = [sys.executable, "-P", "-m", "ccinspect"]
UNIT = "ccinspect.service"
SECONDS = 60


def call(*words: str, status: int = 0) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def ccinspect(*words: str, status: int = 0) -> str:
    return call(*CCINSPECT, *words, status=status)


def state() -> dict[str, Any]:
    done = subprocess.run([*CCINSPECT, "service", "status", "--json"], capture_output=True, text=True, timeout=SECONDS)
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["active"] else 3)
    return found


def until_restarted(pid: int) -> dict[str, Any]:
    """systemd starts it again after it has waited for a moment."""

    def restarted() -> bool:
        shown = call("systemctl", "--user", "show", UNIT, "--property", "MainPID,ActiveState")
        return "ActiveState=active" in shown and f"MainPID={pid}\n" not in shown

    assert wait_until(restarted, SECONDS, pause=0.2), call("systemctl", "--user", "status", UNIT, status=3)
    return state()


def main() -> None:
    home = Path(os.environ["HOME"])
    settings = home / ".config/ccinspect/ccinspect.yaml"
    assert "not installed" in ccinspect("service", "enable", status=1)
    ccinspect("start", "--detach")
    assert "was written" in ccinspect("service", "install")
    assert "as it should be" in ccinspect("service", "install")
    call("systemd-analyze", "--user", "verify", str(home / ".config/systemd/user" / UNIT))

    said = ccinspect("service", "enable")
    assert "started by hand was stopped" in said
    first = state()
    assert (first["enabled"], first["state"]) == (True, "active (running)")
    assert "base URL http://127.0.0.1:" in first["status"]
    status = json.loads(ccinspect("status", "--json"))
    assert status["pid"] == first["pid"]
    assert "jailed" in ccinspect("run", "-i", "--", "echo", "jailed"), "the hardening leaves the jail working"

    call("systemctl", "--user", "reload", UNIT)
    before = settings.read_text()
    settings.write_text(yaml.safe_dump(yaml.safe_load(before) | {"flosw": {}}))
    call("systemctl", "--user", "reload", UNIT, status=1)
    assert "flosw" in ccinspect("service", "restart", status=2)
    settings.write_text(before)
    assert state()["pid"] == first["pid"], "a mistake in the settings costs nobody the daemon"

    os.kill(first["pid"], signal.SIGKILL)
    second = until_restarted(first["pid"])
    assert second["restarts"] == 1
    assert "jailed" in ccinspect("run", "-i", "--", "echo", "jailed")

    ccinspect("restart")
    third = state()
    assert third["active"], "restart is the service's own"
    assert third["pid"] != second["pid"]
    ccinspect("stop")
    assert (state()["enabled"], state()["active"]) == (True, False), "stopped on purpose, it stays down"
    assert "was removed" in ccinspect("service", "uninstall")
    assert "not installed" in ccinspect("service", "uninstall")
    assert not state()["installed"]
    assert not (home / ".config/systemd").exists()
    ccinspect("status", status=3)
    print("all is well")


if __name__ == "__main__":
    main()
