"""A finished span as plain data, and the ids by which spans find each other.

Ids are hashes of our own ids: a span that has not been made yet (a run's is the last of its trace) can be named as a
parent, by another process too, and one that is exported twice is the same span.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from sys import getsizeof

Value = str | bool | int | float | tuple[str, ...]
Attributes = dict[str, Value]

INTERNAL, CLIENT = "internal", "client"

_BARE, _EACH_EVENT = 4_000, 600
"""Bytes of a span without its texts: of a call it is mostly the dictionary of its attributes."""

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Place:
    """A span's identity."""

    trace: int
    """128 bits, not 0."""
    span: int
    """64 bits, not 0."""


@dataclass(frozen=True, slots=True)
class Link:
    to: Place
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    at: float
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """Times are seconds since the epoch."""

    name: str
    kind: str
    place: Place
    parent: Place | None
    started_at: float
    ended_at: float
    attributes: Attributes
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    error: str | None = None
    """Why it failed, in a few words; None when it did not."""

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes, for the queue's bound."""
        texts = sum(getsizeof(value) for value in self.attributes.values() if isinstance(value, str))
        return _BARE + texts + _EACH_EVENT * (len(self.events) + len(self.links))


def trace_id(*names: str) -> int:
    return _hash(16, *names)


def span_id(*names: str) -> int:
    return _hash(8, *names)


def _hash(size: int, *names: str) -> int:
    text = "\0".join(names).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:size]) or 1


def is_sampled(trace: int, share: float) -> bool:
    """Whether a trace belongs to the exported share (0 to 1), decided as the SDK's ratio sampler does."""
    return (trace & (2**64 - 1)) < round(share * 2**64)


def read_traceparent(header: str) -> Place | None:
    """The client's own span, from a W3C `traceparent`; None when there is none, it is malformed, or not recorded.

    A span that its sender does not record is never seen by a backend: as a parent it would only tear our tree apart.
    """
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    trace, span, flags = int(match[2], 16), int(match[3], 16), int(match[4], 16)
    return Place(trace, span) if trace and span and flags & 1 else None
