"""Running a command on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType


class Terminal:
    """A command with a terminal of its own as stdin, stdout and stderr; a context manager."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], columns: int = 80, rows: int = 24) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environ = {"TERM": "xterm-256color", "PAGER": "cat"} | dict(env)
        # They would hold more than the size that the terminal has; pytest-xdist sets them.
        environ = {name: value for name, value in environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(theirs)
        self.output = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._ours)
        self.process.kill()
        self.process.wait()

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read_until(self, wanted: str, timeout: float = 30) -> str:
        """Everything said so far, once it holds `wanted`. Raises AssertionError when it never does."""
        deadline = time.monotonic() + timeout
        while wanted not in self.output:
            assert self._more(deadline), f"{wanted!r} never came: {self.output!r}"
        return self.output

    def read_more(self, timeout: float = 30) -> None:
        """Wait for something more to be said."""
        assert self._more(time.monotonic() + timeout), f"it ended: {self.output!r}"

    def finish(self, timeout: float = 60) -> tuple[int, str]:
        """Exit status, and everything that was said."""
        deadline = time.monotonic() + timeout
        while self._more(deadline):
            pass
        return self.process.wait(10), self.output

    def _more(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more came: {self.output!r}"
        try:
            data = os.read(self._ours, 65536)
        except OSError:
            return False  # The last process on the terminal is gone.
        self.output += data.decode(errors="replace")
        return bool(data)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
