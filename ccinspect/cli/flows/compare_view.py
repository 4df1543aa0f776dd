"""`flows compare` in lines for a terminal: what differs between two messages, each value cut to the width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.flows.message_diff import BodyDifference, HeaderDifference, MessageDifference
from ccinspect.cli.flows.text_diff import Line, line_differences, windows
from ccinspect.cli.output import CYAN, DIM, GREEN, RED, YELLOW, paint
from ccinspect.wire.jsondiff import Difference
from ccinspect.wire.jsontext import dump_text
from ccinspect.wire.model import format_path

_MARKS = {"added": ("+", GREEN), "removed": ("-", RED), "changed": ("~", YELLOW), "moved": (">", CYAN)}
_LINE_MARKS = {"added": ("+", GREEN), "removed": ("-", RED), "same": (" ", ""), "hunk": ("", CYAN)}
_SHOWN_DIFFERENCES = 200
_SHOWN_LINES = 60
_BODY_WORDS = {
    "same": "the same",
    "spelling": "the same, written differently",
    "unknown": "cannot be compared",
    "binary": "binary, and not the same",
}


@dataclass(frozen=True, slots=True)
class Room:
    """`columns` of the terminal; with `everything` nothing is cut."""

    columns: int
    everything: bool = False

    def cut(self, said: str, indent: int = 0) -> str:
        return said if self.everything else text.shorten(said, max(20, self.columns - indent))


def message_lines(difference: MessageDifference, room: Room) -> Iterator[str]:
    """What differs between two messages; one line where nothing does."""
    body = difference.body
    if not difference.anything and body.state == "same":
        yield "  " + paint("nothing was changed", DIM)
        return
    for name, old, new in difference.start:
        yield from _pair(f"  {name}", old, new, room)
    if difference.headers:
        yield "  headers"
        for header in difference.headers:
            yield from _header(header, room)
    yield from body_lines(body, room)


def _header(header: HeaderDifference, room: Room) -> Iterator[str]:
    name = text.clean(header.name)
    if header.old is None or header.new is None:
        kind = "added" if header.old is None else "removed"
        value = header.new if header.old is None else header.old
        yield _marked(kind, f"{name}: {text.clean(value or '')}", room, 4)
    else:
        yield from _pair(f"    {paint('~', YELLOW)} {name}", header.old, header.new, room)


def _pair(title: str, old: str, new: str, room: Room) -> Iterator[str]:
    """Two values in one line where they fit, else below each other, at the place where they differ."""
    before, after = text.clean(old) or "(none)", text.clean(new) or "(none)"
    if text.width(title) + text.width(before) + text.width(after) + 6 <= room.columns:
        yield f"{title}  {paint(before, RED)} → {paint(after, GREEN)}"
        return
    yield title
    if not room.everything:
        before, after = windows(before, after, max(20, room.columns - 8))
    yield _marked("removed", before, room, 6)
    yield _marked("added", after, room, 6)


def body_lines(body: BodyDifference, room: Room) -> Iterator[str]:
    """What differs between two bodies."""
    note = f" ({text.clean(body.note)})" if body.note else ""
    if body.state == "json":
        yield f"  body  {text.count(len(body.differences), 'difference')}{note}"
        shown = body.differences if room.everything else body.differences[:_SHOWN_DIFFERENCES]
        for difference in shown:
            yield from _difference(difference, room)
        yield from _more(len(body.differences) - len(shown))
    elif body.state == "text":
        yield f"  body  differs{note}"
        yield from _text_lines(body.lines, room, 4)
    else:
        yield f"  body  {paint(_BODY_WORDS[body.state], DIM)}{note}"


def _difference(difference: Difference, room: Room) -> Iterator[str]:
    path = text.clean(format_path(difference.path))
    if difference.kind == "moved":
        yield _marked("moved", f"{path}  was {text.clean(format_path(difference.origin))}", room, 4)
    elif difference.kind == "changed":
        yield from _changed(path, difference.old, difference.new, room)
    else:
        value = difference.new if difference.kind == "added" else difference.old
        yield _marked(difference.kind, f"{path}  {_value(value)}", room, 4)


def _changed(path: str, old: Any, new: Any, room: Room) -> Iterator[str]:
    title = f"    {paint('~', YELLOW)} {path}"
    if isinstance(old, str) and isinstance(new, str) and ("\n" in old or "\n" in new):
        yield title
        yield from _text_lines(tuple(line_differences(old.split("\n"), new.split("\n"), 1)), room, 6)
    else:
        yield from _pair(title, dump_text(old), dump_text(new), room)


def _value(value: Any) -> str:
    return text.clean(dump_text(value))


def _text_lines(lines: tuple[Line, ...], room: Room, indent: int) -> Iterator[str]:
    shown = lines if room.everything else lines[:_SHOWN_LINES]
    for line in shown:
        mark, colour = _LINE_MARKS[line.kind]
        said = room.cut(f"{' ' * indent}{mark}{' ' if mark else ''}{text.clean(line.text)}")
        yield paint(said.rstrip(), colour)
    yield from _more(len(lines) - len(shown))


def _more(left: int) -> Iterator[str]:
    if left > 0:
        yield paint(f"    ... {left:,} more: --full", DIM)


def _marked(kind: str, said: str, room: Room, indent: int) -> str:
    mark, colour = _MARKS[kind]
    return " " * indent + paint(room.cut(f"{mark} {said}", indent), colour)
