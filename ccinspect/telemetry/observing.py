"""From the analyst's flows to the queue and the counters: nothing that goes wrong here reaches the analysis."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from ccinspect.analysis.observer import FindRun, SeenCall, SeenFlow
from ccinspect.store.record import part
from ccinspect.telemetry import names
from ccinspect.telemetry.queue import SpanQueue
from ccinspect.telemetry.settings import OtelSettings
from ccinspect.telemetry.spans import Span
from ccinspect.telemetry.trees import Trees

logger = logging.getLogger("ccinspect.telemetry")


class Counters(Protocol):
    """What `metrics.Metrics` does for us."""

    def call(self, seen: SeenCall) -> None: ...


class Telemetry:
    """An `analysis.observer.Observer`. All methods but `gauges` belong to the analyst's thread."""

    def __init__(
        self,
        settings: OtelSettings,
        share: float,
        queue: SpanQueue,
        since: float,
        reload: Callable[[dict[str, Any]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Flows that ended before `since` (seconds since the epoch) were another daemon's to tell, or nobody's.
        `reload` is given other settings when the daemon sends them."""
        self._queue = queue
        self._counters: Counters | None = None
        self._since = since
        self._reload = reload
        self._clock = clock
        self._trees = Trees(settings, share)
        self._told: Mapping[str, float] = {}

    def count_with(self, counters: Counters | None) -> None:
        """Have model calls counted too."""
        self._counters = counters

    def use(self, settings: OtelSettings, share: float) -> None:
        """Other settings hold from now on; runs and conversations go on."""
        self._trees.settings, self._trees.share = settings, share

    def call(self, seen: SeenCall) -> None:
        if self._is_new(seen.flow):
            self._try(lambda: self._put(self._trees.call(seen)))
            if self._counters is not None:
                counters = self._counters
                self._try(lambda: counters.call(seen))

    def other(self, seen: SeenFlow) -> None:
        if self._trees.settings.http and self._is_new(seen):
            self._try(lambda: self._put(self._trees.other(seen)))

    def settled(self, find_run: FindRun) -> bool:
        self._try(self._end_what_is_over)
        return self._try(lambda: self._trees.note_ended(find_run)) or False

    def heard(self, message: dict[str, Any]) -> None:
        if isinstance(message.get("gauges"), dict):
            self._told = message["gauges"]
        elif isinstance(message.get("otel"), dict):
            settings = message["otel"]
            self._try(lambda: self._reload(settings))

    def end(self, find_run: FindRun) -> None:
        """Nothing more comes: queue what is still open."""
        self._try(lambda: self._put(self._trees.end_all(find_run)))

    def gauges(self) -> Mapping[str, float]:
        state = self._queue.state
        return {
            **self._told,
            names.EXPORT_QUEUE_METRIC: state.queued,
            names.EXPORT_DROPPED_METRIC: state.dropped,
        }

    def _is_new(self, seen: SeenFlow) -> bool:
        timing = part(seen.record, "timing")
        return float(timing.get("ended_at") or timing.get("started_at") or 0.0) >= self._since

    def _put(self, spans: Iterable[Span]) -> None:
        for span in spans:
            self._queue.put(span)

    def _end_what_is_over(self) -> None:
        self._put(self._trees.end_runs())
        self._put(self._trees.end_idle(self._clock()))

    def _try[T](self, act: Callable[[], T]) -> T | None:
        try:
            return act()
        except Exception:
            # A fault of ours; the other flows have their spans.
            logger.exception("no span could be made of a flow")
            return None
