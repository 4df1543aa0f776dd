"""An event loop in a thread of its own for hooks that are coroutines, so that one that blocks does not stop the proxy.

When the time of a coroutine is up it is cancelled there. If the loop does not even do that, it is blocked: it is left
to itself, what else ran on it is given up, and what was still to come gets a new loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from ccinspect.pipeline.workers import NoThread, Outcome, TimedOut

_PATIENCE = 0.2
"""Seconds a loop has to carry out a cancellation."""
_MOST_BLOCKED = 8
_MOST_UNENDED = 256


class _Task:
    """A coroutine on the other loop, and the future that waits for it on the proxy's."""

    __slots__ = ("begun", "ended", "future", "home", "inner", "make", "on", "timer")

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.make = make
        self.on: _LoopThread | None = None
        self.begun = False
        self.home = asyncio.get_running_loop()
        self.future: asyncio.Future[Outcome] = self.home.create_future()
        self.inner: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.ended = False


class _LoopThread:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.tasks: set[_Task] = set()
        self.closing = False
        self.thread = threading.Thread(target=self._run, name="ccinspect-hooks-loop", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()

    def take(self, task: _Task) -> None:
        task.on = self
        self.tasks.add(task)
        self.loop.call_soon_threadsafe(_begin, self, task)

    def left(self, task: _Task) -> None:
        self.tasks.discard(task)
        if self.closing and not self.tasks:
            self.stop()

    def close(self) -> None:
        self.closing = True
        if not self.tasks:
            self.stop()
            # It only has to end what it does this moment.
            self.thread.join(1)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)


class HooksLoop:
    """Made with the first coroutine. All methods run on the proxy's loop."""

    def __init__(self) -> None:
        self._thread: _LoopThread | None = None
        self._blocked: list[_LoopThread] = []

    def run(self, make: Callable[[], Coroutine[Any, Any, Any]], timeout: float) -> asyncio.Future[Outcome]:
        """Run a coroutine on the other loop. The future always gets a result; its error is TimedOut where that is why.

        Cancelling the future cancels the coroutine. Raises NoThread when too many of them block, or never end.
        """
        on = self._open()
        if len(on.tasks) >= _MOST_UNENDED and sum(task.future.done() for task in on.tasks) >= _MOST_UNENDED:
            raise NoThread(f"{_MOST_UNENDED} coroutines of hooks do not end")
        task = _Task(make)
        task.timer = task.home.call_later(timeout, self._expire, task)
        task.future.add_done_callback(lambda future: self._cancel(task) if future.cancelled() else None)
        on.take(task)
        return task.future

    def close(self) -> None:
        """End the loop once its coroutines have ended. A blocked one ends when it gets going again."""
        if self._thread is not None:
            self._thread.close()
        self._thread = None

    def _open(self) -> _LoopThread:
        if self._thread is None:
            self._blocked = [each for each in self._blocked if each.thread.is_alive()]
            if len(self._blocked) >= _MOST_BLOCKED:
                raise NoThread(f"{_MOST_BLOCKED} event loops of hooks are blocked")
            self._thread = _LoopThread()
        return self._thread

    def _expire(self, task: _Task) -> None:
        if task.ended:
            return
        if not task.future.done():
            task.future.set_result((None, TimedOut()))
        self._cancel(task)

    def _cancel(self, task: _Task) -> None:
        if task.on is not None and task.on.thread.is_alive():
            heard = threading.Event()
            task.on.loop.call_soon_threadsafe(_give_up, task, heard)
            task.home.call_later(_PATIENCE, self._look_after, task.on, heard)

    def _look_after(self, on: _LoopThread, heard: threading.Event) -> None:
        if heard.is_set() or on is not self._thread:
            return
        self._thread = None
        self._blocked.append(on)
        # Once it gets going again, it ends.
        on.stop()
        for task in list(on.tasks):
            if not task.future.done():
                self._rescue(task)

    def _rescue(self, task: _Task) -> None:
        try:
            if task.begun:
                raise NoThread("another hook blocked the loop that it ran on")
            self._open().take(task)
        except NoThread as error:
            task.future.set_result((None, error))


def _begin(on: _LoopThread, task: _Task) -> None:
    if task.on is on:
        task.begun = True
        task.inner = on.loop.create_task(_run(on, task))


async def _run(on: _LoopThread, task: _Task) -> None:
    try:
        outcome: Outcome = (await task.make(), None)
    # Whatever a hook raises, `SystemExit` too, must not end the loop.
    except BaseException as error:
        outcome = (None, error)
    try:
        task.home.call_soon_threadsafe(_ended, on, task, outcome)
    except RuntimeError:
        # The proxy's loop was closed; nobody waits any more.
        on.tasks.discard(task)


def _give_up(task: _Task, heard: threading.Event) -> None:
    heard.set()
    if task.inner is not None:
        task.inner.cancel()


def _ended(on: _LoopThread, task: _Task, outcome: Outcome) -> None:
    task.ended = True
    on.left(task)
    if task.timer is not None:
        task.timer.cancel()
    if not task.future.done():
        task.future.set_result(outcome)
