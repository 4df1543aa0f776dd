"""Running a command: `run_jailed` in the jail, `run_plain` without one, both as if it had been started directly.

    supervisor (this process, on the host)      warden (forked; inside the jail)         helpers
    --------------------------------------      --------------------------------         -------
    fork  ------------------------------------> new user and (transit) network namespace
    write the user's own id maps <------------- "unshared"
    start the uplink -------------------------> create wg0, enter the inner namespace,   slirp4netns or pasta
                                                cover files                              wireguard-go
                                                move wg0, wait for the uplink's route
    open the bridge's first ports <-----------> "built"
    watch: signals, bridge, helpers <---------- "started"; stopped, exit

The supervisor and the command share a process group, so the terminal treats them as one. The uplink has a session of
its own. Whoever dies first takes the others along: the kernel kills the uplink and wireguard-go with their parents,
and the warden ends all there is in the jail when the supervisor's end of the socket closes.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from ccinspect import errors
from ccinspect.errors import CcinspectError, JailUnavailable
from ccinspect.jail import processes, syscalls, uplink, warden
from ccinspect.jail.bridge import INSIDE_INTERVAL, Bridge
from ccinspect.jail.channel import Channel, ChannelClosed
from ccinspect.jail.command import Command, resolve
from ccinspect.jail.helpers import Helper
from ccinspect.jail.inside import JailRequest
from ccinspect.jail.netlink import Netlink
from ccinspect.jail.proxies import without_proxies
from ccinspect.jail.rounds import serve_ready
from ccinspect.jail.session import JailSettings, Tunnel
from ccinspect.jail.signals import FORWARDED, Signals
from ccinspect.jail.terminal import Foreground
from ccinspect.jail.uplink import Uplink

Report = Callable[[str], None]


Hold = Callable[[], contextlib.AbstractContextManager[Signals]]
"""In its block the command is stopped, so that its terminal is free; readable when something else is to be seen to."""


class Watched(Protocol):
    """Something that is listened to while the command runs."""

    def fileno(self) -> int: ...

    def hear(self, hold: Hold) -> bool:
        """Called when it is readable; whether there may be more to hear later."""


_ENDING_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
# A warden that was killed leaves us its status only, not the command's.
_WARDEN_LOST = 128 + signal.SIGKILL


def run_jailed(
    command: Sequence[str],
    tunnel: Tunnel,
    settings: JailSettings,
    ca_cert: Path,
    environ: dict[str, str],
    cwd: Path | None = None,
    *,
    report: Report,
    watched: Watched | None = None,
) -> int:
    """Run a command in a jail whose only way out is `tunnel`; returns its exit status as a shell gives it.

    `ca_cert` is the daemon's certificate (PEM); its directory is covered inside. `report` gets one line of text for
    each thing the user should know while the command runs; `watched` is heard in the meantime.
    Call from the main thread of a process with no other.
    Raises JailUnavailable, CommandNotFound, CommandNotRunnable, RunError.
    """
    inner, proxies = without_proxies(environ)
    found = resolve(command, inner, cwd)
    if proxies:
        report(f"{', '.join(sorted(proxies))} not set inside: the tunnel takes the place of a proxy")
    kind = uplink.choose(settings.uplink)
    request = JailRequest(tunnel, settings, ca_cert, inner, kind.gateway)
    return _Supervisor(found, request, kind, report, watched).run()


def run_plain(
    command: Sequence[str],
    environ: dict[str, str],
    report: Report,
    cwd: Path | None = None,
    watched: Watched | None = None,
) -> int:
    """Run a command without a jail, with the same treatment of terminal, signals and exit status.

    Raises CommandNotFound, CommandNotRunnable, RunError.
    """
    return _Supervisor(resolve(command, dict(environ), cwd), None, None, report, watched).run()


class _Interrupted(Exception):
    """A signal asked us to end before the command had started."""

    def __init__(self, number: int) -> None:
        self.number = number


class _Supervisor:
    """One run, from the fork of the warden to the end of everything."""

    def __init__(
        self,
        wanted: Command,
        request: JailRequest | None,
        kind: Uplink | None,
        report: Report,
        watched: Watched | None,
    ) -> None:
        self._watched = watched
        self._wanted = wanted
        self._request = request
        self._kind = kind
        self._report = report
        self._selector = selectors.DefaultSelector()
        self._uplink: Helper | None = None
        self._bridge: Bridge | None = None
        self._warden = 0
        self._started = False
        self._exit: int | None = None

    def run(self) -> int:
        """Do it all; returns the exit status."""
        earlier = frozenset(processes.children(os.getpid()))
        foreground = Foreground()
        signals = Signals()
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self._channel, far = Channel.pair()
        try:
            self._fork_warden(far, signals)
            if self._request:
                self._build(self._request, signals)
            self._expect("started")
            self._started = True
            self._watch(signals)
        except _Interrupted as interrupted:
            self._exit = 128 + interrupted.number
        except ChannelClosed:
            self._exit = _WARDEN_LOST
            self._report("the warden of this run was killed; the command was ended with it")
        finally:
            self._clean_up(earlier)
            foreground.restore(killed=self._exit is None or self._exit > 128)
            signals.restore()
        assert self._exit is not None
        return self._exit

    def _fork_warden(self, far: Channel, signals: Signals) -> None:
        # Nothing may be lost between the fork and the warden's own handlers.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._warden = os.fork()
        if self._warden == 0:
            self._channel.close()
            warden.run(far, self._wanted, self._request, signals, {signal.Signals(number) for number in mask})
        far.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _build(self, request: JailRequest, signals: Signals) -> None:
        assert self._kind
        message, _fds = self._expect("unshared")
        _write_id_maps(self._warden)
        self._uplink = self._kind.start(self._warden, message["unshared"])
        self._channel.send({"step": "mapped"})
        self._bridge = Bridge(self._selector, self._channel, request.settings, self._report)
        first = self._bridge.first_ports()
        self._await_built(self._uplink, signals)
        _message, (diag,) = self._expect("built")
        self._bridge.watch(Netlink(fd=diag))
        self._open_first_ports(first)
        self._selector.register(self._uplink.pidfd, selectors.EVENT_READ, lambda _mask: self._uplink_lost())

    def _await_built(self, helper: Helper, signals: Signals) -> None:
        """Wait for the warden's next message. Raises JailUnavailable when the uplink ends first, or _Interrupted."""
        poll = select.poll()
        for fd in (self._channel, helper.pidfd, signals):
            poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _event in poll.poll()}
            if self._channel.fileno() in ready:
                return
            if helper.pidfd in ready:
                raise uplink.unavailable(f"{helper.name} ended: {helper.output()}")
            for number in signals.take():
                if number in _ENDING_SIGNALS:
                    raise _Interrupted(number)

    def _open_first_ports(self, first: list[tuple[str, int]]) -> None:
        assert self._bridge
        self._channel.send({"do": "listen", "on": first})
        self._bridge.on_listening(*self._expect("listening"))

    def _expect(self, key: str) -> tuple[dict[str, Any], list[int]]:
        """The warden's next message, which must be of one kind. Raises what the warden failed with."""
        message, fds = self._channel.receive()
        if "failed" in message and key not in message:
            kind = getattr(errors, message["failed"])
            assert issubclass(kind, CcinspectError)
            raise kind(message["message"], message["hint"])
        assert key in message, message
        return message, fds

    def _watch(self, signals: Signals) -> None:
        """Serve until the command has ended."""
        self._selector.register(self._channel, selectors.EVENT_READ, lambda _mask: self._on_message())
        self._selector.register(signals, selectors.EVENT_READ, lambda _mask: self._on_signals(signals))
        if self._watched is not None:
            self._selector.register(self._watched, selectors.EVENT_READ, lambda _mask: self._hear(signals))
        next_look = time.monotonic()
        while self._exit is None:
            timeout = max(0.0, next_look - time.monotonic()) if self._bridge else None
            serve_ready(self._selector, timeout)
            if self._bridge and time.monotonic() >= next_look:
                next_look = time.monotonic() + INSIDE_INTERVAL
                self._bridge.look()

    def _hear(self, signals: Signals) -> None:
        if self._watched is not None and not self._watched.hear(lambda: self._held(signals)):
            self._selector.unregister(self._watched)

    @contextlib.contextmanager
    def _held(self, signals: Signals) -> Iterator[Signals]:
        self._tell({"do": "hold"})
        while self._exit is None and not self._on_message():
            pass
        try:
            yield signals
        finally:
            self._tell({"do": "release"})

    def _on_message(self) -> bool:
        """See to the warden's next message; whether it says that the command is held."""
        message, fds = self._channel.receive()
        if "exit" in message:
            self._exit = message["exit"]
        elif "stopped" in message:
            # The shell that started us waits for us, not for the command: stop as it did.
            os.kill(os.getpid(), signal.SIGSTOP)
        elif "lost" in message:
            self._network_lost(message["lost"])
        elif "socket" in message and self._bridge:
            self._bridge.on_socket(message["socket"], fds[0])
        elif "listening" in message and self._bridge:
            self._bridge.on_listening(message, fds)
        elif "failed" in message:
            raise JailUnavailable(message["message"], message["hint"])
        return "held" in message

    def _on_signals(self, signals: Signals) -> None:
        for number in signals.take():
            if number in FORWARDED:
                self._tell({"do": "signal", "number": number})

    def _tell(self, message: dict[str, Any]) -> None:
        """Send something that a warden who has ended need not hear: how it ended is still to be read."""
        with contextlib.suppress(ChannelClosed):
            self._channel.send(message)

    def _uplink_lost(self) -> None:
        assert self._uplink
        self._selector.unregister(self._uplink.pidfd)
        self._network_lost(f"{self._uplink.name} ended: {self._uplink.output()}")

    def _network_lost(self, reason: str) -> None:
        self._report(f"the jail has lost its network for good ({reason}); ending the command")
        self._tell({"do": "end"})

    def _clean_up(self, earlier: frozenset[int]) -> None:
        """Leave no process and no listener. The warden ends what is in the jail before it goes."""
        if self._uplink:
            self._uplink.kill()
        if self._bridge:
            self._bridge.close()
        self._selector.close()
        self._channel.close()
        if not self._started:
            # It may be waiting for something that will not come; there is no command yet whose end it had to see to.
            os.kill(self._warden, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            _pid, status = os.waitpid(self._warden, 0)
            if status:
                helper = {self._uplink.pid} if self._uplink else set()
                processes.end_descendants(0, earlier | frozenset(helper))
        if self._uplink:
            self._uplink.reap()
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 0)


def _write_id_maps(pid: int) -> None:
    """Map the caller's own user and group onto themselves; for root everybody, so that files show their real owners.

    Raises JailUnavailable.
    """
    try:
        if os.geteuid() == 0 and _map_everybody(pid):
            return
        Path(f"/proc/{pid}/setgroups").write_text("deny")
        Path(f"/proc/{pid}/uid_map").write_text(f"{os.getuid()} {os.getuid()} 1")
        Path(f"/proc/{pid}/gid_map").write_text(f"{os.getgid()} {os.getgid()} 1")
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise JailUnavailable(
            f"cannot map the user into a user namespace: {reason}; the command was not started",
            "run `ccinspect namespace doctor`; `ccinspect run --proxy` works without namespaces",
        ) from error


def _map_everybody(pid: int) -> bool:
    """Map all ids onto themselves; returns False for a root without the capability to do so, as in some containers."""
    for name in ("gid_map", "uid_map"):
        extents = [line.split() for line in Path(f"/proc/self/{name}").read_text().splitlines()]
        try:
            Path(f"/proc/{pid}/{name}").write_text("".join(f"{first} {first} {count}\n" for first, _, count in extents))
        except PermissionError:
            return False
    return True
