"""The buffer of events: bounded in every direction, and it says what had to go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccinspect.hooks import notifications
from ccinspect.hooks.notifications import MAX_BATCH, MAX_TASKS, Notifications


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def buffer(max_events: int = 100, ttl: float = 600) -> tuple[Notifications, Clock]:
    clock = Clock()
    return Notifications(max_events, ttl, clock), clock


def posted(task: Any = "t", session: Any = "s", event: Any = None) -> dict[str, Any]:
    return {"task_id": task, "session_id": session, "event": {"n": 1} if event is None else event}


def test_events_come_back_once_by_task_and_in_order() -> None:
    waiting, _ = buffer()
    for number in range(3):
        assert waiting.add(posted("a", event={"n": number}))
    assert waiting.add(posted("b"))
    assert waiting.add(posted("c", session="other"))
    assert [(batch.task_id, batch.events) for batch in waiting.take("s")] == [
        ("a", [{"n": 0}, {"n": 1}, {"n": 2}]),
        ("b", [{"n": 1}]),
    ]
    assert waiting.take("s") == []
    assert not waiting.pending("s")
    assert waiting.pending("other")
    assert waiting.pending(None)


def test_a_task_of_two_sessions_is_two() -> None:
    waiting, _ = buffer()
    waiting.add(posted("t", "one", {"for": 1}))
    waiting.add(posted("t", "two", {"for": 2}))
    assert [batch.events for batch in waiting.take("two")] == [[{"for": 2}]]
    assert [batch.events for batch in waiting.take("one")] == [[{"for": 1}]]


def test_the_oldest_go_and_that_is_told() -> None:
    waiting, _ = buffer(max_events=5)
    for number in range(8):
        waiting.add(posted(event=number))
    (batch,) = waiting.take("s")
    assert (batch.events, batch.lost) == ([3, 4, 5, 6, 7], 3)
    assert json.loads(batch.text()) == {"taskId": "t", "events": [3, 4, 5, 6, 7], "lost": 3}


def test_events_do_not_wait_for_ever() -> None:
    waiting, clock = buffer(ttl=600)
    waiting.add(posted(event="old"))
    clock.now += 400
    waiting.add(posted(event="new"))
    clock.now += 201
    (batch,) = waiting.take("s")
    assert (batch.events, batch.lost) == (["new"], 1)
    waiting.add(posted(event="x"))
    clock.now += 601
    assert not waiting.pending("s")
    assert waiting.take("s") == []


def test_a_request_takes_only_so_much() -> None:
    waiting, _ = buffer(max_events=1000)
    for number in range(100):
        waiting.add(posted(event={"n": number, "text": "x" * 200}))
    seen = []
    while batches := waiting.take("s"):
        assert sum(len(batch.text()) for batch in batches) < MAX_BATCH + 500
        seen += [event["n"] for batch in batches for event in batch.events]
        assert batches[-1].waiting == 100 - len(seen)
    assert seen == list(range(100))


def test_many_small_tasks_are_counted_by_what_they_cost() -> None:
    waiting, _ = buffer()
    for number in range(500):
        waiting.add(posted(f"task-{number}"))
    assert sum(len(batch.text()) for batch in waiting.take("s")) < MAX_BATCH


def test_a_huge_event_is_cut_and_that_is_told() -> None:
    waiting, _ = buffer()
    waiting.add(posted(event={"log": "é" * 100_000}))
    (batch,) = waiting.take("s")
    assert batch.events[0]["length"] > 100_000
    assert batch.events[0]["cut"].startswith('{"log": "é')


def test_tasks_and_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, _ = buffer()
    for number in range(MAX_TASKS + 10):
        waiting.add(posted(str(number), str(number)))
    assert not waiting.pending("9")
    assert waiting.pending("10")
    monkeypatch.setattr(notifications, "MAX_BYTES", 10_000)
    waiting, _ = buffer(max_events=1000)
    for _ in range(100):
        waiting.add(posted("a", "a", "x" * 1000))
        waiting.add(posted("b", "b", "x" * 100))
    kept = sum(len(json.dumps(event)) for name in "ab" for batch in _all(waiting, name) for event in batch.events)
    assert 8_000 < kept <= 10_000


def _all(waiting: Notifications, session: str) -> list[notifications.Batch]:
    found = []
    while batches := waiting.take(session):
        found += batches
    return found


@pytest.mark.parametrize(
    "value",
    [
        {},
        posted(task=None),
        posted(task=""),
        posted(task="x" * 201),
        posted(task="a\nb"),
        posted(task=[1]),
        posted(task=True),
        posted(session=None),
        posted(session={"a": 1}),
        {"task_id": "t", "session_id": "s"},
        posted(event=float("nan")),
        posted(event={"x": "\ud800"}),
    ],
)
def test_what_is_no_notification_is_left(value: dict[str, Any]) -> None:
    waiting, _ = buffer()
    assert not waiting.add(value)
    assert not waiting.pending(None)


def test_a_number_is_a_name_too() -> None:
    waiting, _ = buffer()
    assert waiting.add(posted(task=7))
    assert waiting.take("s")[0].task_id == "7"
