"""Events of background tasks, from `POST /mcp/notify` until a request of their session takes them along.

Bounded in every direction, since whoever is on this machine may post: events of a task, tasks, bytes, age. What had to
go for that is counted, and the model is told of it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_EVENTS = 65_536
"""Of one task; the oldest go first."""
TTL = 600.0
"""Seconds."""
MAX_TASKS = 1_024
MAX_BYTES = 64_000_000
"""Of all events together."""
MAX_BATCH = 8_000
"""Bytes of events that one request takes along; the rest waits for the next."""
_LONGEST_ID = 200
_CUT = 2_000
# The call, and the result around the events.
_BATCH_OVERHEAD = 300


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one task for one request."""

    task_id: str
    events: list[Any]
    lost: int = 0
    """Events of this task that are not told: too many, or too old."""
    waiting: int = 0
    """Events that are left for the next request."""

    def text(self) -> str:
        """What the model reads."""
        told: dict[str, Any] = {"taskId": self.task_id, "events": self.events}
        if self.lost:
            told["lost"] = self.lost
        if self.waiting:
            told["waiting"] = self.waiting
        return json.dumps(told, ensure_ascii=False)


@dataclass(slots=True)
class _Task:
    session_id: str
    events: deque[tuple[float, bytes]] = field(default_factory=deque)
    """When each came, and its JSON."""
    lost: int = 0


class Notifications:
    """The buffer. Threads may share it."""

    def __init__(
        self, max_events: int = MAX_EVENTS, ttl: float = TTL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` never goes back; in seconds."""
        self._max_events = max_events
        self._ttl = ttl
        self._clock = clock
        self._tasks: dict[tuple[str, str], _Task] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, notification: dict[str, Any]) -> bool:
        """Keep `{task_id, session_id, event}`; False for what is none. Never raises."""
        task_id, session_id = _id(notification.get("task_id")), _id(notification.get("session_id"))
        event = notification.get("event")
        if task_id is None or session_id is None or event is None:
            return False
        try:
            text = json.dumps(event, ensure_ascii=False, allow_nan=False)
            data = text.encode()
        except (TypeError, ValueError, RecursionError):
            return False
        if len(data) > MAX_BATCH // 2:
            # More than that is no notification, and would crowd out the others.
            data = json.dumps({"cut": text[:_CUT], "length": len(text)}, ensure_ascii=False).encode()
        with self._lock:
            self._put((session_id, task_id), data)
        return True

    def pending(self, session_id: str | None) -> bool:
        """Whether events wait for a session; None asks for any session."""
        if not self._tasks:
            return False
        with self._lock:
            self._expire()
            if session_id is None:
                return bool(self._tasks)
            return any(task.session_id == session_id for task in self._tasks.values())

    def take(self, session_id: str, max_bytes: int = MAX_BATCH) -> list[Batch]:
        """The oldest events of a session, by task, of `max_bytes` at most; they are gone from here then."""
        batches = []
        with self._lock:
            self._expire()
            for key in [key for key, task in self._tasks.items() if task.session_id == session_id]:
                task = self._tasks[key]
                taken: list[bytes] = []
                max_bytes -= _BATCH_OVERHEAD + len(key[1].encode())
                while task.events and len(task.events[0][1]) <= max_bytes:
                    taken.append(self._pop(task))
                    max_bytes -= len(taken[-1]) + 2
                if taken:
                    batches.append(Batch(key[1], [json.loads(data) for data in taken], task.lost, len(task.events)))
                    task.lost = 0
                if task.events:
                    break
                del self._tasks[key]
        return batches

    def _put(self, key: tuple[str, str], data: bytes) -> None:
        self._expire()
        # Whoever spoke last is the last to go.
        task = self._tasks.pop(key, None) or _Task(key[0])
        self._tasks[key] = task
        task.events.append((self._clock(), data))
        self._bytes += len(data)
        if len(task.events) > self._max_events:
            self._lose(task)
        while len(self._tasks) > MAX_TASKS:
            self._drop_oldest_task()
        while self._bytes > MAX_BYTES:
            self._lose(next(iter(self._tasks.values())))
            self._forget_empty()

    def _expire(self) -> None:
        before = self._clock() - self._ttl
        for task in self._tasks.values():
            while task.events and task.events[0][0] < before:
                self._lose(task)
        self._forget_empty()

    def _forget_empty(self) -> None:
        for key in [key for key, task in self._tasks.items() if not task.events]:
            del self._tasks[key]

    def _drop_oldest_task(self) -> None:
        task = self._tasks.pop(next(iter(self._tasks)))
        self._bytes -= sum(len(data) for _, data in task.events)

    def _lose(self, task: _Task) -> None:
        self._pop(task)
        task.lost += 1

    def _pop(self, task: _Task) -> bytes:
        _, data = task.events.popleft()
        self._bytes -= len(data)
        return data


def _id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**30 else None
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable() else None
