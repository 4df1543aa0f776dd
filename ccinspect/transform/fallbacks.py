"""What to do after an attempt failed: again at the same place, at the next one, or not at all.

    attempt fails -> told to wait longer than `give_up_after`?      -> next target
                  -> attempts at this target used up?               -> next target
                  -> the wait would go beyond the budget?           -> next target
                  -> else                                           -> the same again, after the wait
    next target   -> none left                                      -> give up: the client gets the last answer

A pure state machine: it reads the clock it was given and never sleeps. It ends: every target is tried `attempts` times
at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ccinspect.transform.settings import Fallbacks, FallbackTarget

_FIRST_DELAY = 1.0
"""Seconds before the second attempt, doubled before each further one, where the provider does not say."""


@dataclass(frozen=True, slots=True)
class Retry:
    after: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class NextTarget:
    provider: str | None
    """None: the provider stays."""
    model: str | None
    """None: the model stays."""
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class GiveUp:
    reason: str


Verdict = Retry | NextTarget | GiveUp


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that failed, and what was decided then."""

    provider: str | None
    model: str | None
    status: int | None
    error: str | None
    retry_after: float | None
    at: float
    """Seconds since the first attempt began."""
    verdict: Verdict


class Attempts:
    """The attempts of one request."""

    def __init__(
        self,
        settings: Fallbacks,
        clock: Callable[[], float],
        provider: str | None = None,
        model: str | None = None,
    ) -> None:
        """`clock` gives seconds that never go back. `provider` and `model` are those of the first attempt."""
        self.settings = settings
        self.provider = provider
        self.model = model
        self.failed: list[Attempt] = []
        self._clock = clock
        self._started = clock()
        self._left = list(settings.to)
        self._here = 0
        self._first = (provider, model)

    def holds(self, status: int) -> bool:
        """Whether an answer of this status must not reach the client before `next` was asked."""
        return status in self.settings.on

    def next(self, status: int | None, retry_after: float | None = None, error: str | None = None) -> Verdict:
        """Decide after a failed attempt. `status` is None where no answer came; `error` then says why. `retry_after`
        is what the provider said, in seconds."""
        if self.settings.on == () or (status is not None and not self.holds(status)):
            return GiveUp("an answer of this status is not sent again")
        self._here += 1
        elapsed = max(0.0, self._clock() - self._started)
        verdict = self._verdict(retry_after, elapsed)
        self.failed.append(Attempt(self.provider, self.model, status, error, retry_after, elapsed, verdict))
        if isinstance(verdict, NextTarget):
            self.provider, self.model = verdict.provider, verdict.model
            self._here = 0
        return verdict

    def skip(self, error: str) -> NextTarget | GiveUp:
        """Decide when the target just given cannot be used at all; `error` says why."""
        elapsed = max(0.0, self._clock() - self._started)
        verdict = self._move(error)
        self.failed.append(Attempt(self.provider, self.model, None, error, None, elapsed, verdict))
        if isinstance(verdict, NextTarget):
            self.provider, self.model = verdict.provider, verdict.model
        return verdict

    def _verdict(self, retry_after: float | None, elapsed: float) -> Verdict:
        settings = self.settings
        if retry_after is not None and retry_after > settings.give_up_after:
            return self._move(f"told to wait {retry_after:.0f} s")
        if self._here >= settings.attempts:
            return self._move(f"{self._here} attempts failed")
        delay = _FIRST_DELAY * 2 ** (self._here - 1) if retry_after is None else max(0.0, retry_after)
        delay = min(delay, settings.max_delay)
        if elapsed + delay > settings.budget:
            return self._move(f"{settings.budget:g} s are used up")
        return Retry(delay)

    def _move(self, reason: str) -> NextTarget | GiveUp:
        if not self._left:
            return GiveUp(reason)
        target: FallbackTarget = self._left.pop(0)
        if target.provider is None or target.provider == self.provider:
            return NextTarget(self.provider, target.model or self.model)
        # Another provider calls its models otherwise: the client's own name holds, or the one that is said.
        return NextTarget(target.provider, target.model or self._first[1])

    def as_record(self) -> list[dict[str, object]]:
        """The failed attempts, as the flow's record holds them."""
        return [
            {
                "provider": attempt.provider,
                "model": attempt.model,
                "status": attempt.status,
                "error": attempt.error,
                "retry_after": attempt.retry_after,
                "at": round(attempt.at, 3),
                "then": _told(attempt.verdict),
            }
            for attempt in self.failed
        ]


def _told(verdict: Verdict) -> dict[str, object]:
    match verdict:
        case Retry(after):
            return {"do": "retry", "after": after}
        case NextTarget(provider, model):
            return {"do": "next", "provider": provider, "model": model}
        case GiveUp(reason):
            return {"do": "give up", "reason": reason}
