"""Rate-limit and quota headers, in one form.

Times are given as on the wire told, made comparable: `resets_at` is seconds since the epoch when the header names a
moment, `resets_in` seconds from the answer when it names a span. No clock is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True)
class Limit:
    """One window or bucket. `used` is the share used up, 0.0 to 1.0 (more when over the limit)."""

    name: str
    """`requests`, `tokens`, `input-tokens`, `unified-5h`, `unified-7d`, `codex-primary`, ..."""
    limit: float | None = None
    remaining: float | None = None
    used: float | None = None
    status: str | None = None
    """Anthropic: `allowed`, `allowed_warning`, `rejected`."""
    window: float | None = None
    """Length in seconds."""
    resets_at: float | None = None
    resets_in: float | None = None


@dataclass(frozen=True, slots=True)
class RateLimits:
    limits: tuple[Limit, ...] = ()
    retry_after: float | None = None
    """Seconds to wait."""
    retry_at: float | None = None
    """The same as a moment (`retry-after` with a date), seconds since the epoch."""
    status: str | None = None
    """Anthropic's verdict over all windows."""
    binding: str | None = None
    """The window that decides (`five_hour`, `seven_day`, ...)."""
    extra: dict[str, str] = field(default_factory=dict)
    """Rate-limit headers with no field here, by their lower-case name."""

    def limit(self, name: str) -> Limit | None:
        return next((limit for limit in self.limits if limit.name == name), None)


_ANTHROPIC = "anthropic-ratelimit-"
_UNIFIED_WINDOW = re.compile(r"unified-(\d+[hdm][\w-]*?|overage)-(status|reset|utilization)")
_BUCKET = re.compile(r"([a-z-]+)-(limit|remaining|reset)")
_OPENAI = re.compile(r"x-ratelimit-(limit|remaining|reset)(?:-([a-z0-9_-]+))?")
_CODEX = re.compile(r"x-codex-([a-z0-9-]*?(?:primary|secondary))-(used-percent|window-minutes|reset-[a-z-]+)")
_QUOTA_SNAPSHOT = "x-quota-snapshot-"
_WINDOW = {"h": 3600.0, "d": 86400.0, "m": 60.0}
_MAX_HEADERS = 200


def parse_rate_limits(headers: Iterable[tuple[str, str]]) -> RateLimits | None:
    """Read a response's headers; None when there is nothing about limits. Never raises."""
    found: dict[str, dict[str, float | str | None]] = {}
    extra: dict[str, str] = {}
    retry: dict[str, float | None] = {}
    status = binding = None
    for seen, (name, value) in enumerate(headers):
        if seen >= _MAX_HEADERS:
            break
        name, value = name.lower(), value.strip()[:400]
        if name in ("retry-after", "retry-after-ms"):
            retry |= _retry(name, value, retry)
        elif name == _ANTHROPIC + "unified-status":
            status = value
        elif name == _ANTHROPIC + "unified-representative-claim":
            binding = value
        elif not _read_limit(name, value, found) and _about_limits(name):
            extra[name] = value
    limits = tuple(Limit(name=name, **values) for name, values in found.items())  # type: ignore[arg-type]
    if not (limits or retry or status or extra):
        return None
    return RateLimits(limits, retry.get("after"), retry.get("at"), status, binding, extra)


def _about_limits(name: str) -> bool:
    return "ratelimit" in name or name.startswith("x-codex-")


def _retry(name: str, value: str, known: dict[str, float | None]) -> dict[str, float | None]:
    seconds = _number(value)
    if name == "retry-after-ms":
        return {"after": seconds / 1000} if seconds is not None else {}
    if "after" in known:
        return {}
    if seconds is not None:
        return {"after": seconds}
    try:
        return {"at": parsedate_to_datetime(value).timestamp()}
    except (ValueError, TypeError, OverflowError):
        return {}


