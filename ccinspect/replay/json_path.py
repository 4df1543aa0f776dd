"""Paths into JSON as people type them: `.messages[0].content`, `messages.0.content`, `.["odd key"]`; and setting values
there. Pure.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from ccinspect.errors import CcinspectError
from ccinspect.wire.jsontext import parse
from ccinspect.wire.model import Json, Path, format_path

_STEP = re.compile(
    r"""\.?\[\s*(?P<index>-?\d{1,9})\s*\]|\.?\[\s*(?P<quoted>"(?:[^"\\]|\\.)*")\s*\]|\.?(?P<name>[^.\[\]"=]+)"""
)
_EXAMPLE = "as `--set max_tokens=100`, `--set 'messages[0].content=hello'`, `--set 'metadata={\"a\": 1}'`"


class BadPath(CcinspectError):
    """A path that cannot be understood, or leads nowhere."""

    exit_code = 2


def parse_assignment(text: str) -> tuple[Path, Json]:
    """`path=value`; the value is JSON, or text where it is none. Raises BadPath."""
    path: list[str | int] = []
    at = 0
    while match := _STEP.match(text, at):
        at = match.end()
        path.append(_step(match))
    if not path or text[at : at + 1] != "=":
        raise BadPath(f"{text!r} is no assignment", _EXAMPLE)
    spelled = text[at + 1 :]
    value, problem = parse(spelled)
    return tuple(path), spelled if problem else value


def _step(match: re.Match[str]) -> str | int:
    if match["index"] is not None:
        return int(match["index"])
    if match["quoted"] is not None:
        return str(json.loads(match["quoted"], strict=False))
    name = match["name"]
    # In an array `messages.0` is meant as `messages[0]`; whether it is one is seen where it is used.
    return name.strip()


def assign(document: Json, path: Path, value: Json) -> Json:
    """A copy of `document` with `value` at `path`. The last key may be new, and an index one past the end.

    Raises BadPath where the path leads nowhere.
    """
    changed = copy.deepcopy(document)
    holder: Any = changed
    for number, step in enumerate(path):
        last = number == len(path) - 1
        key = _key(holder, step, path[: number + 1], last)
        if last:
            if isinstance(holder, list) and key == len(holder):
                holder.append(value)
            else:
                holder[key] = value
        elif isinstance(holder, dict) and key not in holder:
            raise _nowhere(path[: number + 1], "there is nothing there")
        else:
            holder = holder[key]
    return changed


def _key(holder: Any, step: str | int, so_far: Path, last: bool) -> Any:
    """The key or index that `step` means in `holder`."""
    if isinstance(holder, dict):
        return str(step) if isinstance(step, int) else step
    if not isinstance(holder, list):
        raise _nowhere(so_far, "what lies above it is neither an object nor an array")
    if isinstance(step, str):
        if not re.fullmatch(r"-?\d{1,9}", step):
            raise _nowhere(so_far, "it is in an array: a number is needed")
        step = int(step)
    index = step + len(holder) if step < 0 else step
    if not 0 <= index < len(holder) + (1 if last else 0):
        raise _nowhere(so_far, f"the array has {len(holder)} element{'s' if len(holder) != 1 else ''}")
    return index


def _nowhere(path: Path, why: str) -> BadPath:
    return BadPath(f"the request has no {format_path(path)}: {why}", "`ccinspect flows show ID --http` shows its body")
