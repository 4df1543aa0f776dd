"""A module's daemon is told by each test what is to hold, as a user does it: in ccinspect.yaml, with a reload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ccinspect.demo.provider import Provider
from tests.support.shared_daemon import SharedDaemon

Configure = Callable[..., SharedDaemon]


@pytest.fixture
def configure(shared_daemon: SharedDaemon, provider: Provider) -> Configure:
    """As `start_daemon`, but it gives the module's daemon, told of the settings by a reload."""

    def reload(**blocks: Any) -> SharedDaemon:
        shared_daemon.use(**blocks)
        return shared_daemon

    return reload
