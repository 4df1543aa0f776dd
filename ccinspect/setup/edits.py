"""Changes of a text that only ever insert, so that they can be taken back byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Insert(NamedTuple):
    """`text`, put in before the character at `at` of the text as it was."""

    at: int
    text: str


class NotUnderstood(ValueError):
    """A text is no place for our settings; its message says why, as the end of `FILE was left as it is: ...`."""


class InTheWay(NotUnderstood):
    """Somebody has set, to another value, what we would set."""


def apply(text: str, inserts: Sequence[Insert]) -> str:
    """`text` with everything inserted. `inserts` are ordered by place."""
    parts, done = [], 0
    for insert in inserts:
        parts += [text[done : insert.at], insert.text]
        done = insert.at
    return "".join([*parts, text[done:]])


def take_back(text: str, inserts: Sequence[Insert]) -> str:
    """What `apply(before, inserts)` was made from. Raises NotUnderstood where `text` is no such result."""
    parts, done, shift = [], 0, 0
    for insert in inserts:
        begin = insert.at + shift
        if text[begin : begin + len(insert.text)] != insert.text:
            raise NotUnderstood("it is not what we left")
        parts.append(text[done:begin])
        done = begin + len(insert.text)
        shift += len(insert.text)
    return "".join([*parts, text[done:]])


def line_end(text: str) -> str:
    """How lines end in `text`."""
    return "\r\n" if "\r\n" in text else "\n"
