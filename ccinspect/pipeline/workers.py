"""Threads for hooks that block. One that hangs costs its thread, and nobody else's time.

All but `_Worker` runs on the event loop. When a hook's time is up, an exception is raised in its thread: that ends
whatever loops in Python. What hangs in a system call keeps its thread until it returns; when all threads hang, further
hooks are turned away at once.
"""

from __future__ import annotations

import asyncio
import ctypes
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

Outcome = tuple[Any, BaseException | None]
"""What a hook's work gave, or how it failed. Exceptions cross threads as values: some would end an event loop."""


class TimedOut(Exception):
    """The work took longer than it may."""


class NoThread(Exception):
    """The work was not begun, for want of a thread."""


class _Interrupted(BaseException):
    """Raised in a thread whose time is up."""


class _Job:
    __slots__ = ("begun", "deadline", "future", "loop", "timer", "work")

    def __init__(self, work: Callable[[], Any], timeout: float) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Outcome] = self.loop.create_future()
        self.deadline = time.monotonic() + timeout
        self.begun = False
        self.timer: asyncio.TimerHandle | None = None


class _Worker:
    """One thread; works off what is put into `inbox` until that is None."""

    def __init__(self, ended: Callable[[_Worker, _Job, Outcome], None], number: int) -> None:
        self.inbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.current: _Job | None = None
        """What it works on, as the thread sees it."""
        self.given: _Job | None = None
        """What it works on, as the event loop sees it."""
        self.gone = False
        self.ended = ended
        self.thread = threading.Thread(target=self._run, name=f"ccinspect-hook-{number}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            try:
                while (job := self.inbox.get()) is not None and self._work(job):
                    pass
                self.gone = True
                return
            except _Interrupted:
                # It came too late to hit the hook.
                self.current = None
                if (given := self.given) is not None:
                    self._report(given, (None, TimedOut()))

    def _work(self, job: _Job) -> bool:
        """False when nobody waits for work of this thread any more."""
        self.current = job
        job.begun = True
        try:
            outcome: Outcome = (job.work(), None)
        except _Interrupted:
            outcome = (None, TimedOut())
        # A hook may raise anything, `SystemExit` too.
        except BaseException as error:
            outcome = (None, error)
        self.current = None
        return self._report(job, outcome)

    def _report(self, job: _Job, outcome: Outcome) -> bool:
        try:
            job.loop.call_soon_threadsafe(self.ended, self, job, outcome)
        except RuntimeError:
            # The loop was closed.
            return False
        return True

    def interrupt(self, job: _Job) -> None:
        """Raise `_Interrupted` in the thread while it works on `job`."""
        ident = self.thread.ident
        if ident is not None and self.current is job:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(_Interrupted))


class Workers:
    """At most `limit` threads, made when they are needed and kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._all: list[_Worker] = []
        self._waiting: deque[_Job] = deque()
        self._closed = False

    def run(self, work: Callable[[], Any], timeout: float) -> asyncio.Future[Outcome]:
        """Call `work` in a thread. The future always gets a result, with TimedOut or NoThread where that is why.

        Cancelling the future does not stop the thread. Raises NoThread when every thread is overdue.
        """
        job = _Job(work, timeout)
        worker = self._free()
        if worker is None:
            now = time.monotonic()
            if all(each.given is not None and each.given.deadline < now for each in self._all):
                raise NoThread(f"all {self.limit} threads for hooks hang")
            self._waiting.append(job)
        job.timer = job.loop.call_later(timeout, self._expire, job)
        if worker is not None:
            self._give(worker, job)
        return job.future

    def close(self) -> None:
        """Let idle threads end, and busy ones once nothing waits any more."""
        self._closed = True
        for worker in [each for each in self._all if each.given is None]:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        self._all.remove(worker)
        worker.inbox.put(None)

    def _free(self) -> _Worker | None:
        if any(worker.gone for worker in self._all):
            self._all = [worker for worker in self._all if not worker.gone]
        for worker in reversed(self._all):
            if worker.given is None:
                return worker
        if len(self._all) < self.limit:
            self._all.append(_Worker(self._ended, len(self._all)))
            return self._all[-1]
        return None

    def _give(self, worker: _Worker, job: _Job) -> None:
        worker.given = job
        worker.inbox.put(job)

    def _ended(self, worker: _Worker, job: _Job, outcome: Outcome) -> None:
        if worker.given is not job:
            return
        worker.given = None
        if job.timer is not None:
            job.timer.cancel()
        if not job.future.done():
            job.future.set_result(outcome)
        while self._waiting:
            following = self._waiting.popleft()
            if not following.future.done():
                return self._give(worker, following)
        if self._closed:
            self._end(worker)
        return None

    def _expire(self, job: _Job) -> None:
        worker = next((each for each in self._all if each.given is job), None)
        if not job.future.done():
            error = TimedOut() if worker is not None else NoThread("no thread for hooks became free in time")
            job.future.set_result((None, error))
        if worker is not None:
            worker.interrupt(job)
