"""A jail for tests: the real one, around any command, as root and as an unprivileged user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ccinspect.demo.provider import Provider
from tests.jail.tunnels import Tunnels, servers
from tests.support import unprivileged
from tests.support.daemon import Daemon, settings_for, started

RUNNER = Path(__file__).with_name("runner.py")
# Variables of the machine the tests run on that would decide for the code under test.
FOREIGN = ("SSL_CERT", "_CA_", "_CERT", "CAINFO", "CAFILE", "_PROXY", "_proxy", "JAVA_", "CCINSPECT")


@pytest.fixture(scope="session")
def tunnels() -> Iterator[Tunnels]:
    """A mitmproxy with WireGuard listeners that sends everything to servers of the test."""
    directory = Path(tempfile.mkdtemp(prefix="ccinspect-tunnels-", dir="/tmp"))
    directory.chmod(0o755)
    with servers(directory) as upstreams:
        running = Tunnels(directory, upstreams)
        try:
            yield running
        finally:
            running.close()
            shutil.rmtree(directory)


class Jail:
    """Runs commands in jails, as root or as the test user."""

    def __init__(self, tunnels: Tunnels, as_user: bool, home: Path) -> None:
        self.tunnels = tunnels
        self.as_user = as_user
        self.home = home
        """A directory that the jailed user owns; the jail covers its `data`."""
        data = home / "data" / "ca"
        data.mkdir(parents=True, exist_ok=True)
        self.ca_cert = data / "mitmproxy-ca-cert.pem"
        shutil.copyfile(tunnels.ca_cert, self.ca_cert)
        (home / "data" / "secret").write_text("nobody inside may read this")

    @property
    def uid(self) -> int:
        return unprivileged.user().pw_uid if self.as_user else os.getuid()

    def command(
        self,
        argv: Sequence[str],
        plain: bool = False,
        cwd: Path | None = None,
        tunnel: Mapping[str, Any] | None = None,
        ipv6: bool = False,
        **settings: Any,
    ) -> list[str]:
        """The command line of a supervisor that runs `argv`; keywords are fields of JailSettings."""
        rules = {"hide": [str(self.home / "data")], **settings}
        request = {
            "tunnel": tunnel or self.tunnels.fresh(ipv6),
            "jail": rules,
            "ca_cert": str(self.ca_cert),
            "cwd": str(cwd or self.home),
        }
        command = [sys.executable, str(RUNNER), json.dumps({} if plain else request), *argv]
        return unprivileged.command_as_user(command, cwd or self.home) if self.as_user else command

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What the supervisor finds in its environment."""
        base = {k: v for k, v in os.environ.items() if not any(part in k for part in FOREIGN)}
        return base | {"HOME": str(self.home), "PYTHONPATH": str(unprivileged.ROOT)} | dict(extra or {})

    def popen(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        popen: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> subprocess.Popen[str]:
        """Start a command in a jail; `popen` are options of Popen, the rest as for `command`."""
        options: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "cwd": settings.get("cwd", self.home),
            "env": self.environ(env),
            **(popen or {}),
        }
        return subprocess.Popen(self.command(argv, **settings), **options)

    def run(self, argv: Sequence[str], timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in a jail to its end."""
        with self.popen(argv, **options) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)

    def python(self, code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run Python code in a jail."""
        return self.run([sys.executable, "-c", code, *arguments], **options)

    def output(self, argv: Sequence[str], **options: Any) -> str:
        """Run a command that must succeed; returns what it wrote."""
        done = self.run(argv, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout


def callers() -> list[str]:
    return ["root", "user"] if os.geteuid() == 0 else ["myself"]


@pytest.fixture(scope="session")
def make_home() -> Iterator[Callable[[bool], Path]]:
    made = []

    def make(as_user: bool) -> Path:
        directory = Path(tempfile.mkdtemp(prefix="ccinspect-home-", dir="/tmp"))
        if as_user:
            os.chown(directory, unprivileged.user().pw_uid, unprivileged.user().pw_gid)
        directory.chmod(0o755)
        made.append(directory)
        return directory

    yield make
    for directory in made:
        shutil.rmtree(directory)


@pytest.fixture(params=callers())
def jail(request: pytest.FixtureRequest, tunnels: Tunnels, make_home: Callable[[bool], Path]) -> Jail:
    """A jail for each kind of caller."""
    unprivileged.allow_tun()
    as_user = request.param == "user"
    return Jail(tunnels, as_user, make_home(as_user))


@pytest.fixture
def user_jail(tunnels: Tunnels, make_home: Callable[[bool], Path]) -> Jail:
    """A jail for an unprivileged caller only, where another kind would show nothing more."""
    unprivileged.allow_tun()
    as_user = os.geteuid() == 0
    return Jail(tunnels, as_user, make_home(as_user))


@pytest.fixture(params=["root", "user"] if os.geteuid() == 0 else ["myself"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """A function that starts a daemon for one kind of caller; its keywords are blocks of settings."""
    unprivileged.allow_tun()
    as_user = request.param == "user"
    place = unprivileged.private_directory("ccinspect-daemon-") if as_user else tmp_path
    with Provider() as provider, ExitStack() as stack:

        def start_one(**blocks: dict[str, Any]) -> Daemon:
            settings = settings_for(provider, place, **blocks)
            return stack.enter_context(started(Daemon(place / "instance", settings, unprivileged=as_user)))

        yield start_one
    if as_user:
        subprocess.run(["rm", "-rf", str(place)], check=True)
