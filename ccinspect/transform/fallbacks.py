"""What to do when an upstream fails: try again, go on to the next one, or give up. A state machine without a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccinspect.transform.settings import FallbackSettings

_FIRST_DELAY = 0.5


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The same provider and model, after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class GoOn:
    """Another provider or model: `provider` is None for the same one, `model` for what the client asked for."""

    provider: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class GiveUp:
    reason: str


Step = TryAgain | GoOn | GiveUp


class Fallbacks:
    """The attempts of one request. Times are seconds on any clock that only goes forward."""

    def __init__(self, settings: FallbackSettings, started_at: float) -> None:
        self._settings = settings
        self._deadline = started_at + settings.budget
        self._then: list[str] = list(settings.then)
        self._sticky = 1
        """Attempts with the present provider and model."""

    def holds(self, status: int) -> bool:
        """Whether an answer of this status is judged before the client sees it."""
        return status in self._settings.on_status

    def next(self, now: float, status: int | None, retry_after: float | None) -> Step:
        """After a failed attempt: `status` is None when there was no answer at all."""
        settings = self._settings
        delay = retry_after if retry_after is not None else _FIRST_DELAY * 2 ** (self._sticky - 1)
        too_long = retry_after is not None and retry_after > settings.give_up_after
        # Waiting less than what was asked for would only be refused again.
        waits = not too_long and delay <= settings.max_delay
        if retry_after is None:
            delay, waits = min(delay, settings.max_delay), True
        if waits and self._sticky < settings.attempts and now + delay <= self._deadline:
            self._sticky += 1
            return TryAgain(max(0.0, delay))
        if self._then and now < self._deadline:
            self._sticky = 1
            return _go_on(self._then.pop(0))
        if now >= self._deadline:
            return GiveUp(f"the budget of {settings.budget:g} s is used up")
        if too_long:
            return GiveUp(f"the provider asks to wait {retry_after:g} s")
        return GiveUp(f"{self._sticky} attempts failed" if self._sticky > 1 else "there is nothing left to try")


def _go_on(entry: str) -> GoOn:
    provider, _, model = entry.partition("/")
    return GoOn(provider or None, model or None)


def unknown_providers(settings: FallbackSettings, known: Sequence[str]) -> list[str]:
    """Names in `then` that are no providers."""
    names = [entry.partition("/")[0] for entry in settings.then]
    return [name for name in names if name and name not in known]
