"""Credentials printed by real commands: what they print, say, leave running, and how they are ended."""

from __future__ import annotations

import asyncio
import os
import select
from pathlib import Path

import pytest

from ccinspect.auth.credential import Fetched, SourceFailed
from ccinspect.auth.sources.command import CommandSource

ENVIRON = {"PATH": os.environ["PATH"], "MARKER": "from the environment"}


def fetch(command: str) -> Fetched:
    return asyncio.run(CommandSource(command, ENVIRON).fetch(None))


def failure(command: str) -> str:
    with pytest.raises(SourceFailed) as raised:
        fetch(command)
    return raised.value.reason


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("echo key", "key"),
        ("printf '\\n  key \\r\\n'", "key"),
        ("echo noise >&2; printf key", "key"),
        ('printf %s "$MARKER"', "from the environment"),
        ("printf key | cat", "key"),
        ("test -t 0 || cat; echo key", "key"),
        ("head -c 60000 /dev/zero | tr '\\0' x", "x" * 60_000),
        ("head -c 1000000 /dev/zero | tr '\\0' x >&2; echo key", "key"),
    ],
)
def test_what_it_prints_is_the_value(command: str, value: str) -> None:
    assert fetch(command).value == value


def test_it_sees_only_the_environment_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCINSPECT_RUN_ID", "abc")
    assert fetch('printf "${CCINSPECT_RUN_ID-none}"').value == "none"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("exit 3", "its command ended with exit code 3"),
        ("echo first >&2; echo 'no such entry' >&2; exit 1", "its command ended with exit code 1: no such entry"),
        ("kill -9 $$", "its command was ended by signal 9"),
        ("no-such-program-here", "exit code 127"),
        ("printf '\\377'", "not UTF-8"),
        ("yes", "more than 64 KiB"),
    ],
)
def test_a_failure_says_how_it_ended(command: str, says: str) -> None:
    assert says in failure(command)


@pytest.mark.parametrize(
    "command",
    [
        "echo sk-secret-1234567890abcdef; echo 'got sk-secret-1234567890abcdef' >&2; exit 1",
        "printf hunter22; echo 'password is hunter22!' >&2; exit 1",
        "echo 'Authorization: Bearer hunter22hunter22' >&2; exit 1",
        "set -x; KEY=hunter22hunter22; false",
        "echo 'sk-ant-api03-hunter22hunter22hunter22' >&2; exit 1",
    ],
)
def test_a_failure_does_not_repeat_the_secret(command: str) -> None:
    assert "hunter22" not in failure(command)
    assert "secret-1234567890" not in failure(command)


def test_what_it_says_cannot_write_to_a_terminal() -> None:
    assert failure("printf 'red \\033[31malert\\007\\n' >&2; exit 1").endswith(": red alert")


def test_what_it_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    # As an agent that remembers a passphrase; it holds stdout open until the test lets it go.
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    assert fetch(f"(read line < {gate}) & echo key").value == "key"
    with gate.open("w") as writer:
        writer.write("\n")


def test_giving_up_ends_it_and_what_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)

    async def give_up() -> list[int]:
        fetching = asyncio.ensure_future(CommandSource(f"sleep 60 & echo $! $$ > {started}; wait", ENVIRON).fetch(None))
        line = await asyncio.to_thread(started.read_text)
        pids = [int(word) for word in line.split()]
        watched = [os.pidfd_open(pid) for pid in pids]
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        return watched

    watched = asyncio.run(give_up())
    for descriptor in watched:
        assert select.select([descriptor], [], [], 10)[0], "it is still running"
        os.close(descriptor)


def test_giving_up_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    # Whoever of the command is alive holds the pipe open.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    async def give_up(turns: int) -> None:
        fetching = asyncio.ensure_future(CommandSource(f"exec 9> {pipe}; sleep 60 & wait", ENVIRON).fetch(None))
        for _ in range(turns):
            await asyncio.sleep(0)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching

    for turns in range(12):
        asyncio.run(give_up(turns))
        try:
            assert os.read(reader, 1) == b""
        except BlockingIOError:
            assert select.select([reader], [], [], 10)[0], "it is still running"
    os.close(reader)
