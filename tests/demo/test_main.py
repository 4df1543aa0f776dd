"""`ccinspect demo`, as a newcomer runs it: it shows what was captured, and nothing of it stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import unprivileged
from tests.support.daemon import clean_environment

pytestmark = [pytest.mark.jail, pytest.mark.timeout(180)]

DEMO = [sys.executable, "-P", "-m", "ccinspect", "demo"]


@pytest.fixture
def place() -> Iterator[Path]:
    """The directory below which all of a demonstration must lie; nothing of it may be there at the end."""
    if os.geteuid() == 0:
        unprivileged.allow_tun()
        directory = unprivileged.private_directory("ccinspect-demo-test-")
    else:
        directory = Path(tempfile.mkdtemp(prefix="ccinspect-demo-test-"))
    run = directory / "run"
    run.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(run, unprivileged.USER)
    try:
        yield directory
        assert processes_of(directory) == []
        assert [path for path in directory.rglob("*") if path.is_file() or path.name.startswith("ccinspect-")] == []
    finally:
        shutil.rmtree(directory)


def start_demo(place: Path, **variables: str) -> subprocess.Popen[str]:
    """Start the demonstration as an unprivileged user; it may write to `place` only."""
    own = {"TMPDIR": str(place), "HOME": str(place), "XDG_RUNTIME_DIR": str(place / "run")}
    environment = clean_environment() | own | variables
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if os.geteuid() == 0:
        return unprivileged.popen_as_user(DEMO, environment, text=True, process_group=0, **pipes)
    return subprocess.Popen(DEMO, env=environment, text=True, process_group=0, **pipes)


def watch_demo(place: Path, **variables: str) -> str:
    """The whole demonstration; returns what it said to the user."""
    with start_demo(place, **variables) as demo:
        said, complaints = demo.communicate(timeout=150)
    assert demo.returncode == 0, f"{said}\n{complaints}"
    return said


def processes_of(place: Path) -> list[str]:
    """Living processes that have the directory's name on their command line or in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(place) in (
                (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            ):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_it_shows_what_an_unprivileged_users_clients_sent(place: Path) -> None:
    said = watch_demo(place)
    assert "$ ccinspect run --inspect -- python" in said
    assert "Hello from the fake provider. You said: What do you see of me?" in said
    assert "it wants to call mcp__sky__weather({'city': 'example city'})" in said
    table, _, one = said.partition("What ccinspect recorded:")[2].partition("$ ccinspect flows show")
    assert '"content": "What do you see of me?"' in one
    assert "sk-ant-demo-not-a-real-key" not in said
    context, _, rest = one.partition("$ ccinspect flows context")[2].partition("$ ccinspect conversations show")
    assert "server\tsky" in context
    conversation, _, rest = rest.partition("$ ccinspect report")
    report, _, change = rest.partition("The settings of this demonstration")
    assert "tool use" in conversation
    assert report.strip().startswith("claude-haiku-4-5\t2\t")
    for host, path in (("api.anthropic.com", "/v1/messages"), ("api.openai.com", "/v1/responses")):
        assert host in table
        assert path in table
    ran, _, compared = change.partition("$ ccinspect flows compare")
    assert "message from gpt-5: Hello from the fake provider. You said: Who answers this?" in ran
    assert "https://api.anthropic.com/v1/messages → https://api.openai.com/v1/chat/completions" in compared
    assert "credential of openai" in compared
    # The credential itself is in the store as little as any other.
    assert "sk-proj-demo-not-a-real-key" not in said


def test_it_says_why_there_is_no_jail_and_goes_on_without(place: Path) -> None:
    """As on a machine without the jail's helpers."""
    tools = place / "bin"
    tools.mkdir(mode=0o755)
    for name in ("sh", "true", "env"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    said = watch_demo(place, PATH=str(tools))
    shutil.rmtree(tools)
    assert "This machine cannot build the jail:" in said
    assert "slirp4netns" in said
    assert "$ ccinspect run --proxy -- python" in said
    assert "/v1/messages" in said.partition("What ccinspect recorded:")[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["provider", "daemon", "$ ccinspect"])
def test_an_interrupted_demonstration_leaves_nothing(place: Path, number: signal.Signals, moment: str) -> None:
    with start_demo(place) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if line.startswith(moment):
                break
        # A terminal sends Ctrl-C to the whole group, `kill` reaches one process.
        if number == signal.SIGINT:
            os.killpg(demo.pid, number)
        else:
            demo.send_signal(number)
        _, complaints = demo.communicate(timeout=60)
        assert demo.returncode == 130, complaints
        assert "Traceback" not in complaints
