"""A daemon that, like the agents in its jails, runs as an unprivileged user."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccinspect.demo.api import HOSTS
from ccinspect.demo.provider import Provider
from tests.support import unprivileged
from tests.support.daemon import Daemon, settings_for, started

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "agents.sh"
INSTALL_SECONDS = 600


def install(name: str) -> Path:
    """The program of a real agent; fetched from its package registry the first time."""
    done = subprocess.run([SCRIPT, name], capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[Provider]:
    """One that stands in also for the agents' other places, which it refuses: waiting for those takes some a minute."""
    with Provider([*HOSTS, "chatgpt.com", "ab.chatgpt.com", "models.opencode.ai", "play.googleapis.com"]) as running:
        yield running


@pytest.fixture
def workplace() -> Iterator[Path]:
    """A directory of the user that runs the agents."""
    if os.geteuid() == 0:
        unprivileged.allow_tun()
        directory = unprivileged.private_directory("ccinspect-agents-")
    else:
        directory = Path(tempfile.mkdtemp(prefix="ccinspect-agents-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def user_daemon(provider: Provider, workplace: Path) -> Iterator[Daemon]:
    settings = settings_for(provider, workplace)
    with started(Daemon(workplace / "instance", settings, unprivileged=os.geteuid() == 0)) as running:
        yield running
