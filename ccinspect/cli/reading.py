"""Reading what was captured, whether the daemon runs or not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ccinspect.cli.instance import Instance
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import CcinspectError
from ccinspect.store.query import StoreReader

_MENTIONS_FILTERS = re.compile(r"^[^#\n]*default_jq_filters", re.MULTILINE)


@contextmanager
def open_store(instance: Instance) -> Iterator[StoreReader]:
    """The store, with everything in it that was complete before the call. Raises StoreUnavailable."""
    with suppress(CcinspectError), ControlClient.connect(instance.paths.control_socket) as client:
        client.call(protocol.FLUSH)
    with StoreReader(instance.paths.store_dir) as reader:
        yield reader


def live_runs(instance: Instance) -> set[str]:
    """The ids of the runs that are going on; none when no daemon runs."""
    with suppress(CcinspectError), ControlClient.connect(instance.paths.control_socket) as client:
        return {str(run["id"]) for run in client.call(protocol.RUN_LIST)}
    return set()


def default_filters(instance: Instance) -> list[str]:
    """`flows.default_jq_filters`. Raises ConfigError.

    The settings are only read when they can hold some: that takes 200 ms, and listing has half a second.
    """
    try:
        text = instance.paths.config_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    in_environment = any(name.upper().startswith("CCINSPECT_FLOWS__") for name in os.environ)
    return instance.config().flows.default_jq_filters if in_environment or _MENTIONS_FILTERS.search(text) else []
