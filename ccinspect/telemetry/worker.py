"""The analyst's process where OpenTelemetry is on: the same analyst, with an observer.

Started by the daemon in place of `ccinspect.analysis.worker`, with the same argument, and speaks the same messages.
The settings come on standard input, a line of JSON {settings, since}: they may hold an access token, and arguments can
be read by everybody. In addition it tells `telemetry` (what `queue.QueueState` has) and takes `gauges` (by the metric's
name) and `otel` (other settings).

It stays when nothing comes: the collector may be down, and conversations end by silence.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from ccinspect.analysis import schema
from ccinspect.analysis.worker import limit_itself, work
from ccinspect.errors import StoreUnavailable
from ccinspect.store.record import Record
from ccinspect.telemetry.environment import mend
from ccinspect.telemetry.metrics import Metrics
from ccinspect.telemetry.observing import Telemetry
from ccinspect.telemetry.queue import QueueState, SpanQueue
from ccinspect.telemetry.sdk import Exporting, metric_exporter
from ccinspect.telemetry.settings import OtelSettings

logger = logging.getLogger("ccinspect.telemetry")

WAKE_SECONDS = 30.0
"""So often it looks for conversations that have fallen silent."""
_LAST_SECONDS = 1.0
"""For what is queued at the end, and again for the metrics. The daemon waits for twice that."""


def main(arguments: list[str]) -> int:
    """Run the analyst that `arguments` describe, and export what it sees."""
    setup = json.loads(arguments[0])
    said = json.loads(sys.stdin.readline())
    limit_itself()
    mend(os.environ)
    settings = OtelSettings.model_validate(said["settings"])
    setup["idle"] = min(setup["idle"], WAKE_SECONDS)
    with socket.socket(fileno=setup["fd"]) as channel:
        code = _work(channel, setup, settings, said["since"])
    # Threads of exporters that hang in a connection would be waited for.
    os._exit(code)


class Export:
    """What is between the observer and the collector; all of it but the spans that wait changes with the settings."""

    def __init__(self, settings: OtelSettings, since: float, tell: Callable[[QueueState], None]) -> None:
        """`tell` is called when the queue has news, in the queue's thread."""
        self._exporting, self._metrics = Exporting(settings), None
        self.queue = SpanQueue(
            lambda spans: self._exporting.send(spans), settings.queue, lambda: tell(self.queue.state)
        )
        self.telemetry = Telemetry(settings, settings.share_in(os.environ), self.queue, since, self._reload)
        self._metrics = self._count(settings)

    def close(self) -> None:
        self.queue.close(_LAST_SECONDS)
        self._stop_counting()

    def _reload(self, settings: dict[str, Any]) -> None:
        changed = OtelSettings.model_validate(settings)
        self.telemetry.count_with(None)
        self._stop_counting()
        # A batch that is under way fails with its exporter, and is tried again with the new one.
        before, self._exporting = self._exporting, Exporting(changed)
        before.close()
        self.queue.resize(changed.queue)
        self.telemetry.use(changed, changed.share_in(os.environ))
        self._metrics = self._count(changed)

    def _count(self, settings: OtelSettings) -> Metrics | None:
        if not settings.has_metrics_in(os.environ):
            return None
        try:
            reader = PeriodicExportingMetricReader(metric_exporter(settings, os.environ))
            metrics = Metrics(reader, self._exporting.resource, self.telemetry.gauges)
        except Exception:
            # A variable that the SDK cannot read. Spans do without it, or tell it.
            logger.exception("no metrics are exported")
            return None
        self.telemetry.count_with(metrics)
        return metrics

    def _stop_counting(self) -> None:
        if self._metrics is not None:
            # The reader gives up by an exception, which would hide how the analyst ended.
            with contextlib.suppress(Exception):
                self._metrics.close(_LAST_SECONDS)


def _work(channel: socket.socket, setup: dict[str, Any], settings: OtelSettings, since: float) -> int:
    telling = threading.Lock()

    def tell(state: QueueState) -> None:
        # Without waiting: news of the state are not worth a stop.
        with telling, contextlib.suppress(OSError):
            channel.send(json.dumps({"telemetry": state.to_json()}).encode(), socket.MSG_DONTWAIT)

    export = Export(settings, since, tell)
    code = work(channel, setup, export.telemetry)
    export.telemetry.end(lambda ident: _find_run(Path(setup["store"]), ident))
    export.close()
    return code


def _find_run(store_dir: Path, ident: str) -> Record | None:
    """The record of a run once the analyst has closed its database."""
    try:
        with contextlib.closing(schema.open_for_reading(store_dir)) as db:
            row = db.execute("SELECT record FROM runs WHERE id = ?", (ident,)).fetchone()
    except (StoreUnavailable, sqlite3.Error):
        return None
    return json.loads(row[0]) if row is not None else None


if __name__ == "__main__":
    main(sys.argv[1:])
