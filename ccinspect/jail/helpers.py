"""Helper programs of a jail: each in a session of its own, killed by the kernel when its parent dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Sequence

from ccinspect.jail import syscalls

_LOG_SIZE = 1 << 16
_F_ADD_SEALS = 1033
_SEAL_SHRINK_AND_GROW = 0x2 | 0x4
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class HelperFailed(Exception):
    """A helper could not be started, or ended before it was ready; the text says why."""


class Helper:
    """A running helper program.

    `before_exec` runs in the child just before the program starts; it is given the program's environment, to add to it,
    and returns descriptors that the program shall keep.
    """

    def __init__(
        self,
        argv: Sequence[str],
        before_exec: Callable[[dict[str, str]], Sequence[int]] | None = None,
    ) -> None:
        self.name = os.path.basename(argv[0])
        self._log = _bounded_log()
        self._status, report = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._become(argv, before_exec, parent)
            except BaseException as error:
                os.write(report, str(error).encode()[:4000] or b"failed")
            finally:
                os._exit(127)
        os.close(report)
        self.pidfd = os.pidfd_open(self.pid)

    def _become(
        self,
        argv: Sequence[str],
        before_exec: Callable[[dict[str, str]], Sequence[int]] | None,
        parent: int,
    ) -> None:
        signal.set_wakeup_fd(-1)
        # Python ignores it, which is inherited; pasta takes that for an error.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.setsid()
        syscalls.die_with_parent(parent)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(self._log, 1)
        os.dup2(self._log, 2)
        environ = {"PATH": _PATH}
        for fd in before_exec(environ) if before_exec else ():
            os.set_inheritable(fd, True)
        os.chdir("/")
        os.execvpe(argv[0], list(argv), environ)

    def started(self) -> None:
        """Wait until the program has replaced its launcher. Raises HelperFailed."""
        if self._status < 0:
            return
        problem = os.read(self._status, 4000)
        os.close(self._status)
        self._status = -1
        if problem:
            raise HelperFailed(f"{self.name} could not be started: {problem.decode(errors='replace')}")

    def output(self) -> str:
        """The first 64 kB of what the helper wrote, on one line."""
        written = os.pread(self._log, _LOG_SIZE, 0).rstrip(b"\0").decode(errors="replace")
        return "; ".join(line.strip() for line in written.splitlines() if line.strip()) or "it said nothing"

    def kill(self) -> None:
        """Kill the helper; harmless when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self) -> None:
        """Wait for the end of a helper that is ending, and let go of its descriptors."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        for fd in (self.pidfd, self._log, self._status):
            if fd >= 0:
                os.close(fd)


def _bounded_log() -> int:
    """A file in memory that cannot grow: a chatty helper in a long run must not eat memory."""
    log = os.memfd_create("log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(log, _LOG_SIZE)
    fcntl.fcntl(log, _F_ADD_SEALS, _SEAL_SHRINK_AND_GROW)
    return log


def find_program(name: str, path: str | None = None) -> str | None:
    """Where a program is on PATH, or None. (shutil.which does the same, and takes compression libraries along.)"""
    for directory in (os.environ.get("PATH", os.defpath) if path is None else path).split(os.pathsep):
        candidate = os.path.join(directory or os.curdir, name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return None
