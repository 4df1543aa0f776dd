"""Words for people: text that is safe on a terminal, sizes, times, durations.

Whatever was captured is hostile: a server that puts an escape sequence into a path or a header must not move the
cursor, set the title or hide a line of whoever looks at it.
"""

from __future__ import annotations

import re
import time
import unicodedata

# C0 and C1 controls, line and paragraph separators, direction overrides and marks, and surrogates, which no UTF-8
# terminal can be sent.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_UNSAFE_LINES = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_UNSAFE_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\x1b": "\\e"}


def clean(text: str) -> str:
    """`text` as one line without anything a terminal would obey; what is replaced stays visible (`\\e`, `\\x07`)."""
    return _UNSAFE.sub(_escape, text)


def clean_lines(text: str) -> str:
    """Like `clean`, but keeps line ends (also CRLF, as LF) and tabs."""
    return _UNSAFE_LINES.sub(_escape, text.replace("\r\n", "\n"))


def clean_json(text: str) -> str:
    """A JSON document with the same dangers escaped in JSON's own way: what it means does not change."""
    return _UNSAFE_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # A byte that was no UTF-8, as `surrogateescape` carries it.
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def width(text: str) -> int:
    """Columns that cleaned `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """At most `columns` wide; what is cut is marked by an ellipsis."""
    if width(text) <= columns:
        return text
    if columns < 1:
        return ""
    kept, used = [], 0
    for character in text:
        used += _character_width(character)
        if used > columns - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


def size(count: float | None) -> str:
    """Bytes as `312`, `4.1k`, `12M`: at most four characters; `-` when unknown."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("", "k", "M", "G", "T"):
        if value < 999.5 or unit == "T":
            break
        value /= 1000
    return f"{value:.1f}{unit}" if unit and value < 9.95 else f"{value:.0f}{unit}"


def duration(seconds: float | None) -> str:
    """`12ms`, `1.2s`, `3m05s`, `2h10m`, `4d03h`; `-` when unknown."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def moment(timestamp: float | None, now: float | None = None) -> str:
    """Local time: `14:03:22` today, `Nov 20 14:03` this year, `2025-11-20` before; `-` when unknown."""
    if timestamp is None:
        return "-"
    then = time.localtime(timestamp)
    today = time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    if then.tm_year == today.tm_year:
        return time.strftime("%b %d %H:%M", then)
    return time.strftime("%Y-%m-%d", then)


def full_moment(timestamp: float | None) -> str:
    """Local time to the millisecond with its zone, for one thing looked at closely."""
    if timestamp is None:
        return "-"
    then = time.localtime(timestamp)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', then)}.{int(timestamp % 1 * 1000):03d} {time.strftime('%z', then)}"


def count(number: int, noun: str) -> str:
    """`1 flow`, `2 flows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
