"""One provider and one daemon for the whole corpus: what is sent must not depend on what was sent before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ccinspect.demo.provider import Provider
from tests.fidelity.corpus import HOST
from tests.fidelity.ways import Ways
from tests.support.daemon import Daemon, settings_for, started
from tests.support.ports import free_port
from tests.support.shared_daemon import SharedDaemon


@pytest.fixture(scope="module")
def shared_daemon(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDaemon]:
    directory: Path = tmp_path_factory.mktemp("fidelity")
    settings = settings_for(shared_provider, directory)
    settings["inspector"]["reverse_targets"] = [{"port": free_port(), "upstream": f"http://{HOST}"}]
    with started(SharedDaemon(directory / "instance", settings)) as running:
        yield running


@pytest.fixture(scope="module")
def ways(shared_daemon: Daemon) -> Iterator[Ways]:
    target = shared_daemon.settings["inspector"]["reverse_targets"][0]["port"]
    with Ways(shared_daemon, target) as made:
        yield made
