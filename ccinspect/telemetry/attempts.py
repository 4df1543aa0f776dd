"""What was tried until a client got its answer: retries, and other targets. Each try of one flow is a span below it.

Pure. They are no model calls of their own: the client made one call, and its tokens are counted once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ccinspect.store.record import Record, part
from ccinspect.telemetry import names
from ccinspect.telemetry.calls import Told, clean

RETRY, FALLBACK = "retry_of", "fallback_of"


@dataclass(frozen=True, slots=True)
class Attempt:
    told: Told
    relation: str
    """To the attempt before it: the same target again (`retry_of`), or another one (`fallback_of`)."""


def tell_attempts(record: Record, flow: Told, capture: str) -> list[Attempt]:
    """All attempts of a flow, oldest first; empty when there was only one. `flow` is the flow's own span, `capture`
    the setting `capture_content`.

    How long each took and what was waited after it is kept, not when it began: they are told one after the other from
    the start of the flow.
    """
    attempts = [one for one in part(record, "changes").get("attempts") or () if isinstance(one, dict)]
    if not attempts or (len(attempts) == 1 and "gave_up" in attempts[0]):
        return []
    found: list[Attempt] = []
    at, before = flow.started_at, None
    for number, attempt in enumerate(attempts):
        ended_at = at + float(attempt.get("ms") or 0.0) / 1000
        found.append(Attempt(_failed(attempt, number, at, ended_at, capture), _relation(before, attempt)))
        at, before = ended_at + float(attempt.get("waited") or 0.0), attempt
    if "gave_up" not in attempts[-1]:
        found.append(Attempt(_answered(flow, len(attempts), at), _relation(before, None)))
    return found


def _relation(before: dict[str, Any] | None, attempt: dict[str, Any] | None) -> str:
    """`attempt` is None for the one that was answered, whose target is not kept: it was the same if there was a pause,
    or only the credential was another."""
    if before is not None and ("waited" in before or (attempt is None and before.get("status") == 401)):
        return RETRY
    same = before is not None and attempt is not None and _target(before) == _target(attempt)
    return RETRY if same else FALLBACK


def _target(attempt: dict[str, Any]) -> tuple[Any, Any]:
    return attempt.get("provider"), attempt.get("model")


def _failed(attempt: dict[str, Any], number: int, started_at: float, ended_at: float, capture: str) -> Told:
    status, said = attempt.get("status"), attempt.get("error")
    error = str(status) if status else names.OTHER_ERROR
    place = urlsplit(attempt.get("url") or "")
    usual = {"http": 80, "https": 443}.get(place.scheme)
    attributes = {
        names.HTTP_METHOD: "POST",
        names.RESENT: number or None,
        names.OUR_PROVIDER: attempt.get("provider"),
        names.REQUEST_MODEL: attempt.get("model"),
        names.SERVER_ADDRESS: place.hostname,
        names.SERVER_PORT: (place.port or usual) if place.hostname else None,
        names.URL: attempt.get("url"),
        names.HTTP_STATUS: status,
        names.ERROR_TYPE: error,
        # With a status it is the provider's answer, which may quote what was said.
        names.NOTE: said if status is None or capture == "full" else None,
    }
    return Told("POST", started_at, ended_at, clean(attributes), error=error)


_OF_THE_FLOW = (
    names.HTTP_METHOD,
    names.OUR_PROVIDER,
    names.REQUEST_MODEL,
    names.SERVER_ADDRESS,
    names.SERVER_PORT,
    names.URL,
    names.HTTP_STATUS,
    names.ERROR_TYPE,
)


def _answered(flow: Told, number: int, started_at: float) -> Told:
    known = {name: flow.attributes[name] for name in _OF_THE_FLOW if name in flow.attributes}
    started_at = min(started_at, flow.ended_at)
    return Told("POST", started_at, flow.ended_at, known | {names.RESENT: number}, error=flow.error)