def _read_limit(name: str, value: str, found: dict[str, dict[str, float | str | None]]) -> bool:
    if name.startswith(_ANTHROPIC):
        return _anthropic(name.removeprefix(_ANTHROPIC), value, found)
    if match := _OPENAI.fullmatch(name):
        entry = found.setdefault(match[2] or "requests", {})
        if match[1] == "reset":
            return _reset(value, entry)
        entry[match[1]] = _number(value)
        return True
    if match := _CODEX.fullmatch(name):
        return _codex(match[2], value, found.setdefault(f"codex-{match[1]}", {}))
    if name.startswith(_QUOTA_SNAPSHOT):
        return _copilot(value, found.setdefault(name.removeprefix(_QUOTA_SNAPSHOT), {}))
    return False


def _anthropic(name: str, value: str, found: dict[str, dict[str, float | str | None]]) -> bool:
    if match := _UNIFIED_WINDOW.fullmatch(name):
        entry = found.setdefault(f"unified-{match[1]}", {})
        if span := re.match(r"(\d{1,4})([hdm])", match[1]):
            entry["window"] = int(span[1]) * _WINDOW[span[2]]
        if match[2] == "status":
            entry["status"] = value
        elif match[2] == "utilization":
            entry["used"] = _number(value)
        else:
            return _reset(value, entry)
        return True
    if name == "unified-reset":
        return _reset(value, found.setdefault("unified", {}))
    match = _BUCKET.fullmatch(name)
    if not match or match[1].startswith("unified"):
        return False
    entry = found.setdefault(match[1], {})
    if match[2] == "reset":
        return _reset(value, entry)
    entry[match[2]] = _number(value)
    return True


def _codex(what: str, value: str, entry: dict[str, float | str | None]) -> bool:
    number = _number(value)
    if what == "used-percent":
        entry["used"] = None if number is None else number / 100
    elif what == "window-minutes":
        entry["window"] = None if number is None else number * 60
    elif what == "reset-after-seconds":
        entry["resets_in"] = number
    elif what == "reset-at":
        return _reset(value, entry)
    else:
        return False
    return True


def _copilot(value: str, entry: dict[str, float | str | None]) -> bool:
    """`ent=300&ov=0.0&ovPerm=false&rem=98.5&rst=2026-01-01T00:00:00Z`: entitlement, percent remaining, reset."""
    try:
        fields = {key: values[0] for key, values in parse_qs(value, max_num_fields=50).items()}
    except ValueError:
        return False
    entitlement, percent = _number(fields.get("ent", "")), _number(fields.get("rem", ""))
    entry["limit"] = entitlement if entitlement is not None and entitlement >= 0 else None
    if percent is not None:
        entry["used"] = (100 - percent) / 100
    return _reset(fields.get("rst", ""), entry)


_SPAN = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?")
_EPOCH_FROM = 1_000_000_000


def _reset(value: str, entry: dict[str, float | str | None]) -> bool:
    """A moment (RFC 3339, or seconds or milliseconds since the epoch) or a span (`6m0s`, `20ms`, seconds)."""
    number = _number(value)
    if number is not None:
        if number >= _EPOCH_FROM * 1000:
            entry["resets_at"] = number / 1000
        else:
            entry["resets_at" if number >= _EPOCH_FROM else "resets_in"] = number
    elif (span := parse_span(value)) is not None:
        entry["resets_in"] = span
    else:
        try:
            moment = datetime.fromisoformat(value)
            entry["resets_at"] = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError, OSError):
            return bool(entry)
    return True


def parse_span(value: str) -> float | None:
    """Read `1h2m3.5s`, `6m0s`, `20ms` into seconds, or None."""
    match = _SPAN.fullmatch(value) if value else None
    if not match:
        return None
    days, hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds + millis / 1000


def _number(value: str) -> float | None:
    if not re.fullmatch(r"-?\d{1,15}(?:\.\d{1,15})?", value):
        return None
    return float(value)
