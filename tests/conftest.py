"""Fixtures for every room: the fake provider, and a real daemon that reaches it under the real host names."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, settings_for, started
from tests.support.shared_daemon import SharedDaemon

StartDaemon = Callable[..., Daemon]

# Whoever runs the tests in the background of a script, or by nohup, has these ignored, and so would all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Their files take longest. Begun first, none of them is left for one process alone at the end.
_FIRST = ("agents", "demo", "store", "analysis", "cli", "jail", "daemon", "addons")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        room = item.path.parent.name
        return _FIRST.index(room) if room in _FIRST else len(_FIRST)

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where `CI` is set, a test that was skipped is one that nobody has run: a failure."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and os.environ.get("CI"):
        report.outcome, report.longrepr = "failed", f"{report.longrepr[2]}\nWhere CI is set, no test may be skipped."
    return report


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[Provider]:
    """A fake provider for all tests of a module."""
    with Provider() as running:
        yield running


@pytest.fixture
def provider(shared_provider: Provider) -> Provider:
    """A fake provider with nothing recorded and nothing scripted."""
    shared_provider.forget()
    return shared_provider


@pytest.fixture(scope="module")
def shared_daemon(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDaemon]:
    """A daemon with the default settings for all tests of a module, pointed at their provider."""
    directory: Path = tmp_path_factory.mktemp("shared")
    with started(SharedDaemon(directory / "instance", settings_for(shared_provider, directory))) as running:
        yield running


@pytest.fixture
def daemon(shared_daemon: SharedDaemon, provider: Provider) -> Iterator[SharedDaemon]:
    """The daemon that a module's tests share, with nothing in its store. Who stops, breaks or sets one starts one."""
    shared_daemon.empty()
    yield shared_daemon
    shared_daemon.print_log()


@pytest.fixture
def start_daemon(provider: Provider, tmp_path: Path) -> Iterator[StartDaemon]:
    """A function that starts a daemon; its keywords are blocks of settings merged over those for the provider."""
    with ExitStack() as stack:
        numbers = itertools.count()

        def start(**blocks: Any) -> Daemon:
            settings = settings_for(provider, tmp_path, **blocks)
            return stack.enter_context(started(Daemon(tmp_path / f"instance-{next(numbers)}", settings)))

        yield start
