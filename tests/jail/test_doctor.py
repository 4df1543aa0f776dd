"""What `namespace status` and `namespace doctor` find out."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ccinspect.jail import doctor, probe
from ccinspect.jail.doctor import Check
from ccinspect.jail.limits import limits
from tests.jail.conftest import Jail
from tests.support import needs, unprivileged

CHECKS = "import json; from ccinspect.jail.doctor import checks; print(json.dumps([c.as_json() for c in checks()]))"
LIVE = """if True:
    import json, os, sys
    from pathlib import Path
    from ccinspect.jail.live import live_checks
    from ccinspect.jail.session import JailSettings, Tunnel
    request = json.loads(sys.argv[1])
    found = live_checks(Tunnel.from_json(request["tunnel"]), JailSettings.from_json(request["jail"]),
                        Path(request["ca_cert"]), dict(os.environ), "https://model.example/", print)
    print(json.dumps([check.as_json() for check in found]))
"""


def findings(jail: Jail, code: str, **options: object) -> dict[str, Check]:
    """What `code` prints, by name, as the jail's caller."""
    command = jail.command([], **options)  # type: ignore[arg-type]
    at = next(number for number, word in enumerate(command) if word.endswith("runner.py"))
    command = [*command[:at], "-c", code, *command[at + 1 :]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=jail.environ())
    assert done.returncode == 0, done.stderr
    return {entry["name"]: Check(**entry) for entry in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.jail
def test_a_machine_that_can_do_it_says_so(jail: Jail) -> None:
    found = findings(jail, CHECKS)
    assert {check.name for check in found.values() if check.status == "fail"} == set()
    assert set(found) >= {"user namespaces", "tunnel device", "uplink", "wireguard", "service sockets"}


@pytest.mark.jail
def test_what_is_missing_is_named_with_the_mend(user_jail: Jail) -> None:
    empty = "import os; os.environ['PATH'] = '/nonexistent'; " + CHECKS
    found = findings(user_jail, empty)
    assert found["uplink"].status == "fail"
    assert "apt-get install slirp4netns" in found["uplink"].fix
    assert found["wireguard"].status == "fail"


@pytest.mark.jail
def test_forbidden_user_namespaces_are_explained_and_another_way_named() -> None:
    code = "from ccinspect.jail.doctor import user_namespaces as u; c = u(); print(c.status, '|', c.fix)"
    limit = f'echo 0 > /proc/sys/user/max_user_namespaces; exec {sys.executable} -c "{code}"'
    environ = os.environ | {"PYTHONPATH": str(unprivileged.ROOT)}
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", limit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environ)
    assert done.stdout.startswith("fail | "), done.stderr
    assert "sysctl -w user.max_user_namespaces" in done.stdout
    assert "run --proxy" in done.stdout


@pytest.mark.jail
def test_a_run_without_user_namespaces_says_why_and_what_else_there_is(user_jail: Jail) -> None:
    command = user_jail.command(["true"])
    at = next(number for number, word in enumerate(command) if word.endswith("runner.py")) - 1
    limit = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    command[at:at] = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=user_jail.environ())
    assert done.returncode == 1
    assert done.stderr.startswith("JailUnavailable: cannot create a user namespace"), done.stderr
    assert "the command was not started" in done.stderr
    assert "run --proxy" in done.stderr


@pytest.mark.jail
@pytest.mark.slow
@pytest.mark.parametrize("ipv6", [False, True])
def test_the_live_probe_finds_a_sound_jail(jail: Jail, ipv6: bool) -> None:
    found = findings(jail, LIVE, ipv6=ipv6)
    assert {check.name: check.detail for check in found.values() if check.status == "fail"} == {}
    assert found["ipv6"].status == ("ok" if ipv6 else "absent")
    for name in ("dns", "tcp", "tls by curl", "tls by python3", "loopback, jail to host", "loopback, host to jail"):
        assert found[name].status == "ok", found[name]
    assert sum(name.startswith("escape: ") for name in found) >= 8


def test_outside_of_a_jail_the_same_attempts_succeed() -> None:
    """What shows that they try something real. In a network namespace of its own, for they change links and routes."""
    needs.root("succeed at them")
    code = (
        "import json; from ccinspect.jail.escapes import attempts; print(json.dumps([c.as_json() for c in attempts()]))"
    )
    environ = os.environ | {"PYTHONPATH": str(unprivileged.ROOT)}
    # The shell stands where the warden would, and is traced.
    command = ["unshare", "--net", "sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environ)
    failed = {entry["name"] for entry in json.loads(done.stdout) if entry["status"] == "fail"}
    assert failed >= {
        "escape: capabilities",
        "escape: raw socket",
        "escape: packet socket",
        "escape: add a link",
        "escape: trace the warden",
        "escape: look through the warden",
    }


def finished(code: int, error: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], code, "", error)


@pytest.mark.parametrize(
    ("name", "done", "status"),
    [
        ("curl", finished(0), "ok"),
        ("curl", finished(60, "curl: (60) SSL certificate problem: self-signed certificate"), "fail"),
        ("wget", finished(6), "ok"),
        ("wget", finished(8), "ok"),
        ("wget", finished(5), "fail"),
        ("git", finished(128, "fatal: repository 'https://x/' not found"), "ok"),
        ("git", finished(128, "fatal: unable to access: server certificate verification failed."), "fail"),
        ("cargo", finished(101, "<html><title>502 Bad Gateway</title>TLS"), "ok"),
        ("cargo", finished(101, "[60] SSL peer certificate or SSH remote key was not OK"), "fail"),
    ],
)
def test_how_a_runtime_shows_that_it_trusts_us(name: str, done: subprocess.CompletedProcess[str], status: str) -> None:
    assert probe._RUNTIMES[name](name, done).status == status


def test_limits_are_said() -> None:
    text = " ".join(limits())
    for word in ("docker.sock", "systemd-run", "mask_sockets", "Files"):
        assert word in text


def test_findings_are_json() -> None:
    assert doctor.Check("a", "ok", "b").as_json() == {"name": "a", "status": "ok", "detail": "b", "fix": ""}
