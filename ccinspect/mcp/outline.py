"""The build of a JSON value, without its content: paths, kinds and sizes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ccinspect.mcp.answers import short

_DEPTH = 4
_MEMBERS = 40
_ELEMENTS = 6
"""Of an array, from its beginning; and the last one."""
_SHOWN = 48


def outline(value: Any) -> dict[str, str]:
    """`{path: what stands there}`, for the upper levels of a value; short texts and numbers are shown themselves."""
    return dict(_walk(value, "", _DEPTH))


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if path and (not depth or _is_small(value)):
            yield path, _object(value)
            return
        for number, (name, item) in enumerate(value.items()):
            if number == _MEMBERS:
                yield f"{path}.…", f"{len(value) - _MEMBERS} more members"
                return
            yield from _walk(item, f"{path}{_member(str(name))}", depth - 1)
    elif isinstance(value, list):
        yield path or ".", f"array of {len(value)}, {_size(value):,} characters"
        if not depth:
            return
        for number, item in enumerate(value):
            if number < _ELEMENTS or number == len(value) - 1:
                yield from _walk(item, f"{path}[{number}]", depth - 1)
    elif isinstance(value, str) and len(value) > _SHOWN:
        yield path or ".", f"text of {len(value):,} characters: {json.dumps(value[:_SHOWN], ensure_ascii=False)}…"
    else:
        yield path or ".", json.dumps(value, ensure_ascii=False)


def _is_small(value: dict[str, Any]) -> bool:
    return _size(value) <= _SHOWN


def _object(value: dict[str, Any]) -> str:
    if _is_small(value):
        return json.dumps(value, ensure_ascii=False)
    names = short(", ".join(str(name) for name in list(value)[:12]), 100)
    return f"object of {_size(value):,} characters: {names}"


def _member(name: str) -> str:
    return f".{name}" if name.isidentifier() else f"[{json.dumps(short(name, 60), ensure_ascii=False)}]"


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
