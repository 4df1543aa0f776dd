"""The table that `python -m tests.transform.sdk_matrix` prints has no hole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, started
from tests.transform.sdk_matrix import DIALECTS, TASKS, check, settings


@pytest.fixture(scope="module")
def world(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Provider]]:
    directory: Path = tmp_path_factory.mktemp("matrix")
    with started(Daemon(directory / "instance", settings(shared_provider, directory))) as daemon:
        yield daemon, shared_provider


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("task", TASKS)
def test_the_sdk_understands(
    world: tuple[Daemon, Provider], client: str, upstream: str, stream: bool, task: str
) -> None:
    check(*world, client, upstream, stream, task)
