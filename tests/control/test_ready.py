"""The pipe between `start --detach` and the daemon it started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ccinspect.control.ready import READY_FD_ENV, Progress, ReadyPipe, wait_ready
from ccinspect.errors import CcinspectError, PortBusy, StartFailed


def run_child(code: str, progress: Progress | None = None) -> int:
    """Run `code` in a child that holds the pipe, and wait for its word; returns the child's exit status."""
    reading, writing = os.pipe()
    environ = os.environ | {READY_FD_ENV: str(writing)}
    with subprocess.Popen([sys.executable, "-c", code], pass_fds=[writing], env=environ) as child:
        os.close(writing)
        try:
            wait_ready(reading, 30, progress)
        finally:
            os.close(reading)
            status = child.wait(30)
    return status


TAKE = "from ccinspect.control.ready import ReadyPipe; pipe = ReadyPipe.from_environment();"


def test_ready() -> None:
    assert run_child(TAKE + "assert pipe.detached; pipe.ready()") == 0


def test_whoever_waits_is_told_how_far_it_is() -> None:
    told: list[tuple[str, int, int]] = []
    status = run_child(
        TAKE + "pipe.progress('copying', 1, 2); pipe.progress('copying', 2, 2); pipe.ready(); pipe.progress('x', 1, 1)",
        lambda *progress: told.append(progress),
    )
    assert status == 0
    assert told == [("copying", 1, 2), ("copying", 2, 2)]


def test_the_childs_own_error_arrives() -> None:
    with pytest.raises(PortBusy, match="4000 is taken"):
        run_child(
            TAKE + "from ccinspect.errors import PortBusy; pipe.failed(PortBusy('port 4000 is taken', 'free it'))"
        )


def test_a_child_that_dies_without_a_word() -> None:
    with pytest.raises(StartFailed, match="ended while it started"):
        run_child("raise SystemExit(3)")


def test_only_the_first_word_counts() -> None:
    assert run_child(TAKE + "pipe.ready(); pipe.failed(ValueError()); assert not pipe.detached") == 0


def test_grandchildren_do_not_hold_the_pipe_open() -> None:
    code = (
        TAKE + "import os, subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], stdin=subprocess.PIPE,"
        " close_fds=False); pipe = None; os._exit(0)"
    )
    with pytest.raises(StartFailed, match="ended while it started"):
        run_child(code)


def test_silence_ends_in_an_error() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(StartFailed, match="did not become ready"):
            wait_ready(reading, 0.01)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("named", ["", "x", "-1", "987654"])
def test_no_pipe_no_word(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(READY_FD_ENV, named)
    pipe = ReadyPipe.from_environment()
    assert not pipe.detached
    pipe.ready()
    pipe.failed(CcinspectError("x"))
    assert READY_FD_ENV not in os.environ
