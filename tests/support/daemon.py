"""A real daemon for a test: its own directory, free ports, and pointed at the fake provider."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.demo.provider import Provider
from ccinspect.errors import CcinspectError
from ccinspect.paths import Paths, resolve_paths
from tests.support import unprivileged as unprivileged_user

Record = dict[str, Any]


def settings_for(provider: Provider, directory: Path, **blocks: Any) -> dict[str, Any]:
    """Settings of a daemon on free ports that finds the fake provider under the real host names; see `merged`."""
    authority = provider.write_ca(directory / "provider-ca.pem")
    inspector = {
        "reverse_port": 0,
        "proxy_port": 0,
        "web_port": 0,
        "upstream_ca": str(authority),
        "connect_to": provider.connect_to(),
    }
    return merged({"inspector": inspector}, blocks)


def merged(settings: Mapping[str, Any], blocks: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with blocks of others laid over them, key by key."""
    result = dict(settings)
    for name, values in blocks.items():
        result[name] = result.get(name, {}) | values if isinstance(values, dict) else values
    return result


def is_http(record: Record) -> bool:
    return bool(record["type"] == "http")


class Daemon:
    """One running daemon, started through the command line, as a user would."""

    def __init__(self, directory: Path, settings: Mapping[str, Any], *, unprivileged: bool = False) -> None:
        """`directory` becomes its `--config`; `settings` is what its ccinspect.yaml holds.

        With `unprivileged` (root only) the daemon and all commands run as the test user, who must own `directory`'s
        parent.
        """
        self.settings = settings
        self.unprivileged = unprivileged
        # Its own: what is left in there afterwards is seen, and no instance of the machine is met.
        self._environment = {"XDG_RUNTIME_DIR": str(directory / "run"), "HOME": str(directory / "home")}
        for made in (directory, directory / "run", directory / "home"):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "ccinspect.yaml").write_text(yaml.safe_dump(dict(settings)))
        if unprivileged:
            _give_away(directory)
        self.paths: Paths = resolve_paths(directory, self._environment)
        self.finished: list[Record] = []
        """Records of the flows that have ended since `start`, in the order they ended."""
        self._changed = threading.Condition()
        self._process: int | None = None

    def start(self) -> None:
        """Start it and listen to its events. Fails the test with the daemon's own words when it cannot."""
        started = self.run("start", "--detach")
        assert started.returncode == 0, f"the daemon did not start:\n{started.stderr}\n{self.log()}"
        client = ControlClient.connect(self.paths.control_socket)
        self.status: Record = client.call(protocol.STATUS)
        self._process = os.pidfd_open(self.status["pid"])
        events = client.events()
        self._listener = threading.Thread(target=self._listen, args=(client, events), daemon=True)
        self._listener.start()

    def stop(self) -> None:
        """Stop it, by force when it does not go; nothing of it is left afterwards."""
        if self._process is None:
            return
        try:
            # One that a test has killed or stopped cannot be told.
            with contextlib.suppress(CcinspectError), ControlClient.connect(self.paths.control_socket) as client:
                client.call(protocol.SHUTDOWN)
            if not self.wait_gone(90):
                self.kill()
                raise AssertionError(f"the daemon did not stop:\n{self.log()}")
        finally:
            self._let_go()

    def kill(self) -> None:
        """SIGKILL, and wait for the end of the process."""
        assert self._process is not None
        signal.pidfd_send_signal(self._process, signal.SIGKILL)
        assert self.wait_gone(10)

    def wait_gone(self, timeout: float) -> bool:
        """Whether the process has ended within `timeout` seconds."""
        return self._process is None or bool(select.select([self._process], [], [], timeout)[0])

    def restart_after_kill(self) -> None:
        """Start again on the same directory, with a fresh list of finished flows."""
        self._let_go()
        self.finished = []
        self.start()

    @property
    def ports(self) -> dict[str, int]:
        """{reverse, proxy, web}."""
        return dict(self.status["inspector"]["ports"])

    @property
    def pid(self) -> int:
        return int(self.status["pid"])

    def argv(self, *arguments: str) -> list[str]:
        """A command line of `ccinspect` for this daemon."""
        return [sys.executable, "-P", "-m", "ccinspect", "--config", str(self.paths.config_dir), *arguments]

    def run(
        self, *arguments: str, check: bool = False, timeout: float = 60, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Call the command line and return what it printed; `options` are those of `raw`."""
        done = self.raw(self.argv(*arguments), timeout=timeout, **options)
        text = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check:
            assert text.returncode == 0, f"{arguments} gave {text.returncode}:\n{text.stdout}\n{text.stderr}"
        return text

    def raw(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        needs: Sequence[Path] = (),
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program; `env` is added to `environment`. `needs` are trees that the unprivileged user must reach."""
        with self.popen(
            argv,
            env=env,
            cwd=cwd,
            needs=needs,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                out, err = process.communicate(stdin, timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise AssertionError(f"{argv} did not end in {timeout} s:\n{out!r}\n{err!r}") from None
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        needs: Sequence[Path] = (),
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a program in `environment`, as the user of this daemon."""
        full = self.environment() | dict(env or {})
        if self.unprivileged:
            return unprivileged_user.popen_as_user(argv, full, cwd, needs, **options)
        return subprocess.Popen(argv, env=full, cwd=cwd, **options)

    def environment(self) -> dict[str, str]:
        """What every command of this daemon gets."""
        return clean_environment() | self._environment

    def execute(self, argv: Sequence[str], timeout: float = 60) -> str:
        """Run a program that must succeed; returns its stdout."""
        done = self.raw(argv, timeout=timeout)
        assert done.returncode == 0, f"{argv} gave {done.returncode}:\n{done.stdout!r}\n{done.stderr!r}"
        return done.stdout.decode()

    def json(self, *arguments: str) -> Any:
        """Call the command line and parse the JSON it prints."""
        return json.loads(self.run(*arguments, check=True).stdout)

    def flows(self, jq: str | None = None, *selection: str) -> list[Record]:
        """All recorded flows (`flows list --json`), oldest first; `jq` filters them."""
        filters = ["--jq", jq] if jq else []
        listed: list[Record] = self.json("flows", "list", "--json", *selection, *filters)
        return listed

    def body(self, flow_id: str, side: str) -> bytes:
        """The recorded body, byte for byte; `side` is `--request` or `--response`."""
        done = self.raw(self.argv("flows", "show", flow_id, "--raw", side))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_for(self, count: int, when: Callable[[Record], bool] = is_http, timeout: float = 20) -> list[Record]:
        """Return the finished flows for which `when` holds, once there are `count`. Raises AssertionError."""

        def found() -> list[Record]:
            return [record for record in self.finished if when(record)]

        with self._changed:
            enough = self._changed.wait_for(lambda: len(found()) >= count, timeout)
            assert enough, f"{len(found())} of {count} flows ended:\n{self.finished}\n{self.log()}"
            return found()

    def log(self, lines: int = 60) -> str:
        """The end of the daemon's log."""
        try:
            return "\n".join(self.paths.log_file.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    def print_log(self) -> None:
        """For the end of a test: pytest shows it only when the test failed."""
        print(f"--- log of the daemon in {self.paths.config_dir}\n{self.log()}", file=sys.stderr)

    def _listen(self, client: ControlClient, events: Any) -> None:
        with client:
            for _, record in events:
                with self._changed:
                    self.finished.append(record)
                    self._changed.notify_all()

    def _let_go(self) -> None:
        if self._process is not None:
            os.close(self._process)
            self._process = None
            self._listener.join(10)


@contextlib.contextmanager
def started[Kind: Daemon](daemon: Kind) -> Iterator[Kind]:
    """Start it, and stop it at the end, whatever happens; its log is shown when the test failed."""
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.print_log()
        daemon.stop()


def clean_environment() -> dict[str, str]:
    """Our environment without what would change a client's or our own behaviour."""
    prefixes = ("CCINSPECT_", "ANTHROPIC_", "OPENAI_", "CLAUDE_")
    # Agents and package managers do without colours and questions where `CI` is set.
    others = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "ci"}
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(prefixes) and name.lower() not in others
    }


def _give_away(directory: Path) -> None:
    """Make a tree the test user's own."""
    account = unprivileged_user.user()
    for path in (directory, *directory.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid)
