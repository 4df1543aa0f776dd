"""What signals mean to the daemon, and the tasks that live beside it."""

from __future__ import annotations

import asyncio
import os
import signal
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
    """SIGINT and SIGTERM stop; SIGHUP reloads, but stops a daemon whose terminal was closed; with nohup, nothing."""
    tasks, loop = Tasks(), asyncio.get_running_loop()
    on_terminal = _has_terminal()

    def hang_up() -> None:
        if on_terminal:
            stop()
        else:
            tasks.start(reload())

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, hang_up)
    return tasks


def _has_terminal() -> bool:
    """Whether a terminal controls us, wherever our output goes."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
