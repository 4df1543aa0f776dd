"""Change values within a JSON text and leave all its other bytes as they are: order, spacing, spelling of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from ccinspect.wire.jsontext import dump_text, parse
from ccinspect.wire.model import Json, Path, format_path

_SPACE = " \t\r\n"
_scan = json.JSONDecoder().raw_decode
_MISSING = object()


def rewrite(original: bytes, after: Json) -> bytes:
    """`original` (JSON in UTF-8) with those values replaced that are others in `after`; the same object when none is.

    What is new in an object goes last, what is new in an array stands where it stands there. A text that cannot be
    edited (duplicate keys, not UTF-8) is written anew. Never raises.
    """
    before, problem = parse(original)
    if problem is None and _same(before, after):
        return original
    try:
        if problem is not None:
            raise _NotEditable
        text = original.decode("utf-8")
        start = _skip(text, 1 if text.startswith("\ufeff") else 0)
        edited = _Editor(text).value(start, before, after)
        _, end = _scan(text, start)
        return (text[:start] + edited + text[end:]).encode("utf-8")
    except (_NotEditable, ValueError, RecursionError, IndexError):
        return dump_text(after).encode("utf-8")


def changed_paths(before: Json, after: Json, limit: int = 50) -> list[str]:
    """Where two values differ, as jq writes paths; the first `limit` of them."""
    found: list[str] = []
    for path in _differences(before, after, ()):
        if len(found) == limit:
            break
        found.append(format_path(path))
    return found


class _NotEditable(Exception):
    pass


def _same(one: Json, other: Json) -> bool:
    """Equal also in type: 1, 1.0 and true are three things on the wire."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


class _Editor:
    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, start: int, before: Json, after: Json) -> str:
        """The text of `after`, which stands in the place of the value at `start`."""
        if isinstance(before, dict) and isinstance(after, dict):
            return self._object(start, before, after)
        if isinstance(before, list) and isinstance(after, list):
            return self._array(start, before, after)
        return dump_text(after)

    def _object(self, start: int, before: dict[str, Any], after: dict[str, Any]) -> str:
        members = list(self._elements(start, "}"))
        if len(members) != len(before):
            # A key that stands there twice: only the last one counts for some readers, the first for others.
            raise _NotEditable
        pieces = []
        for member in members:
            if member.key in after:
                old, new = before[member.key], after[member.key]
                pieces.append(self._piece(member, old, new))
        gap = self._gap(members)
        pieces += [f"{gap}{dump_text(key)}:{dump_text(value)}" for key, value in after.items() if key not in before]
        return "{" + self._join(pieces, members) + "}"

    def _array(self, start: int, before: list[Any], after: list[Any]) -> str:
        items = list(self._elements(start, "]"))
        first = _common(zip(before, after, strict=False))
        last = _common(zip(reversed(before[first:]), reversed(after[first:]), strict=False))
        gap = self._gap(items)
        pieces = []
        for index, value in enumerate(after):
            if index < first:
                pieces.append(self._whole(items[index]))
            elif index >= len(after) - last:
                pieces.append(self._whole(items[index - len(after)]))
            elif index < len(before) - last:
                pieces.append(self._piece(items[index], before[index], value))
            else:
                pieces.append(gap + dump_text(value))
        return "[" + self._join(pieces, items) + "]"

    def _piece(self, element: _Element, old: Json, new: Json) -> str:
        if _same(old, new):
            return self._whole(element)
        edited = self.value(element.start, old, new)
        return self._text[element.opening : element.start] + edited + self._text[element.end : element.close]

    def _whole(self, element: _Element) -> str:
        return self._text[element.opening : element.close]

    def _gap(self, elements: list[_Element]) -> str:
        """The space before an element that is not the first."""
        if not elements:
            return ""
        opening = elements[min(1, len(elements) - 1)].opening
        return self._text[opening : _skip(self._text, opening)]

    def _join(self, pieces: list[str], elements: list[_Element]) -> str:
        if not pieces or not elements:
            return ",".join(pieces)
        # The space after the first bracket and before the last one belongs to them, whatever stands there now.
        text, first, last = self._text, elements[0], elements[-1]
        lead = text[first.opening : _skip(text, first.opening)]
        trail = text[last.end : _skip(text, last.end)]
        pieces[0] = lead + pieces[0].lstrip(_SPACE)
        pieces[-1] = pieces[-1].rstrip(_SPACE) + trail
        return ",".join(pieces)

    def _elements(self, start: int, closing: str) -> Iterator[_Element]:
        text = self._text
        opening = start + 1
        at = _skip(text, opening)
        while text[at] != closing:
            key = ""
            if closing == "}":
                key, at = scanstring(text, at + 1, True)
                at = _skip(text, _skip(text, at) + 1)
            _, end = _scan(text, at)
            close = _skip(text, end)
            is_last = text[close] != ","
            # The space before the closing bracket is the bracket's.
            yield _Element(key, opening, at, end, end if is_last else close)
            if is_last:
                return
            opening = close + 1
            at = _skip(text, opening)


class _Element(NamedTuple):
    """A member of an object, or an item of an array."""

    key: str
    opening: int
    """After the bracket or comma before it."""
    start: int
    """Where its value begins."""
    end: int
    close: int
    """Where the comma after it stands; the last one's `end`."""


def _common(pairs: Any) -> int:
    count = 0
    for one, other in pairs:
        if not _same(one, other):
            break
        count += 1
    return count


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _differences(before: Json, after: Json, path: Path) -> Iterator[Path]:
    if _same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differences(before.get(key, _MISSING), after.get(key, _MISSING), (*path, key))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else _MISSING
            new = after[index] if index < len(after) else _MISSING
            yield from _differences(old, new, (*path, index))
    else:
        yield path
