"""Signals as events of a loop, and the dispositions that the command must find as if nobody stood before it."""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType
from typing import Any

FORWARDED = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGTSTP,
    signal.SIGCONT,
)
_WATCHED = (*FORWARDED, signal.SIGTTIN, signal.SIGCHLD)
# Changed by Python at its start; a program expects them at their defaults.
_CHANGED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Signals:
    """Collects signals instead of suffering them. One per process, in its main thread."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self.ignored = {number for number in _WATCHED if signal.getsignal(number) is signal.SIG_IGN}
        """Signals that were ignored before, and that the command shall ignore too (nohup)."""
        self._before: dict[signal.Signals, Any] = {number: signal.getsignal(number) for number in _WATCHED}
        # A process in the background that reports something must not be stopped for it.
        self._before[signal.SIGTTOU] = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        if self._before[signal.SIGTTOU] is signal.SIG_IGN:
            self.ignored.add(signal.SIGTTOU)
        self._wakeup_before = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in _WATCHED:
            signal.signal(number, _note)

    def fileno(self) -> int:
        return self._read.fileno()

    def take(self) -> list[int]:
        """The signals that have come since the last call, oldest first."""
        with contextlib.suppress(BlockingIOError):
            return list(self._read.recv(4096))
        return []

    def after_fork(self) -> Signals:
        """A collector of its own for a forked child that goes on with Python."""
        self._read.close()
        self._write.close()
        ignored = self.ignored
        fresh = Signals()
        fresh.ignored = ignored
        return fresh

    def reset(self) -> None:
        """Give a forked child the dispositions that its program shall find."""
        signal.set_wakeup_fd(-1)
        for number in (*_WATCHED, signal.SIGTTOU, *_CHANGED_BY_PYTHON):
            signal.signal(number, signal.SIG_IGN if number in self.ignored else signal.SIG_DFL)

    def restore(self) -> None:
        """Put back what was there before."""
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._read.close()
        self._write.close()


def _note(_number: int, _frame: FrameType | None) -> None:
    """The number has gone to the wake-up descriptor already; a handler must exist for that."""
