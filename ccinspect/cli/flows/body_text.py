"""Bodies for people: pretty where the kind is known, a hex dump where it is no text. Bounded, safe on a terminal."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

from ccinspect.cli.text import clean, clean_json, clean_lines, count
from ccinspect.wire.jsontext import deeper_than

MAX_PRETTY = 4 * 1024 * 1024
"""Bytes of JSON that are indented; a longer body is shown as it is."""

# Indenting costs bytes per level and value: a body made for it would become gigabytes.
MAX_DEPTH = 64

_HEX_BYTES = 256
_MAX_FORM_FIELDS = 1000


def body_lines(content: bytes, content_type: str) -> Iterator[str]:
    """Lines that show `content`, which is decoded already. `content_type` is the header's value, or empty."""
    kind = content_type.split(";")[0].strip().lower()
    decoded = _as_text(content, content_type)
    if decoded is None:
        yield from hex_lines(content)
    elif kind == "text/event-stream":
        yield from _lines(decoded)
    elif kind == "application/x-www-form-urlencoded" and len(content) <= MAX_PRETTY:
        yield from _form_lines(decoded)
    elif kind.endswith("json") or decoded.lstrip()[:1] in ("{", "["):
        yield from _json_lines(decoded)
    else:
        yield from _lines(decoded)


def _as_text(content: bytes, content_type: str) -> str | None:
    """The body as text; None when it is binary."""
    if b"\0" in content[:4096]:
        return None
    charset = "utf-8"
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"') or charset
    for candidate in (charset, "utf-8"):
        try:
            return content.decode(candidate)
        except (LookupError, ValueError):
            continue
    # A text that was cut inside a character, or holds a few stray bytes, is still a text.
    loose = content.decode("utf-8", "surrogateescape")
    strays = sum(1 for character in loose[:65536] if "\udc80" <= character <= "\udcff")
    return loose if strays * 50 < len(loose[:65536]) else None


def _json_lines(decoded: str) -> Iterator[str]:
    if len(decoded) > MAX_PRETTY:
        yield from _lines(decoded)
        return
    try:
        value = json.loads(decoded)
    except (ValueError, RecursionError):
        # JSON lines, a truncated answer, or something made to break us.
        value = None
    if value is None or deeper_than(value, MAX_DEPTH):
        yield from _lines(decoded)
    else:
        yield from _indented(value)


def _indented(value: Any) -> Iterator[str]:
    line = ""
    for piece in json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(value):
        # Line feeds inside of strings are escaped: each of these ends a line.
        *finished, line = (line + piece).split("\n")
        yield from map(clean_json, finished)
    yield clean_json(line)


def _form_lines(decoded: str) -> Iterator[str]:
    fields = urllib.parse.parse_qsl(decoded, keep_blank_values=True, errors="surrogateescape")
    for name, value in fields[:_MAX_FORM_FIELDS]:
        yield f"{clean(name)} = {clean(value)}"
    if len(fields) > _MAX_FORM_FIELDS:
        yield f"... {count(len(fields) - _MAX_FORM_FIELDS, 'more field')}"


def _lines(decoded: str) -> Iterator[str]:
    yield from clean_lines(decoded).rstrip("\n").split("\n")


def hex_lines(content: bytes) -> Iterator[str]:
    """The head of a binary body as `hexdump -C` shows it."""
    for offset in range(0, min(len(content), _HEX_BYTES), 16):
        row = content[offset : offset + 16]
        digits = f"{row[:8].hex(' ')}  {row[8:].hex(' ')}"
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{offset:08x}  {digits:<48}  |{letters}|"
    if len(content) > _HEX_BYTES:
        yield f"... {count(len(content) - _HEX_BYTES, 'more byte')}"
