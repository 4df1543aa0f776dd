"""The table that `python -m tests.transform.sdk_matrix --js` prints has no hole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, started
from tests.transform.js_clients import JavaScript
from tests.transform.sdk_matrix import DIALECTS, TASKS, Clients, check, settings

# The SDKs may have to be fetched first.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
World = tuple[Daemon, Provider, Clients]


@pytest.fixture(scope="module")
def world(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory: Path = tmp_path_factory.mktemp("js-matrix")
    with (
        JavaScript() as node,
        started(Daemon(directory / "instance", settings(shared_provider, directory))) as daemon,
    ):
        yield daemon, shared_provider, node.clients


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("task", TASKS)
def test_the_sdk_understands(world: World, client: str, upstream: str, stream: bool, task: str) -> None:
    daemon, provider, clients = world
    check(daemon, provider, client, upstream, stream, task, clients)


def test_what_an_sdk_cannot_do_is_a_failure(world: World) -> None:
    daemon, provider, clients = world
    with pytest.raises(AssertionError, match="no provider"):
        check(daemon, provider, "anthropic", "nowhere", False, "text", clients)
