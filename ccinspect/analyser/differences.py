"""What changed between two turns, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

from ccinspect.analyser.composition import blocks_in_order
from ccinspect.wire.jsondiff import common_start
from ccinspect.wire.jsontext import dump_text
from ccinspect.wire.model import Block, Media, Refusal, Request, Text, Thinking, Tool, ToolCall, ToolResult, Unknown

_LINES_SHOWN = 12
_SHOWN = 400
"""Characters of one line."""


def changed_block(previous: Request, current: Request, at: int) -> str:
    """How the block number `at` (`CacheReport.blocks_shared`) differs between two requests; "" if neither has it.

    Both are to be given as they were analysed, with their history.
    """
    before, after = (next(islice(_texts(request), at, None), None) for request in (previous, current))
    if before is None and after is None:
        return ""
    return difference(before or "", after or "")


def _texts(request: Request) -> Iterator[str]:
    return (readable(item) for item in blocks_in_order(request))


def readable(item: Block | Tool) -> str:
    """The words of a block or a tool definition. Of media, what kind and how much."""
    match item:
        case Text() | Refusal() | Thinking() | Unknown():
            return item.text
        case ToolCall():
            return f"{item.name} {item.arguments if isinstance(item.arguments, str) else _indented(item.arguments)}"
        case ToolResult():
            return "\n".join(readable(block) for block in item.content)
        case Media():
            return f"({item.media_type or item.kind}, {len(item.data or item.text or '')} characters)"
        case Tool():
            return _indented(item.raw if item.raw is not None else {"name": item.name, "description": item.description})
    return dump_text(item.raw)


def _indented(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, indent=2)
    except (TypeError, ValueError, RecursionError):
        return dump_text(value)


def difference(before: str, after: str, context: int = 2) -> str:
    """The first stretch in which two texts differ: lines marked `-` and `+`, with some around them; about a screenful.

    Takes time linear in the texts.
    """
    old, new = before.split("\n"), after.split("\n")
    start = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    same_end = 0
    while same_end < min(len(old), len(new)) - start and old[-1 - same_end] == new[-1 - same_end]:
        same_end += 1
    removed, added = old[start : len(old) - same_end], new[start : len(new) - same_end]
    # In long lines, what they have in common is cut off their beginning.
    skip = common_start(removed[0], added[0]) if removed and added else 0
    skip = max(0, skip - _SHOWN // 4) if skip > _SHOWN // 2 else 0
    lines = [f"@@ line {start + 1} @@", *(f"  {_clip(line)}" for line in old[max(0, start - context) : start])]
    for sign, changed in (("-", removed), ("+", added)):
        lines += [f"{sign} {_clip(line, skip)}" for line in changed[:_LINES_SHOWN]]
        if len(changed) > _LINES_SHOWN:
            lines.append(f"{sign} ... and {len(changed) - _LINES_SHOWN} lines more")
    lines += [f"  {_clip(line)}" for line in old[len(old) - same_end :][:context]]
    return "\n".join(lines)


def _clip(line: str, skip: int = 0) -> str:
    line = f"...{line[skip:]}" if skip else line
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
