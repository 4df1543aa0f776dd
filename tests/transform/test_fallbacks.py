"""What follows a failed attempt, by a clock that only the test moves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.transform.fallbacks import Attempts, GiveUp, NextTarget, Retry
from ccinspect.transform.settings import Fallbacks


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def attempts(**settings: Any) -> tuple[Attempts, Clock]:
    clock = Clock()
    return Attempts(Fallbacks(**settings), clock, "first", "m"), clock


def test_the_same_is_asked_three_times_and_then_the_next_ones() -> None:
    made, _ = attempts(to=["m2", {"provider": "second"}, {"provider": "third", "model": "m3"}])
    verdicts = [made.next(503) for _ in range(12)]
    assert verdicts == [
        Retry(1),
        Retry(2),
        NextTarget("first", "m2"),
        Retry(1),
        Retry(2),
        NextTarget("second", "m"),
        Retry(1),
        Retry(2),
        NextTarget("third", "m3"),
        Retry(1),
        Retry(2),
        GiveUp("3 attempts failed"),
    ]
    assert [(attempt.provider, attempt.model) for attempt in made.failed[::3]] == [
        ("first", "m"),
        ("first", "m2"),
        ("second", "m"),
        ("third", "m3"),
    ]


def test_the_provider_says_how_long_to_wait_up_to_a_minute() -> None:
    made, _ = attempts()
    assert made.next(429, retry_after=7.5) == Retry(7.5)
    assert made.next(429, retry_after=90) == Retry(60)


def test_a_wait_that_is_too_long_is_not_waited_for() -> None:
    assert attempts()[0].next(429, retry_after=301) == GiveUp("told to wait 301 s")
    assert attempts(to=["m2"])[0].next(429, retry_after=301) == NextTarget("first", "m2")
    assert attempts()[0].next(429, retry_after=300) == Retry(60)


def test_after_the_budget_there_is_no_more_waiting() -> None:
    made, clock = attempts(to=["m2", "m3"], budget=120)
    clock.now += 100
    assert made.next(503, retry_after=20) == Retry(20)
    clock.now += 20
    assert made.next(503) == NextTarget("first", "m2")
    assert made.next(503) == NextTarget("first", "m3")
    assert made.next(503) == GiveUp("120 s are used up")


@pytest.mark.parametrize("status", [400, 401, 404, 502])
def test_other_answers_are_the_clients(status: int) -> None:
    made, _ = attempts(to=["m2"])
    assert not made.holds(status)
    assert isinstance(made.next(status), GiveUp)
    assert made.failed == []


def test_an_attempt_that_got_no_answer_is_made_again() -> None:
    made, _ = attempts()
    assert made.next(None, error="connection refused") == Retry(1)
    assert isinstance(attempts(on=[])[0].next(None, error="x"), GiveUp)


def test_the_record_says_what_was_tried() -> None:
    made, clock = attempts(attempts=2, to=[{"provider": "second"}])
    made.next(429, retry_after=2)
    clock.now += 2.0004
    made.next(None, error="reset")
    record = made.as_record()
    assert json.loads(json.dumps(record)) == record
    assert record == [
        {
            "provider": "first",
            "model": "m",
            "status": 429,
            "error": None,
            "retry_after": 2,
            "at": 0.0,
            "then": {"do": "retry", "after": 2},
        },
        {
            "provider": "first",
            "model": "m",
            "status": None,
            "error": "reset",
            "retry_after": None,
            "at": 2.0,
            "then": {"do": "next", "provider": "second", "model": "m"},
        },
    ]


@given(
    st.integers(1, 20),
    st.lists(st.sampled_from(["a", {"provider": "p"}, {"provider": "q", "model": "b"}]), max_size=20),
    st.lists(st.tuples(st.sampled_from([429, 503, None]), st.none() | st.floats(-5, 1e9)), min_size=500, max_size=500),
)
def test_it_ends_and_never_waits_beyond_the_budget(
    tries: int, targets: list[Any], failures: list[tuple[int | None, float | None]]
) -> None:
    made, clock = attempts(attempts=tries, to=targets)
    for status, wait in failures:
        verdict = made.next(status, wait)
        if isinstance(verdict, GiveUp):
            break
        if isinstance(verdict, Retry):
            assert 0 <= verdict.after <= 60
            clock.now += verdict.after
    assert isinstance(verdict, GiveUp)
    assert len(made.failed) <= tries * (len(targets) + 1)
    assert clock.now - 1_000 <= 120
