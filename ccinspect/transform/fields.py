"""Top-level fields of a JSON object, read and changed in its text: not a byte of the rest changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ccinspect.wire.jsontext import dump_text
from ccinspect.wire.model import Json

_SPACE = " \t\r\n"
_read_value = json.JSONDecoder().raw_decode


class _Field(NamedTuple):
    name: str
    start: int
    """Of the name's quote."""
    value_start: int
    end: int
    """Behind the value."""
    value: Json


def read_field(body: bytes, name: str) -> Json:
    """The value of a top-level field, the last one of that name; None when there is none, or no object."""
    found = None
    for field in _fields(body.decode("utf-8", "replace")):
        if field.name == name:
            found = field.value
    return found


def edit_fields(body: bytes, changes: Mapping[str, Json]) -> bytes:
    """`body` with top-level fields set, or (by None) removed. A field that is not there is put first.

    `body` itself comes back where nothing changes, and where it is no JSON object or not UTF-8.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return body
    before = text
    for name, value in changes.items():
        text = _without(text, name) if value is None else _with(text, name, value)
    return body if text == before else text.encode("utf-8")


def _with(text: str, name: str, value: Json) -> str:
    """Every field of this name changed: who reads a JSON with two of them may take either."""
    first = -1
    found = False
    out: list[str] = []
    at = 0
    for field in _fields(text):
        first = field.start if first < 0 else first
        if field.name == name:
            found = True
            if field.value != value:
                out += [text[at : field.value_start], dump_text(value)]
                at = field.end
    if found:
        return "".join([*out, text[at:]])
    start = _skip(text, 0, _SPACE + "\ufeff")
    if first < 0 and text[_skip(text, start + 1) :].strip(_SPACE) != "}":
        return text
    comma = "," if first >= 0 else ""
    return f"{text[: start + 1]}{dump_text(name)}:{dump_text(value)}{comma}{text[start + 1 :]}"


def _without(text: str, name: str) -> str:
    while f'"{name}"' in text:
        fields = list(_fields(text))
        index = next((index for index, field in enumerate(fields) if field.name == name), None)
        if index is None:
            break
        start, end = fields[index].start, fields[index].end
        if index + 1 < len(fields):
            end = fields[index + 1].start
        elif index:
            start = fields[index - 1].end
        text = text[:start] + text[end:]
    return text


def _fields(text: str) -> Iterator[_Field]:
    """The top-level fields of the object; none for anything else, and those before the fault for a broken one."""
    at = _skip(text, 0, _SPACE + "\ufeff")
    if text[at : at + 1] != "{":
        return
    at = _skip(text, at + 1)
    try:
        while text[at : at + 1] == '"':
            start = at
            name, at = _read_value(text, at)
            at = _skip(text, at)
            if text[at : at + 1] != ":":
                return
            value_start = _skip(text, at + 1)
            value, end = _read_value(text, value_start)
            yield _Field(name, start, value_start, end, value)
            at = _skip(text, end)
            if text[at : at + 1] != ",":
                return
            at = _skip(text, at + 1)
    except (ValueError, RecursionError):
        return


def _skip(text: str, at: int, space: str = _SPACE) -> int:
    while text[at : at + 1] and text[at] in space:
        at += 1
    return at
