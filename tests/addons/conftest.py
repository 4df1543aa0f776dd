"""One daemon for all tests of a module: each sets what it wants in ccinspect.yaml, as a user does, and reloads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ccinspect.control.client import ControlClient
from ccinspect.demo.provider import Provider
from ccinspect.store.query import StoreReader
from tests.support.daemon import Daemon, Record, settings_for


def is_http(record: Record) -> bool:
    return bool(record["type"] == "http")


class ReloadingDaemon(Daemon):
    """Serves all tests of a module, one after the other, and tells each of its own flows only."""

    _began = 0.0
    """When the test at hand began, in seconds since the epoch."""

    def use(self, **blocks: Any) -> None:
        """Begin a test: blocks of settings are merged over those for the provider, and hold from now on.

        For what a reload changes: rules, providers, hooks, policy, masking and the token."""
        settings = dict(self.settings)
        for block, values in blocks.items():
            settings[block] = settings.get(block, {}) | values if isinstance(values, dict) else values
        self.paths.config_file.write_text(yaml.safe_dump(settings))
        with ControlClient.connect(self.paths.control_socket) as control:
            control.call("reload")
        self._began = time.time()

    def wait_for(self, count: int, when: Callable[[Record], bool] = is_http, timeout: float = 20) -> list[Record]:
        return super().wait_for(count, lambda record: self._is_ours(record) and when(record), timeout)

    def flows(self, jq: str | None = None, *selection: str) -> list[Record]:
        assert jq is None, "what jq makes of the flows of other tests cannot be told apart"
        return [record for record in super().flows(None, *selection) if self._is_ours(record)]

    def _is_ours(self, record: Record) -> bool:
        return bool(record["timing"]["started_at"] >= self._began)

    def body(self, flow_id: str, side: str) -> bytes:
        """As `flows show --raw` gives it."""
        with StoreReader(self.paths.store_dir) as store:
            body = store.request_body(flow_id) if side == "--request" else store.response_body(flow_id)
        assert body is not None
        return body


Configure = Callable[..., ReloadingDaemon]


@pytest.fixture(scope="module")
def reloading_provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def reloading_daemon(
    reloading_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReloadingDaemon]:
    directory: Path = tmp_path_factory.mktemp("reloading")
    running = ReloadingDaemon(directory / "instance", settings_for(reloading_provider, directory))
    try:
        running.start()
        yield running
        print(f"--- log of the daemon\n{running.log()}")
    finally:
        running.stop()


@pytest.fixture
def configure(reloading_daemon: ReloadingDaemon, reloading_provider: Provider) -> Configure:
    """As `start_daemon`, but it gives the module's daemon, told of the settings by a reload."""
    reloading_provider.forget()

    def reload(**blocks: Any) -> ReloadingDaemon:
        reloading_daemon.use(**blocks)
        return reloading_daemon

    return reload
