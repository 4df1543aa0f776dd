"""The queue before the collector: bounded in spans and bytes, emptied by a thread of its own.

Whoever puts a span in never waits. A collector that is down, slow or refuses costs what does not fit: the oldest spans
are dropped and counted. A batch that fails is tried again after a pause that grows; one that fails over and over is
dropped too, because then it may be the batch that is at fault. One that is refused as such is dropped at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from ccinspect.telemetry.reasons import is_final
from ccinspect.telemetry.spans import Span

MOST_BYTES = 64_000_000
BATCH = 256
BATCH_BYTES = 2_000_000
"""Collectors take messages of 4 MB."""
GATHER_SECONDS = 0.2
"""So long spans are gathered, once there is one."""
TRIES = 8
PAUSE_SECONDS = (1.0, 30.0)
"""After the first failure, and at most."""

Send = Callable[[Sequence[Span]], str | None]
"""Exports a batch, in so many seconds as it is configured to; the result says why it failed, None when it did not."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """For `status`."""

    queued: int = 0
    exported: int = 0
    dropped: int = 0
    failing: bool = False
    """The newest export failed."""
    last_error: str = ""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class SpanQueue:
    """Used by any thread; `send` and `changed` are called in the queue's own."""

    def __init__(
        self,
        send: Send,
        limit: int,
        changed: Callable[[], None] = lambda: None,
        pauses: tuple[float, float] = PAUSE_SECONDS,
    ) -> None:
        """`limit`: spans that wait at most. `changed` is called when `state` has news."""
        self._send = send
        self._limit = limit
        self._changed = changed
        self._pauses = pauses
        self._waiting: deque[Span] = deque()
        self._bytes = 0
        self._sending = 0
        self._exported = 0
        self._dropped = 0
        self._last_error = ""
        self._failing = False
        self._closing = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="otel-export", daemon=True)
        self._thread.start()

    @property
    def state(self) -> QueueState:
        with self._condition:
            queued = len(self._waiting) + self._sending
            return QueueState(queued, self._exported, self._dropped, self._failing, self._last_error)

    def put(self, span: Span) -> None:
        """Queue a span; drops the oldest ones when there is no room."""
        with self._condition:
            if self._closing:
                self._dropped += 1
                return
            self._waiting.append(span)
            self._bytes += span.weight
            self._drop_what_does_not_fit()
            self._condition.notify_all()

    def resize(self, limit: int) -> None:
        """Another bound for the spans that wait."""
        with self._condition:
            self._limit = limit
            self._drop_what_does_not_fit()

    def close(self, seconds: float) -> bool:
        """Export what is queued; False when it takes longer than so many seconds and the rest is lost."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive() and not self.state.queued

    def _drop_what_does_not_fit(self) -> None:
        while self._waiting and (len(self._waiting) + self._sending > self._limit or self._bytes > MOST_BYTES):
            self._bytes -= self._waiting.popleft().weight
            self._dropped += 1

    def _work(self) -> None:
        while batch := self._next_batch():
            self._export(batch)
            self._changed()

    def _next_batch(self) -> list[Span]:
        """The oldest spans; empty when the queue was closed and there is none."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._closing)
            self._condition.wait_for(lambda: len(self._waiting) >= BATCH or self._closing, GATHER_SECONDS)
            batch: list[Span] = []
            size = 0
            while self._waiting and len(batch) < BATCH and (not batch or size + self._waiting[0].weight < BATCH_BYTES):
                span = self._waiting.popleft()
                size += span.weight
                batch.append(span)
            self._bytes -= size
            self._sending = len(batch)
            return batch

    def _export(self, batch: list[Span]) -> None:
        pause, longest = self._pauses
        for number in range(1, TRIES + 1):
            problem = self._send(batch)
            with self._condition:
                self._failing = problem is not None
                if problem is None:
                    self._exported += len(batch)
                    self._sending = 0
                    return
                self._last_error = problem
            if number == TRIES or is_final(problem):
                break
            self._changed()
            with self._condition:
                if self._condition.wait_for(lambda: self._closing, pause) and number > 1:
                    break
            pause = min(longest, 2 * pause)
        with self._condition:
            self._dropped += len(batch)
            self._sending = 0
