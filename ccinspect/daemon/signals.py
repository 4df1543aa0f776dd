"""What signals mean to the daemon, and the tasks that live beside it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """Tasks that end with the daemon. Belongs to one event loop."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def cancel(self) -> None:
        for task in list(self._running):
            task.cancel()


def obey(stop: Callable[[], None], reload: Callable[[], Coroutine[Any, Any, None]]) -> Tasks:
    """SIGINT and SIGTERM stop; SIGHUP reloads, but stops a daemon whose terminal was closed."""
    tasks, loop = Tasks(), asyncio.get_running_loop()
    on_terminal = sys.stderr.isatty()

    def hang_up() -> None:
        if on_terminal:
            stop()
        else:
            tasks.start(reload())

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    return tasks
