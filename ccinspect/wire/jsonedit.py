"""Changing a JSON text without touching the rest of it.

`rewrite` takes the text, the value it was parsed to and the value it shall have, and serialises anew only what
differs. Everything else keeps its bytes: order of keys, space, spelling of numbers, escapes, duplicate keys.

The text is scanned as Latin-1, so that positions are byte offsets; the structure of JSON is ASCII, and no byte of a
longer UTF-8 sequence is. Values that did not change are skipped by the standard library's C scanner.
"""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from ccinspect.wire.jsonalign import Pair, align
from ccinspect.wire.jsontext import dump, mend_text
from ccinspect.wire.model import Json, Path, format_path

_BOM = b"\xef\xbb\xbf"
_space = re.compile(r"[ \t\r\n]*").match


class _Mismatch(Exception):
    """The text does not say what the caller believes it to say."""


def _nothing(text: str) -> None:
    return None


_Scan = Callable[[str, int], tuple[Any, int]]
_scan: _Scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
# Python refuses to read integers of more than 4,300 digits; this slower one does not read numbers at all.
_scan_big: _Scan = json.JSONDecoder(parse_int=_nothing, parse_float=_nothing).scan_once  # type: ignore[attr-defined]


def rewrite(original: bytes, before: Json, after: Json) -> bytes:
    """`original` with only the changed values serialised anew.

    `before` is what `jsontext.parse` makes of `original`; nothing is changed in place. New keys go last in their
    object; in arrays, elements that stayed equal keep their bytes wherever they moved to in order. Never raises on
    JSON that `jsontext.parse` accepts; where the text and `before` do not fit together, that part is written anew.
    """
    try:
        if same(before, after):
            return original
        text = original.decode("latin-1")
        start = _space(text, len(_BOM) if original.startswith(_BOM) else 0).end()  # type: ignore[union-attr]
        return _rewritten(original, text, start, before, after)
    except (_Mismatch, StopIteration, ValueError, IndexError, RecursionError):
        return dump(after)


def _rewritten(original: bytes, text: str, start: int, before: Json, after: Json) -> bytes:
    try:
        value, end = _Writer(original, text, _scan).value(start, before, after)
    except ValueError:
        value, end = _Writer(original, text, _scan_big).value(start, before, after)
    if original[end:].strip(b" \t\r\n"):
        raise _Mismatch
    return original[:start] + value + original[end:]


def same(before: Json, after: Json) -> bool:
    """Whether two values are written alike in JSON: `True` is not `1`, `1.0` is not `1`, and the order of keys is free.

    Raises RecursionError when one of them holds itself.
    """
    if before is after:
        return True
    if not isinstance(before, list | dict):
        return _same_scalar(before, after)
    if before != after:
        return False
    try:
        # Version 2 knows no references and no interned strings: equal bytes are equal values of equal types.
        if marshal.dumps(before, 2) == marshal.dumps(after, 2):
            return True
    except ValueError:
        return False
    return next(_differences(before, after, ()), None) is None


def _same_scalar(before: Json, after: Json) -> bool:
    if type(before) is not type(after) or before != after:
        return False
    # Zero has a sign, which the comparison does not see.
    return type(before) is not float or repr(before) == repr(after)


def changed_paths(before: Json, after: Json, limit: int = 50) -> list[str]:
    """Where two values differ, as jq writes it, `limit` places at most. An index counts in `after`, and for what was
    removed in `before`. Raises RecursionError when a value holds itself."""
    found: list[str] = []
    for path in _differences(before, after, ()):
        if len(found) == limit:
            break
        found.append(format_path(path))
    return found


def _differences(before: Json, after: Json, path: Path) -> Iterator[Path]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield (*path, key)
            elif not same(value, after[key]):
                yield from _differences(value, after[key], (*path, key))
        yield from ((*path, key) for key in after if key not in before)
    elif isinstance(before, list) and isinstance(after, list):
        for old, new in align(before, after, same):
            if new is None:
                yield (*path, old or 0)
            elif old is None:
                yield (*path, new)
            elif not same(before[old], after[new]):
                yield from _differences(before[old], after[new], (*path, new))
    elif not same(before, after):
        yield path


@dataclass(slots=True)
class _Member:
    """One member of an object, or element of an array, in the text."""

    start: int
    end: int
    written: bytes | None = None
    """What shall stand there; None for what stands there."""
    kept: bool = True
    key: str = ""
    colon: tuple[int, int] = (0, 0)
    """What stands between a key and its value."""


