"""Paths as a server might read them.

`/v1/%2e%2e/admin` is `/admin` for one server and a strange file below `/v1` for another, and nobody knows which one
stands at the other end. So there is not one normal spelling of a path but a few readings: a path is denied when any of
them is, and allowed only when all of them are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

MAX_DECODINGS = 4
"""A path that still changes after so many rounds of percent-decoding has no reading at all."""

_SLASHES = re.compile(r"/{2,}")


@lru_cache(maxsize=256)
def readings(target: str) -> tuple[str, ...]:
    """All readings of a path (a query is cut off), each beginning with a slash; none if it cannot be read."""
    text = target.partition("?")[0]
    found: dict[str, None] = {}
    for _ in range(MAX_DECODINGS):
        found[_resolved(text)] = None
        # An encoded question mark or number sign ends the path for whoever decodes before splitting.
        for end in "?#\0":
            if end in text:
                found[_resolved(_lenient(text.partition(end)[0]))] = None
        found[_resolved(_lenient(text))] = None
        decoded = unquote(text, errors="replace")
        if decoded == text:
            return tuple(found)
        text = decoded
    return ()


def _lenient(text: str) -> str:
    """As servers read that take `\\` for `/`, `//` for `/`, and drop parameters of segments (`/..;x=1/`)."""
    segments = text.replace("\\", "/").split("/")
    return _SLASHES.sub("/", "/".join(segment.partition(";")[0].rstrip(" \t") for segment in segments))


def _resolved(text: str) -> str:
    """Without `.` and `..` segments (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    segments = text.split("/")
    for segment in segments[1:] if text.startswith("/") else segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)
