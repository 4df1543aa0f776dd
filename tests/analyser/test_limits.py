from __future__ import annotations

import json
from itertools import permutations

from ccinspect.analyser.limits import AccountLimits, LimitState, limits_at, merge_limits
from ccinspect.wire.ratelimits import Limit, RateLimits, parse_rate_limits


def told(used, resets_at, **more):
    return RateLimits((Limit("unified-5h", used=used, status="allowed", window=18_000.0, resets_at=resets_at),), **more)


def test_the_newest_word_on_a_limit_stays_whatever_the_order_of_answers():
    answers = [(told(0.1, 9_000.0), 100.0), (told(0.2, 9_000.0), 200.0), (told(0.3, 9_000.0), 300.0)]
    for order in permutations(answers):
        state = None
        for limits, at in order:
            state = merge_limits(state, limits, at)
        assert state is not None
        assert state.limits["unified-5h"].used == 0.3
        assert state.seen_at == 300.0


def test_limits_told_by_different_answers_are_kept_side_by_side():
    state = merge_limits(None, told(0.1, 9_000.0), 100.0)
    state = merge_limits(state, RateLimits((Limit("tokens", 1_000, 900, resets_in=60.0),)), 200.0)
    assert state.limits.keys() == {"unified-5h", "tokens"}
    assert state.limits["tokens"] == LimitState("tokens", 200.0, 1_000, 900, resets_at=260.0)


def test_what_an_answer_leaves_out_holds_on_until_the_window_ends():
    state = merge_limits(None, RateLimits((Limit("tokens", 1_000, 900, status="allowed", resets_in=60.0),)), 100.0)
    within = merge_limits(state, RateLimits((Limit("tokens", remaining=800),)), 150.0).limits["tokens"]
    assert (within.limit, within.remaining, within.status, within.resets_at) == (1_000, 800, "allowed", 160.0)
    after = merge_limits(state, RateLimits((Limit("tokens", remaining=990),)), 161.0).limits["tokens"]
    assert (after.limit, after.remaining, after.status, after.resets_at) == (1_000, 990, None, None)


def test_when_to_try_again_is_what_the_newest_answer_says():
    held = merge_limits(None, told(1.0, 9_000.0, retry_after=30.0, status="rejected"), 100.0)
    assert (held.retry_at, held.status) == (130.0, "rejected")
    free = merge_limits(held, told(1.0, 9_000.0, status="allowed"), 140.0)
    assert (free.retry_at, free.status) == (None, "allowed")
    assert merge_limits(free, told(0.5, 9_000.0, retry_after=5.0), 50.0).retry_at is None


def test_a_window_that_has_ended_is_full_again():
    state = merge_limits(None, told(0.9, 9_000.0), 100.0)
    state = merge_limits(state, RateLimits((Limit("tokens", 1_000, 10, resets_at=500.0),)), 100.0)
    now = {limit.name: limit for limit in limits_at(state, 600.0)}
    assert (now["tokens"].remaining, now["unified-5h"].used) == (1_000, 0.9)
    later = {limit.name: limit for limit in limits_at(state, 9_001.0)}
    assert later["unified-5h"].used == 0.0


def test_headers_of_a_real_answer_come_through():
    headers = [
        ("anthropic-ratelimit-unified-status", "allowed"),
        ("anthropic-ratelimit-unified-5h-utilization", "0.42"),
        ("anthropic-ratelimit-unified-5h-reset", "1795000000"),
        ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
    ]
    parsed = parse_rate_limits(headers)
    assert parsed is not None
    state = merge_limits(None, parsed, 1_794_990_000.0)
    assert state.binding == "five_hour"
    assert state.limits["unified-5h"].used == 0.42
    assert AccountLimits.from_json(json.loads(json.dumps(state.to_json()))) == state
