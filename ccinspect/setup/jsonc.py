"""Members put into a JSON object and taken out of it, without touching the rest: space, order, comments, commas.

Comments and trailing commas are understood, for editors and agents allow them in their settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from ccinspect.setup.edits import Insert, InTheWay, NotUnderstood, line_end

Path = tuple[str, ...]

_skip = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL).match
_word = re.compile(r"true|false|null|-?\d[\d.eE+-]*").match
_MAX_DEPTH = 200


@dataclass
class Member:
    key: str
    start: int
    """Where its key begins."""
    value: Node
    comma: int | None = None
    """Where the comma behind it stands."""


@dataclass
class Node:
    """One value: where it stands, what it is, and its members if it is an object."""

    start: int
    end: int
    value: Any
    members: list[Member] = field(default_factory=list)

    def member(self, key: str) -> Member | None:
        # The last one wins, as in every parser that our readers use.
        return next((member for member in reversed(self.members) if member.key == key), None)


def parse(text: str) -> Node:
    """The object in `text`. Raises NotUnderstood when it is none."""
    try:
        start = _after_space(text, 0)
        node = _value(text, start, 0)
        if _after_space(text, node.end) != len(text):
            raise ValueError
    except (ValueError, IndexError) as error:
        raise NotUnderstood("it is no JSON") from error
    if not isinstance(node.value, dict):
        raise NotUnderstood("it is no JSON object")
    return node


def add(text: str, settings: Mapping[Path, Any]) -> list[Insert]:
    """What to insert so that each path of keys leads to its value; nothing for those that do already.

    Raises InTheWay when a path leads to another value, NotUnderstood when the text is no JSON object.
    """
    if not text.strip(" \t\r\n\ufeff"):
        return [Insert(len(text), _dump(_nested(settings), "", line_end(text)) + line_end(text))]
    root = parse(text)
    step = _indent_of_first(text, root) or "  "
    missing: dict[Path, Any] = {}
    for path, value in settings.items():
        found = _lookup(root, path)
        if found is None:
            missing[path] = value
        elif found.value != value:
            raise InTheWay(f"its `{'.'.join(path)}` is {json.dumps(found.value, ensure_ascii=False)}")
    inserts: list[Insert] = []
    for holder, members in _by_holder(root, missing).items():
        node = _lookup(root, holder)
        assert node is not None
        inserts += _into(text, node, members, step)
    return sorted(inserts)


def remove(text: str, settings: Mapping[Path, Any], made: Sequence[Path] = ()) -> str:
    """`text` without the settings that still have these values, and without objects of `made` that are empty then."""
    for path, value in settings.items():
        found = _lookup(parse(text), path)
        if found is not None and found.value == value:
            text = _without(text, path)
    for path in sorted(made, key=len, reverse=True):
        found = _lookup(parse(text), path)
        if found is not None and found.value == {}:
            text = _without(text, path)
    return text


def objects_made(text: str, settings: Mapping[Path, Any]) -> list[Path]:
    """The objects that `add` has to make."""
    root = parse(text) if text.strip(" \t\r\n\ufeff") else Node(0, 0, {})
    holders = {path[:length] for path in settings for length in range(1, len(path))}
    return sorted(holder for holder in holders if _lookup(root, holder) is None)


def _lookup(root: Node, path: Path) -> Node | None:
    node = root
    for number, key in enumerate(path):
        if not isinstance(node.value, dict):
            raise InTheWay(f"its `{'.'.join(path[:number])}` is no object")
        member = node.member(key)
        if member is None:
            return None
        node = member.value
    return node


def _by_holder(root: Node, missing: Mapping[Path, Any]) -> dict[Path, dict[str, Any]]:
    """The missing members, nested, by the path of the nearest object that is there."""
    result: dict[Path, dict[Path, Any]] = {}
    for path, value in missing.items():
        depth = max(length for length in range(len(path)) if _lookup(root, path[:length]) is not None)
        # Asked for its complaint: what is there may be no object.
        _lookup(root, path[: depth + 1])
        result.setdefault(path[:depth], {})[path[depth:]] = value
    return {holder: _nested(members) for holder, members in result.items()}


def _nested(settings: Mapping[Path, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for path, value in settings.items():
        holder = whole
        for key in path[:-1]:
            holder = holder.setdefault(key, {})
        holder[path[-1]] = value
    return whole


def _into(text: str, node: Node, members: Mapping[str, Any], step: str) -> list[Insert]:
    end = line_end(text)
    outer = _indent_of_line(text, node.start)
    inner = _indent_of_first(text, node)
    on_one_line = bool(node.members) and "\n" not in text[node.start : node.end]
    inner = outer + step if inner is None else inner
    written = [
        f"{json.dumps(key)}: {json.dumps(value) if on_one_line else _dump(value, inner, end)}"
        for key, value in members.items()
    ]
    if not node.members:
        body = f",{end}".join(f"{inner}{each}" for each in written)
        closing = "" if "\n" in text[node.start : node.end] else end + outer
        return [Insert(_end_of_content(text, node), f"{end}{body}{closing}")]
    last = node.members[-1]
    separator = ", " if on_one_line else f",{end}{inner}"
    before = " " if on_one_line else end + inner
    inserts = [] if last.comma is not None else [Insert(last.value.end, ",")]
    at = _end_of_content(text, node)
    inserts.append(Insert(at, before + separator.join(written) + ("," if last.comma is not None else "")))
    if len(inserts) == 2 and inserts[0].at == at:
        return [Insert(at, "," + inserts[1].text)]
    return inserts


def _without(text: str, path: Path) -> str:
    """Cut one member out, with one comma and the space before it."""
    holder = _lookup(parse(text), path[:-1])
    assert holder is not None
    index = max(number for number, member in enumerate(holder.members) if member.key == path[-1])
    member = holder.members[index]
    begin = _back_over_space(text, member.start)
    if member.comma is not None:
        return text[:begin] + text[member.comma + 1 :]
    comma = holder.members[index - 1].comma if index else None
    if comma is not None:
        return text[:comma] + text[comma + 1 : max(begin, comma + 1)] + text[member.value.end :]
    inside = text[holder.start + 1 : begin] + text[member.value.end : holder.end - 1]
    return text[: holder.start + 1] + (inside if inside.strip() else "") + text[holder.end - 1 :]


def _back_over_space(text: str, at: int) -> int:
    return len(text[:at].rstrip(" \t\r\n"))


def _end_of_content(text: str, node: Node) -> int:
    """Behind the last thing inside of an object, be it a comment."""
    return len(text[: node.end - 1].rstrip(" \t\r\n"))


def _indent_of_line(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _indent_of_first(text: str, node: Node) -> str | None:
    """What stands before the first member of an object; None when it begins no line of its own."""
    if not node.members:
        return None
    line = text[text.rfind("\n", 0, node.members[0].start) + 1 : node.members[0].start]
    return line if "\n" in text[node.start : node.members[0].start] and not line.strip(" \t") else None


def _dump(value: Any, indent: str, end: str) -> str:
    # Nested lines are indented by the file's own step, as far as one can tell it from where we are.
    step = "\t" if indent.startswith("\t") else 2
    return json.dumps(value, indent=step, ensure_ascii=False).replace("\n", end + indent)


def _after_space(text: str, at: int) -> int:
    return _skip(text, at).end()  # type: ignore[union-attr]


def _value(text: str, at: int, depth: int) -> Node:
    if depth > _MAX_DEPTH:
        raise ValueError("too deep")
    if text[at] == "{":
        return _object(text, at, depth)
    if text[at] == "[":
        return _array(text, at, depth)
    if text[at] == '"':
        string, end = scanstring(text, at + 1)
        return Node(at, end, string)
    found = _word(text, at)
    if not found:
        raise ValueError("no value")
    return Node(at, found.end(), json.loads(found[0]))


def _object(text: str, start: int, depth: int) -> Node:
    members: list[Member] = []
    at = _after_space(text, start + 1)
    while text[at] != "}":
        if text[at] != '"' or (members and members[-1].comma is None):
            raise ValueError("no key")
        key, end = scanstring(text, at + 1)
        colon = _after_space(text, end)
        if text[colon] != ":":
            raise ValueError("no colon")
        member = Member(key, at, _value(text, _after_space(text, colon + 1), depth + 1))
        members.append(member)
        at = _after_space(text, member.value.end)
        if text[at] == ",":
            member.comma = at
            at = _after_space(text, at + 1)
    return Node(start, at + 1, {member.key: member.value.value for member in members}, members)


def _array(text: str, start: int, depth: int) -> Node:
    values: list[Any] = []
    separated = True
    at = _after_space(text, start + 1)
    while text[at] != "]":
        if not separated:
            raise ValueError("no comma")
        node = _value(text, at, depth + 1)
        values.append(node.value)
        at = _after_space(text, node.end)
        separated = text[at] == ","
        at = _after_space(text, at + 1) if separated else at
    return Node(start, at + 1, values)
