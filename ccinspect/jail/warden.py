"""The warden: the command's parent, and the jail's only door to the host.

It starts the command, tells the supervisor how it fares, makes sockets inside for the bridge, passes signals on, and
at the end (the command's, the supervisor's, or its helper's) leaves no process behind. As the command's nearest
subreaper it inherits whatever the command abandons.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import Any, Never

from ccinspect.errors import CcinspectError, JailUnavailable
from ccinspect.jail import bridge, command, privileges, processes, syscalls
from ccinspect.jail.channel import Channel, ChannelClosed
from ccinspect.jail.command import Command
from ccinspect.jail.inside import Inside, JailRequest, build
from ccinspect.jail.signals import Signals

# Two copies of one signal sent to the process group arrive well within this many seconds of each other.
_SAME_SIGNAL = 0.05
_KEYBOARD = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH})
# Seconds that what the command left behind, and the command of a broken jail, have between SIGTERM and SIGKILL.
_GRACE = 0.5
_END_WITHIN = 2.0
_REPAIR_INTERVAL = 0.1


def run(
    channel: Channel, wanted: Command, request: JailRequest | None, signals: Signals, mask: set[signal.Signals]
) -> Never:
    """Be the warden: the whole life of the forked child. `request` is None for a run without a jail."""
    code = 1
    try:
        signals = signals.after_fork()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        try:
            inside = build(channel, request) if request else None
            warden = Warden(channel, signals, inside)
            warden.start(wanted, mask)
        except CcinspectError as error:
            channel.send({"failed": type(error).__name__, "message": error.message, "hint": error.hint})
        else:
            warden.watch()
            code = 0
    except ChannelClosed:
        pass
    except Exception as error:
        with contextlib.suppress(ChannelClosed):
            channel.send({"failed": JailUnavailable.__name__, "message": f"the jail failed: {error!r}", "hint": ""})
    finally:
        try:
            if code:
                processes.end_descendants(0)
        finally:
            os._exit(code)


class Warden:
    """The warden's loop."""

    def __init__(self, channel: Channel, signals: Signals, inside: Inside | None) -> None:
        self._channel = channel
        self._signals = signals
        self._inside = inside
        self._pid = 0
        self._seen: dict[int, float] = {}
        self._child_changed = True
        self._repair_at: float | None = None
        self._kill_at: float | None = None
        self._held: list[int] | None = None

    def start(self, wanted: Command, mask: set[signal.Signals]) -> None:
        """Open the bridge's first ports, then start the command. Raises RunError."""
        confine = None
        if self._inside:
            self._channel.send({"built": self._inside.implementation}, [self._inside.diag.fileno()])
            self._inside.diag.close()
            wanted.environ.update(self._inside.mounts.environment)
            self._obey(*self._channel.receive())
            confine = privileges.drop_all
        self._pid = command.start(wanted, self._signals, mask, confine)
        self._channel.send({"started": self._pid})

    def watch(self) -> None:
        """Serve until the command has ended and all that it left behind, or the supervisor is gone."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._signals, select.POLLIN)
        mounts = os.open("/proc/self/mountinfo", os.O_RDONLY) if self._inside else -1
        if self._inside:
            poll.register(mounts, select.POLLPRI)
        while True:
            ready = dict(poll.poll(self._timeout()))
            if mounts in ready or self._repair_at is not None:
                self._repair()
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._signal(signal.SIGKILL)
            if self._signals.fileno() in ready:
                self._take_signals()
            if self._channel.fileno() in ready:
                self._obey(*self._channel.receive())
            if self._child_changed and self._reap():
                return

    def _timeout(self) -> float | None:
        """Milliseconds until something is due."""
        due = [at for at in (self._repair_at, self._kill_at) if at is not None]
        return max(0.0, min(due) - time.monotonic()) * 1000 if due else None

    def _take_signals(self) -> None:
        for number in self._signals.take():
            self._seen[number] = time.monotonic()
            self._child_changed |= number == signal.SIGCHLD

    def _repair(self) -> None:
        assert self._inside
        missing = self._inside.mounts.repair()
        self._repair_at = time.monotonic() + _REPAIR_INTERVAL if missing else None

    def _reap(self) -> bool:
        """Collect what has changed among the children; returns whether the run is over."""
        self._child_changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self._pid and os.WIFSTOPPED(status):
                # That it is held for a question is not for the shell to know.
                if self._held is None:
                    self._channel.send({"stopped": os.WSTOPSIG(status)})
            elif pid == self._pid:
                self._end(os.waitstatus_to_exitcode(status))
                return True
            elif self._inside and self._inside.helper and pid == self._inside.helper.pid:
                self._channel.send({"lost": f"{self._inside.helper.name} ended: {self._inside.helper.output()}"})

    def _end(self, code: int) -> None:
        if self._inside and self._inside.helper:
            self._inside.helper.kill()
        self._channel.send({"exit": 128 - code if code < 0 else code})
        if self._inside:
            processes.end_descendants(_GRACE)

    def _obey(self, message: dict[str, Any], _fds: list[int]) -> None:
        """Carry out one request of the supervisor's."""
        match message["do"]:
            case "listen":
                self._listen(message["on"])
            case "socket":
                fresh = socket.socket(socket.AddressFamily(message["family"]), socket.SOCK_STREAM)
                self._channel.send({"socket": message["family"]}, [fresh.fileno()])
                fresh.close()
            case "signal":
                self._forward(message["number"])
            case "hold":
                helper = self._inside.helper if self._inside else None
                self._held = processes.hold(frozenset({helper.pid} if helper else ()))
                self._channel.send({"held": len(self._held)})
            case "release":
                processes.release(self._held or [])
                self._held = None
            case "end":
                self._signal(signal.SIGTERM)
                self._signal(signal.SIGCONT)
                self._kill_at = time.monotonic() + _END_WITHIN

    def _listen(self, endpoints: list[tuple[str, int]]) -> None:
        opened, failed = [], []
        for address, port in endpoints:
            try:
                opened.append(((address, port), bridge.listen((address, port))))
            except OSError as error:
                failed.append((address, port, error.errno))
        message = {"listening": [endpoint for endpoint, _socket in opened], "failed": failed}
        self._channel.send(message, [listening.fileno() for _endpoint, listening in opened])
        for _endpoint, listening in opened:
            listening.close()

    def _forward(self, number: int) -> None:
        """Pass on a signal that the supervisor got, unless the command has got it too.

        The terminal, and whoever signals a process group, reaches the command directly. The warden is in the
        supervisor's group and stays there: if it has seen the signal as well, then so has everything in that group.
        """
        if time.monotonic() - self._seen.get(number, -1.0) > _SAME_SIGNAL:
            select.select([self._signals], [], [], 0.005)
            self._take_signals()
        to_group = time.monotonic() - self._seen.get(number, -1.0) <= _SAME_SIGNAL
        # A command in a group of its own that is not in front is out of the keyboard's reach, as it would be directly.
        if not to_group or (number not in _KEYBOARD and os.getpgid(self._pid) != os.getpgrp()):
            self._signal(number)

    def _signal(self, number: int) -> None:
        # The process cannot be another one by now: it stays a zombie until `_reap` has seen its end.
        os.kill(self._pid, number)
