"""The queue before the collector: bounded, and never waited for."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from ccinspect.telemetry import queue as queues
from ccinspect.telemetry.queue import QueueState, SpanQueue
from ccinspect.telemetry.spans import INTERNAL, Place, Span

QUICK = (0.001, 0.002)


def span(number: int, text: str = "") -> Span:
    return Span(f"span {number}", INTERNAL, Place(1, number + 1), None, 1.0, 2.0, {"text": text})


class Collector:
    """Answers as it is told to, and says when it was asked."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked = threading.Semaphore(0)
        self.problem: str | None = None
        self.got: list[str] = []

    def send(self, spans: Sequence[Span]) -> str | None:
        self.asked.release()
        assert self.open.wait(30)
        if self.problem is None:
            self.got += [one.name for one in spans]
        return self.problem


@pytest.fixture
def collector() -> Collector:
    return Collector()


def test_what_is_put_in_arrives_in_order(collector: Collector) -> None:
    collector.open.set()
    queue = SpanQueue(collector.send, 1000)
    for number in range(600):
        queue.put(span(number))
    assert queue.close(30)
    assert collector.got == [f"span {number}" for number in range(600)]
    assert (queue.state.exported, queue.state.dropped, queue.state.queued) == (600, 0, 0)


def test_one_that_is_slow_costs_the_oldest_spans_and_no_wait(collector: Collector) -> None:
    queue = SpanQueue(collector.send, 10, pauses=QUICK)
    queue.put(span(0))
    assert collector.asked.acquire(timeout=30)
    for number in range(1, 1000):
        queue.put(span(number))
    assert queue.state.queued == 10
    assert queue.state.dropped == 990
    collector.open.set()
    assert queue.close(30)
    assert collector.got == ["span 0", *(f"span {number}" for number in range(991, 1000))]


def test_spans_are_bounded_in_bytes_too(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MOST_BYTES", 15_000)
    queue = SpanQueue(collector.send, 1000)
    queue.put(span(0))
    assert collector.asked.acquire(timeout=30)
    for number in range(1, 20):
        queue.put(span(number, "x" * 3000))
    assert queue.state.queued == 1 + 2
    collector.open.set()
    assert queue.close(30)


def test_a_batch_that_fails_is_tried_again(collector: Collector) -> None:
    collector.problem = "no route"
    collector.open.set()

    def fail_once(spans: Sequence[Span]) -> str | None:
        problem, collector.problem = collector.send(spans), None
        return problem

    news = threading.Semaphore(0)
    queue = SpanQueue(fail_once, 10, news.release, QUICK)
    queue.put(span(0))
    assert news.acquire(timeout=30)
    assert queue.state.last_error == "no route"
    assert queue.close(30)
    assert collector.got == ["span 0"]
    assert not queue.state.failing


def test_one_that_is_refused_for_ever_is_dropped(collector: Collector) -> None:
    collector.problem = "not of this sort"
    collector.open.set()
    news = threading.Semaphore(0)
    queue = SpanQueue(collector.send, 10, news.release, QUICK)
    queue.put(span(0))
    # Told after each try, the last one included.
    for _ in range(queues.TRIES):
        assert news.acquire(timeout=30)
    collector.problem = None
    queue.put(span(1))
    assert queue.close(30)
    assert collector.got == ["span 1"]
    assert (queue.state.exported, queue.state.dropped) == (1, 1)


@pytest.mark.parametrize("problem", ["400: Bad Request", "INVALID_ARGUMENT: no", "413: Content Too Large"])
def test_one_that_will_never_be_taken_is_dropped_at_once(collector: Collector, problem: str) -> None:
    collector.problem = problem
    news = threading.Semaphore(0)
    queue = SpanQueue(collector.send, 10, news.release)
    queue.put(span(0))
    collector.open.set()
    assert news.acquire(timeout=30)
    assert queue.state == QueueState(dropped=1, failing=True, last_error=problem)
    collector.problem = None
    queue.put(span(1))
    assert queue.close(30)
    assert collector.got == ["span 1"]


def test_the_end_does_not_wait_for_one_that_hangs(collector: Collector) -> None:
    queue = SpanQueue(collector.send, 10)
    queue.put(span(0))
    assert collector.asked.acquire(timeout=30)
    assert not queue.close(0.01)
    collector.open.set()
