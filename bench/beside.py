"""What goes on beside that which is measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable


class Beside:
    """Takes one step after the other in a thread while it is entered, at most one each `period` seconds."""

    def __init__(self, steps: Iterable[Callable[[], object]], period: float = 0.0) -> None:
        self._steps = steps
        self._period = period
        self._thread = threading.Thread(target=self._run)
        self._end = threading.Event()
        self.taken = 0
        """Steps so far."""

    def __enter__(self) -> Beside:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        start = time.monotonic()
        for number, step in enumerate(self._steps):
            if self._end.wait(max(0.0, start + number * self._period - time.monotonic())):
                return
            step()
            self.taken += 1
