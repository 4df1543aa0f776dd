"""Where a body is cut into pieces.

Cuts depend on the bytes around them alone, so a body that repeats an earlier one with something put in, taken out or
changed falls into the same pieces but for those near the change. No dialect is understood, none needs to be.

A rolling hash byte by byte is too slow in Python. Here two passes of C do the same work: every byte is mapped to
one of two classes, and a cut is wherever a certain row of eleven classes stands. In text, code, base64, hex and noise
alike that is one place in about 2,000 bytes (some 3 ms per MB).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Changing either value makes new bodies share nothing with those already stored; nothing else depends on them.
_CLASSES = bytes((i * 0xB5 >> 7) & 1 for i in range(256))
_CUT = bytes((0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0))


@dataclass(frozen=True)
class Profile:
    """Sizes in bytes: no piece is smaller than `least` (but the last), none larger than `most`."""

    least: int
    most: int
    by_content: bool = True


FINE = Profile(1 << 10, 8 << 10)
"""For what an agent sends: it comes again, a little longer, with the next request."""
MEDIUM = Profile(16 << 10, 128 << 10)
"""For very large requests: fewer rows."""
WHOLE = Profile(1 << 20, 1 << 20, by_content=False)
"""For what does not come again, or is compressed: only equal bodies are shared, and zstd sees as much as it can."""

_WINDOW = 1 << 20


def pieces(read: Callable[[int], bytes], profile: Profile) -> Iterator[bytes]:
    """Cut what `read(size)` gives until it gives nothing. Never holds more than about 2 MB."""
    buffer, at_end = b"", False
    while not at_end:
        more = read(_WINDOW)
        at_end = not more
        buffer += more
        start = 0
        cuts = _cuts(buffer, profile, at_end)
        for end in cuts:
            yield buffer[start:end]
            start = end
        buffer = buffer[start:]


def _cuts(buffer: bytes, profile: Profile, at_end: bool) -> Iterator[int]:
    """Ends of the pieces in `buffer`; the tail is left for the next window unless `at_end`."""
    classes = buffer.translate(_CLASSES) if profile.by_content else b""
    start, size = 0, len(buffer)
    while size - start > profile.most or (at_end and size > start):
        limit = min(start + profile.most, size)
        found = classes.find(_CUT, start + profile.least, limit)
        start = found + len(_CUT) if found >= 0 and found + len(_CUT) <= limit else limit
        yield start
