"""Rate-limit headers as the providers send them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.wire.ratelimits import Limit, parse_rate_limits, parse_span


def test_anthropic_subscription_windows() -> None:
    limits = parse_rate_limits(
        [
            ("anthropic-ratelimit-unified-status", "allowed_warning"),
            ("Anthropic-Ratelimit-Unified-5h-Status", "allowed"),
            ("anthropic-ratelimit-unified-5h-reset", "1763683200"),
            ("anthropic-ratelimit-unified-5h-utilization", "0.42"),
            ("anthropic-ratelimit-unified-7d-status", "allowed_warning"),
            ("anthropic-ratelimit-unified-7d-reset", "1764000000"),
            ("anthropic-ratelimit-unified-7d-utilization", "0.91"),
            ("anthropic-ratelimit-unified-7d_sonnet-utilization", "0.05"),
            ("anthropic-ratelimit-unified-representative-claim", "seven_day"),
            ("anthropic-ratelimit-unified-fallback-percentage", "0.5"),
            ("anthropic-ratelimit-unified-overage-status", "rejected"),
            ("anthropic-ratelimit-unified-reset", "1764000000"),
            ("content-type", "text/event-stream"),
        ]
    )
    assert limits is not None
    assert (limits.status, limits.binding) == ("allowed_warning", "seven_day")
    assert limits.limit("unified-5h") == Limit(
        "unified-5h", used=0.42, status="allowed", window=18000, resets_at=1763683200
    )
    assert limits.limit("unified-7d") == Limit(
        "unified-7d", used=0.91, status="allowed_warning", window=604800, resets_at=1764000000
    )
    assert limits.limit("unified-7d_sonnet") == Limit("unified-7d_sonnet", used=0.05, window=604800)
    assert limits.limit("unified-overage") == Limit("unified-overage", status="rejected")
    assert limits.limit("unified") == Limit("unified", resets_at=1764000000)
    assert limits.extra == {"anthropic-ratelimit-unified-fallback-percentage": "0.5"}


def test_anthropic_api_buckets() -> None:
    limits = parse_rate_limits(
        [
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", "3999"),
            ("anthropic-ratelimit-requests-reset", "2025-11-21T00:00:01Z"),
            ("anthropic-ratelimit-input-tokens-limit", "2000000"),
            ("anthropic-ratelimit-input-tokens-remaining", "1999000"),
            ("retry-after", "12"),
        ]
    )
    assert limits is not None
    assert limits.limit("requests") == Limit("requests", 4000, 3999, resets_at=1763683201)
    assert limits.limit("input-tokens") == Limit("input-tokens", 2000000, 1999000)
    assert limits.retry_after == 12


def test_openai_buckets_with_spans() -> None:
    limits = parse_rate_limits(
        [
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-reset-requests", "120ms"),
            ("x-ratelimit-limit-tokens", "30000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("retry-after-ms", "1500"),
            ("retry-after", "2"),
        ]
    )
    assert limits is not None
    assert limits.limit("requests") == Limit("requests", 500, 499, resets_in=0.12)
    assert limits.limit("tokens") == Limit("tokens", 30000, 0, resets_in=360)
    assert limits.retry_after == 1.5


def test_codex_copilot_and_openrouter() -> None:
    limits = parse_rate_limits(
        [
            ("x-codex-primary-used-percent", "12.5"),
            ("x-codex-primary-window-minutes", "300"),
            ("x-codex-primary-reset-after-seconds", "600"),
            ("x-codex-secondary-used-percent", "80"),
            ("x-codex-secondary-reset-at", "1764000000"),
            ("x-codex-plan-type", "pro"),
            ("x-quota-snapshot-premium_models", "ent=300&ov=0.0&ovPerm=false&rem=98.5&rst=2026-01-01T00:00:00Z"),
            ("X-RateLimit-Limit", "20"),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", "1764000000000"),
        ]
    )
    assert limits is not None
    assert limits.limit("codex-primary") == Limit("codex-primary", used=0.125, window=18000, resets_in=600)
    assert limits.limit("codex-secondary") == Limit("codex-secondary", used=0.8, resets_at=1764000000)
    assert limits.limit("premium_models") == Limit("premium_models", limit=300, used=0.015, resets_at=1767225600)
    assert limits.limit("requests") == Limit("requests", 20, 0, resets_at=1764000000)
    assert limits.extra == {"x-codex-plan-type": "pro"}


def test_retry_after_as_a_date() -> None:
    limits = parse_rate_limits([("Retry-After", "Fri, 21 Nov 2025 00:00:00 GMT")])
    assert limits is not None
    assert (limits.retry_after, limits.retry_at) == (None, 1763683200)


def test_nothing_about_limits_is_none() -> None:
    assert parse_rate_limits([("content-type", "application/json"), ("retry-after", "soon")]) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h2m3.5s", 3723.5), ("20ms", 0.02), ("6m0s", 360), ("0s", 0), ("1d", 86400), ("", None), ("x", None)],
)
def test_spans(text: str, seconds: float | None) -> None:
    assert parse_span(text) == (None if seconds is None else pytest.approx(seconds))


NAMES = st.sampled_from(
    [
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-reset-tokens",
        "anthropic-ratelimit-unified-5h-reset",
        "anthropic-ratelimit-requests-reset",
        "x-codex-primary-reset-at",
        "x-quota-snapshot-chat",
        "x-ratelimit-x",
    ]
)


@given(st.lists(st.tuples(NAMES | st.text(max_size=20), st.text(max_size=40) | st.just("9" * 400)), max_size=8))
def test_any_header_is_survived(headers: list[tuple[str, str]]) -> None:
    told = parse_rate_limits(headers)
    if told is not None:
        numbers = [number for limit in told.limits for number in (limit.limit, limit.remaining, limit.used)]
        assert all(number is None or math.isfinite(number) for number in [*numbers, told.retry_after, told.retry_at])


def test_a_quota_of_endless_fields_is_no_quota() -> None:
    told = parse_rate_limits([("x-quota-snapshot-chat", "&" * 1_000), ("retry-after", "3")])
    assert told is not None
    assert told.retry_after == 3
    assert all(limit.remaining is None and limit.used is None for limit in told.limits)
