"""What is covered inside, and that it stays so."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ccinspect.jail import syscalls
from ccinspect.jail.certificates import pem_blocks, pem_to_der, subject_hash
from ccinspect.jail.mounts import _outermost, resolver_configuration
from ccinspect.jail.trust import TrustStore
from tests.jail.conftest import Jail
from tests.jail.tunnels import Tunnels
from tests.support import needs, unprivileged
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("", "nameserver 10.0.0.53\n"),
        ("nameserver 192.168.1.1\nnameserver ::1\n", "nameserver 10.0.0.53\n"),
        ("search corp.example\nnameserver 8.8.8.8", "nameserver 10.0.0.53\nsearch corp.example\n"),
        (
            "# generated\n\toptions ndots:3 edns0\ndomain x\n",
            "nameserver 10.0.0.53\n\toptions ndots:3 edns0\ndomain x\n",
        ),
    ],
)
def test_only_name_servers_are_replaced(host: str, inside: str) -> None:
    assert resolver_configuration(host, "10.0.0.53") == inside


def test_a_directory_within_another_is_covered_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    (tmp_path / "link").symlink_to("a")
    asked = [str(tmp_path / name) for name in ("a/b", "a", "ab", "link", "missing")]
    assert _outermost(asked) == [str(tmp_path / "a"), str(tmp_path / "ab")]


def test_the_hashed_directory_is_copied_where_overlays_are_not_allowed(
    tunnels: Tunnels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "no overlay here")

    monkeypatch.setattr(syscalls, "mount", refuse)
    mounts = TrustStore(tunnels.ca_cert, {}).write(tmp_path)
    certs = tmp_path / "certs"
    assert mounts["/etc/ssl/certs"] == str(certs)
    digest = subject_hash(pem_to_der(pem_blocks(tunnels.ca_cert.read_bytes())[0]))
    assert (certs / f"{digest}.0").read_bytes().strip() == tunnels.ca_cert.read_bytes().strip()
    assert {entry.name for entry in certs.iterdir()} == {*os.listdir("/etc/ssl/certs"), f"{digest}.0"}
    assert pem_blocks((certs / "ca-certificates.crt").read_bytes())[-1].strip() == tunnels.ca_cert.read_bytes().strip()
    broken = [entry for entry in certs.iterdir() if not entry.exists()]
    assert [entry for entry in broken if Path("/etc/ssl/certs", entry.name).exists()] == []


CONNECT = """if True:
    import socket, sys
    for line in sys.stdin:
        with socket.socket(socket.AF_UNIX) as s: print(s.connect_ex(sys.argv[1]), flush=True)
"""


@pytest.mark.jail
def test_a_cover_that_the_host_took_away_is_put_back(jail: Jail) -> None:
    """A service that restarts replaces its socket, and with it, in every mount namespace, what lay over it."""
    runtime = jail.home / "restarting"
    runtime.mkdir(exist_ok=True)
    path = runtime / "bus"
    serving = socket.socket(socket.AF_UNIX)
    serving.bind(str(path))
    serving.listen()
    argv = [sys.executable, "-c", CONNECT, str(path)]
    options = {"mask_sockets": True, "env": {"XDG_RUNTIME_DIR": str(runtime)}}
    with jail.popen(argv, popen={"stdin": subprocess.PIPE}, **options) as process:
        assert process.stdin
        assert process.stdout

        def connect() -> int:
            process.stdin.write("again\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return int(process.stdout.readline())  # type: ignore[union-attr]

        assert connect() == 111
        serving.close()
        path.unlink()
        serving = socket.socket(socket.AF_UNIX)
        serving.bind(str(path))
        path.chmod(0o777)
        serving.listen()
        # For a moment the new socket shows: connections are few, for nobody takes them.
        assert wait_until(lambda: connect() == 111, 1)
        process.stdin.close()
        assert process.wait(20) == 0
    serving.close()
    path.unlink()


@pytest.mark.jail
@pytest.mark.parametrize("kind", ["missing", "dangling link"])
def test_a_machine_without_resolv_conf_gets_one_inside(tunnels: Tunnels, user_jail: Jail, kind: str) -> None:
    """In a mount namespace of the test's own, whose /etc is a copy of names only."""
    needs.root("prepare such a machine")
    script = """
set -e
mkdir -p "$1/etc"; cp -a /etc/. "$1/etc/"; rm -f "$1/etc/resolv.conf"
if [ "$2" = "dangling link" ]; then ln -s ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"; fi
mount --bind "$1/etc" /etc
shift 2; exec "$@"
"""
    code = "import urllib.request as u; print(u.urlopen('http://named.example/x', timeout=20).read().decode())"
    for_jail = user_jail.command([sys.executable, "-c", code])
    place = unprivileged.private_directory("ccinspect-etc-")
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(place), kind, *for_jail]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=user_jail.environ())
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=True)
    assert done.stdout == "hello from outside: /x\n", done.stderr