class _Writer:
    """One pass over the text. Each method takes a position and gives what shall stand there, and where it ends."""

    def __init__(self, original: bytes, text: str, scan: _Scan) -> None:
        self.original = original
        self.text = text
        self.scan = scan

    def value(self, start: int, before: Json, after: Json) -> tuple[bytes, int]:
        try:
            if isinstance(before, dict) and isinstance(after, dict) and all(type(key) is str for key in after):
                return self.object(start, before, after)
            if isinstance(before, list) and isinstance(after, list | tuple):
                return self.array(start, before, list(after))
        except _Mismatch:
            pass
        return dump(after), self.scan(self.text, start)[1]

    def object(self, start: int, before: dict[str, Json], after: dict[str, Json]) -> tuple[bytes, int]:
        self.expect(start, "{")
        members: list[_Member] = []
        last: dict[str, _Member] = {}
        position = self.skip(start + 1)
        while self.text[position] != "}":
            member = self.member(position, before, after)
            if (earlier := last.get(member.key)) is not None:
                # Only the last of equal keys counts.
                earlier.written = None
            members.append(member)
            last[member.key] = member
            position = self.next(member.end, "}")
        if len(last) != len(before):
            raise _Mismatch
        colon = self.original[slice(*members[0].colon)] if members else b":"
        added = [dump(key) + colon + dump(value) for key, value in after.items() if key not in before]
        kept = [member for member in members if member.kept]
        return self.joined(start, position, members, [*kept, *added]), position + 1

    def member(self, position: int, before: dict[str, Json], after: dict[str, Json]) -> _Member:
        self.expect(position, '"')
        key, key_end = self.key(position)
        self.expect(colon := self.skip(key_end), ":")
        start = self.skip(colon + 1)
        member = _Member(position, 0, None, key in after, key, (key_end, start))
        if key not in before:
            raise _Mismatch
        if key not in after or same(before[key], after[key]):
            member.end = self.scan(self.text, start)[1]
        else:
            value, member.end = self.value(start, before[key], after[key])
            member.written = self.original[position:start] + value
        return member

    def array(self, start: int, before: list[Json], after: list[Json]) -> tuple[bytes, int]:
        self.expect(start, "[")
        pairs = align(before, after, same)
        target: dict[int, int | None] = {old: new for old, new in pairs if old is not None}
        elements: list[_Member] = []
        position = self.skip(start + 1)
        while self.text[position] != "]":
            index = len(elements)
            if index not in target:
                raise _Mismatch
            elements.append(self.element(position, before[index], target[index], after))
            position = self.next(elements[-1].end, "]")
        if len(elements) != len(before):
            raise _Mismatch
        return self.joined(start, position, elements, _in_order(pairs, elements, after)), position + 1

    def element(self, position: int, before: Json, new: int | None, after: list[Json]) -> _Member:
        if new is None or same(before, after[new]):
            return _Member(position, self.scan(self.text, position)[1])
        value, end = self.value(position, before, after[new])
        return _Member(position, end, value)

    def joined(self, start: int, end: int, members: list[_Member], wanted: list[_Member | bytes]) -> bytes:
        """A container from its opening bracket at `start` to its closing one at `end`, with the separators it has."""
        if not wanted:
            return self.original[start : start + 1] + self.original[end : end + 1]
        before: dict[int, bytes] = {}
        for one, following in pairwise(members):
            before[following.start] = self.original[one.end : following.start]
        lead = self.original[start + 1 : members[0].start] if members else b""
        usual = next(iter(before.values()), b"," + lead)
        parts = [self.original[start : start + 1], lead]
        for number, member in enumerate(wanted):
            place = -1 if isinstance(member, bytes) else member.start
            if number:
                parts.append(before.get(place, usual))
            parts.append(member if isinstance(member, bytes) else self.bytes_of(member))
        parts.append(self.original[members[-1].end if members else end : end + 1])
        return b"".join(parts)

    def bytes_of(self, member: _Member) -> bytes:
        return self.original[member.start : member.end] if member.written is None else member.written

    def key(self, position: int) -> tuple[str, int]:
        key, end = scanstring(self.text, position + 1)
        if not key.isascii():
            spelled = self.original[position:end].decode("utf-8", "replace")
            key = mend_text(scanstring(spelled, 1)[0])
        return key, end

    def skip(self, position: int) -> int:
        return _space(self.text, position).end()  # type: ignore[union-attr]

    def next(self, end: int, closing: str) -> int:
        """Where the next member begins, or the closing bracket stands."""
        position = self.skip(end)
        if self.text[position] == closing:
            return position
        self.expect(position, ",")
        position = self.skip(position + 1)
        if self.text[position] == closing:
            raise _Mismatch
        return position

    def expect(self, position: int, character: str) -> None:
        if self.text[position] != character:
            raise _Mismatch


def _in_order(pairs: list[Pair], elements: list[_Member], after: list[Json]) -> list[_Member | bytes]:
    wanted: list[_Member | bytes] = []
    for old, new in pairs:
        if new is not None:
            wanted.append(dump(after[new]) if old is None else elements[old])
    return wanted
