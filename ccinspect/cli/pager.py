"""Long results on a terminal go through a pager, as git does it: `$PAGER`, else less."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable

from ccinspect.cli.output import write


def page(lines: Iterable[str]) -> None:
    """Write clean lines to the terminal through a pager; to anything else as they are."""
    pager = _start() if sys.stdout.isatty() else None
    if pager is None:
        for line in lines:
            write(line)
        return
    # Whoever leaves the pager has seen enough.
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        _feed(pager, lines)
    while pager.returncode is None:
        # Ctrl-C is the pager's business; it must give the terminal back before we go.
        with contextlib.suppress(KeyboardInterrupt):
            pager.wait()


def _start() -> subprocess.Popen[bytes] | None:
    command = shlex.split(os.environ.get("PAGER", "less"))
    if not command or command == ["cat"]:
        return None
    # Leave at once when it fits the screen, let colours through, leave the text on the screen.
    environ = {"LESS": "FRX"} | dict(os.environ)
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environ)
    except OSError:
        return None


def _feed(pager: subprocess.Popen[bytes], lines: Iterable[str]) -> None:
    # Unbuffered writes leave nothing for close() to stumble over.
    assert pager.stdin is not None
    with contextlib.closing(os.fdopen(os.dup(pager.stdin.fileno()), "wb", buffering=0)) as pipe:
        pager.stdin.close()
        for line in lines:
            pipe.write(line.encode() + b"\n")
