"""A bound for the processor time that one flow may take."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

FLOW_SECONDS = 60.0
"""Processor time that one flow may take."""


@contextlib.contextmanager
def time_limit(seconds: float = FLOW_SECONDS) -> Iterator[None]:
    """Raise TimeoutError in the block once it has used so much processor time.

    Signals are for main threads only: in any other there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # It stays: one that arrives when the block has just ended must not meet the default, which ends the process.
    signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("the flow takes too long")
