"""Fixtures for every room: the fake provider, and a real daemon that reaches it under the real host names."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, settings_for

StartDaemon = Callable[..., Daemon]

# Whoever runs the tests in the background of a script has Ctrl-C ignored, and so would everything that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Their files take longest. Begun first, none of them is left for one process alone at the end.
_FIRST = ("agents", "demo", "store", "analysis", "cli", "jail", "daemon", "addons")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        room = item.path.parent.name
        return _FIRST.index(room) if room in _FIRST else len(_FIRST)

    items.sort(key=rank)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A fake provider of its own for one test."""
    with Provider() as running:
        yield running


@pytest.fixture
def start_daemon(provider: Provider, tmp_path: Path) -> Iterator[StartDaemon]:
    """A function that starts a daemon; its keywords are blocks of settings merged over those for the provider."""
    started: list[Daemon] = []

    def start(**blocks: Any) -> Daemon:
        settings = settings_for(provider, tmp_path)
        for block, values in blocks.items():
            settings[block] = settings.get(block, {}) | values if isinstance(values, dict) else values
        daemon = Daemon(tmp_path / f"instance-{len(started)}", settings)
        started.append(daemon)
        daemon.start()
        return daemon

    yield start
    for daemon in started:
        # Shown by pytest only when the test failed.
        print(f"--- log of the daemon in {daemon.paths.config_dir}\n{daemon.log()}")
        daemon.stop()


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """A daemon with the default settings, pointed at the test's provider."""
    return start_daemon()
