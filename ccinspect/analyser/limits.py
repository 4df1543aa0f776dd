"""The newest state of an account's rate limits and quotas, put together from many answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ccinspect.analyser.records import Record
from ccinspect.wire.ratelimits import Limit, RateLimits


@dataclass(frozen=True, slots=True)
class LimitState(Record):
    """One window or bucket as last told."""

    name: str
    seen_at: float
    """Seconds since the epoch, as all moments here."""
    limit: float | None = None
    remaining: float | None = None
    used: float | None = None
    """The share used up, 0 to 1 and beyond."""
    status: str | None = None
    window: float | None = None
    """Length in seconds."""
    resets_at: float | None = None


@dataclass(frozen=True, slots=True)
class AccountLimits(Record):
    """All that is known of one account's limits."""

    limits: dict[str, LimitState] = field(default_factory=dict)
    seen_at: float = 0.0
    status: str | None = None
    binding: str | None = None
    """The window that decides."""
    retry_at: float | None = None
    """When a request may be tried again, as the newest answer says; None when it does not hold us back."""


def merge_limits(state: AccountLimits | None, told: RateLimits, at: float) -> AccountLimits:
    """Add what an answer of the moment `at` tells. Answers may come in any order: the newest word on a limit stays."""
    state = state or AccountLimits()
    limits = dict(state.limits)
    for limit in told.limits:
        known = limits.get(limit.name)
        limits[limit.name] = _merged(known, limit, at)
    newer = at >= state.seen_at
    retry_at = told.retry_at
    if told.retry_after is not None:
        retry_at = at + told.retry_after
    return AccountLimits(
        limits,
        max(at, state.seen_at),
        (told.status or state.status) if newer else state.status,
        (told.binding or state.binding) if newer else state.binding,
        retry_at if newer else state.retry_at,
    )


def _merged(known: LimitState | None, limit: Limit, at: float) -> LimitState:
    resets_at = limit.resets_at
    if resets_at is None and limit.resets_in is not None:
        resets_at = at + limit.resets_in
    told = LimitState(limit.name, at, limit.limit, limit.remaining, limit.used, limit.status, limit.window, resets_at)
    if known is None:
        return told
    older, newer = (known, told) if at >= known.seen_at else (told, known)
    # What the older one says holds on, unless its window has ended in between.
    fresh = older.resets_at is None or older.resets_at > newer.seen_at
    kept = {name: getattr(older, name) for name in (_LASTING if not fresh else (*_LASTING, *_PASSING))}
    return replace(newer, **{name: value for name, value in kept.items() if getattr(newer, name) is None})


_LASTING = ("limit", "window")
_PASSING = ("remaining", "used", "status", "resets_at")


def limits_at(state: AccountLimits, now: float) -> tuple[LimitState, ...]:
    """The limits as they stand at `now`: those whose window has ended since are full again."""
    return tuple(_renewed(limit, now) for limit in _ordered(state.limits.values()))


def _ordered(limits: Iterable[LimitState]) -> list[LimitState]:
    return sorted(limits, key=lambda limit: (-(limit.used or 0), limit.name))


def _renewed(limit: LimitState, now: float) -> LimitState:
    if limit.resets_at is None or limit.resets_at > now:
        return limit
    used = None if limit.used is None else 0.0
    remaining = None if limit.remaining is None else limit.limit
    return replace(limit, used=used, remaining=remaining, status=None, resets_at=None)
