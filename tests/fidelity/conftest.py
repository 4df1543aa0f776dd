"""One provider and one daemon for the whole corpus: what is sent must not depend on what was sent before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ccinspect.demo.provider import Provider
from tests.fidelity.corpus import HOST
from tests.fidelity.ways import Ways
from tests.support.daemon import Daemon, settings_for
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def shared_daemon(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory: Path = tmp_path_factory.mktemp("fidelity")
    settings = settings_for(shared_provider, directory)
    settings["inspector"]["reverse_targets"] = [{"port": free_port(), "upstream": f"http://{HOST}"}]
    daemon = Daemon(directory / "instance", settings)
    try:
        daemon.start()
        yield daemon
        print(f"--- log of the daemon\n{daemon.log()}")
    finally:
        daemon.stop()


@pytest.fixture(scope="module")
def ways(shared_daemon: Daemon) -> Iterator[Ways]:
    target = shared_daemon.settings["inspector"]["reverse_targets"][0]["port"]
    with Ways(shared_daemon, target) as made:
        yield made


@pytest.fixture
def fresh(shared_provider: Provider) -> Provider:
    """The shared provider, with nothing recorded and nothing scripted."""
    shared_provider.forget()
    return shared_provider
