"""A daemon that tests use one after the other: starting one takes longer than most of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import yaml

from ccinspect.control.client import ControlClient
from ccinspect.store.query import StoreReader
from tests.support.daemon import Daemon, Record, is_http, merged
from tests.support.waiting import wait_until


class SharedDaemon(Daemon):
    """Each test begins with `begin`, `use` or `empty`, and is told of its own flows only."""

    _began = 0.0
    """When the test at hand began, in seconds since the epoch."""

    def start(self) -> None:
        super().start()
        self.begin()

    def begin(self) -> None:
        """Begin a test: flows of requests that were made before are another's."""
        self._began = time.time()

    def use(self, **blocks: Any) -> None:
        """Begin a test: blocks of settings are merged over those of the start, and hold from now on.

        For what a reload changes: rules, providers, hooks, policy, masking and the token."""
        self.paths.config_file.write_text(yaml.safe_dump(merged(self.settings, blocks)))
        with ControlClient.connect(self.paths.control_socket) as control:
            control.call("reload")
        self.begin()

    def empty(self) -> None:
        """Begin a test with no flows and no runs in the store, for those that ask the command line for all."""
        with ControlClient.connect(self.paths.control_socket) as control:
            # A run ends when the daemon sees that its connection has.
            assert wait_until(lambda: not control.call("run.list")), "an earlier test has left a run"
            control.call("flush")
            control.call("flows.clear")
            control.call("flush")
        self.begin()

    def wait_for(self, count: int, when: Callable[[Record], bool] = is_http, timeout: float = 20) -> list[Record]:
        return super().wait_for(count, lambda record: self._is_ours(record) and when(record), timeout)

    def flows(self, jq: str | None = None, *selection: str) -> list[Record]:
        return super().flows(jq, "--since", str(self._began), *selection)

    def body(self, flow_id: str, side: str) -> bytes:
        """As `flows show --raw` gives it."""
        with StoreReader(self.paths.store_dir) as store:
            body = store.request_body(flow_id) if side == "--request" else store.response_body(flow_id)
        assert body is not None
        return body

    def _is_ours(self, record: Record) -> bool:
        return bool(record["timing"]["started_at"] >= self._began)
