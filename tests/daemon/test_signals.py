"""What SIGHUP means depends on whether somebody's terminal is behind it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 30

PROGRAM = """
import asyncio, fcntl, signal, sys, termios
from ccinspect.daemon.signals import obey

async def main(kind):
    if kind == "terminal":
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if kind == "nohup":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    done = asyncio.Event()

    def say(word):
        print(word, file=sys.stderr, flush=True)
        done.set()

    async def reload():
        say("reload")

    obey(lambda: say("stop"), reload)
    print("ready", file=sys.stderr, flush=True)
    await asyncio.wait_for(done.wait(), 20)

asyncio.run(main(sys.argv[1]))
"""


@contextmanager
def obeying(kind: str, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind], stdin=stdin, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[bytes]) -> bytes:
    _, text = process.communicate(timeout=SECONDS)
    return text


def test_a_terminal_that_is_closed_ends_the_daemon() -> None:
    ours, theirs = pty.openpty()
    with obeying("terminal", theirs) as process:
        os.close(theirs)
        os.close(ours)
        assert said(process) == b"stop\n"


def test_without_a_terminal_it_means_read_the_settings_anew() -> None:
    with obeying("none") as process:
        process.send_signal(signal.SIGHUP)
        assert said(process) == b"reload\n"


def test_nohup_is_respected() -> None:
    with obeying("nohup") as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert said(process) == b"stop\n"
