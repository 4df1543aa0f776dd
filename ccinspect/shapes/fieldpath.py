"""Places in a JSON document, spelled as jq does: `.system`, `.messages[0].content`, `.["odd key"]`, `.` for all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from ccinspect.wire.model import Json, Path, format_path

MAX_PATH = 500
"""Characters."""


class _Missing:
    """The one object that stands for a value that is not there; None is a value."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()

_STEP = re.compile(r"\.?(?:(?P<key>[^\s.\[\]\"']+)|(?P<quoted>\[?\"(?:[^\"\\]|\\.)*\"\]?)|\[(?P<index>-?\d{1,6})\])")


def parse(text: str) -> Path:
    """The steps of a path; the leading dot may be left out. Raises ValueError."""
    if len(text) > MAX_PATH:
        raise ValueError(f"a path of more than {MAX_PATH} characters")
    if text == ".":
        return ()
    steps: list[str | int] = []
    at = 0
    while match := _STEP.match(text, at):
        if at and match[0][0] not in ".[":
            break
        if match["key"] is not None:
            steps.append(match["key"])
        elif match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            steps.append(str(json.loads(match["quoted"].strip("[]") if match["quoted"][0] == "[" else match["quoted"])))
        at = match.end()
    if at != len(text) or not steps:
        raise ValueError(f'no path: {text!r}; paths look like `.system`, `.messages[0].content` or `.["odd key"]`')
    return tuple(steps)


def spell(path: Path) -> str:
    """`path` so that `parse` reads it back."""
    if all(isinstance(step, int) or _plain(step) for step in path):
        return format_path(path)
    parts = (
        f"[{step}]" if isinstance(step, int) else f".{step}" if _plain(step) else f"[{json.dumps(step)}]"
        for step in path
    )
    text = "".join(parts)
    return text if text.startswith(".") else f".{text}"


def _plain(key: str) -> bool:
    return re.fullmatch(r"[^\s.\[\]\"']+", key) is not None


def get(document: Json, path: Path) -> Any:
    """What stands there, or MISSING."""
    for step in path:
        if isinstance(step, str):
            there = isinstance(document, dict) and step in document
        else:
            there = isinstance(document, list) and -len(document) <= step < len(document)
        if not there:
            return MISSING
        document = document[step]
    return document


def put(document: Json, path: Path, value: Json) -> bool:
    """Set the value in `document`, which is changed in place; what lies on the way to it is replaced by copies, so that
    other documents may share parts with this one. Objects that are missing on the way are made.

    False, and nothing changed, when the way is blocked: by another type, by a list that is too short, or because `path`
    is the whole document.
    """
    if not path or not _is_open(document, path):
        return False
    _own(document, path[:-1])[path[-1]] = value
    return True


def _is_open(document: Json, path: Path) -> bool:
    for at, step in enumerate(path):
        if isinstance(document, dict) and isinstance(step, str):
            if step not in document:
                return all(isinstance(later, str) for later in path[at:])
        elif not isinstance(document, list) or isinstance(step, str) or not -len(document) <= step < len(document):
            return False
        document = document[step]
    return True


def _own(document: Any, path: Path) -> Any:
    """What stands at `path`, after everything on the way there, and it itself, was replaced by a copy."""
    for step in path:
        inner = get(document, (step,))
        inner = {} if inner is MISSING else inner.copy()
        document[step] = inner
        document = inner
    return document


def remove(document: Json, path: Path) -> bool:
    """Take the value out of `document`, as `put` sets one; whether it was there."""
    if not path or get(document, path) is MISSING:
        return False
    del _own(document, path[:-1])[path[-1]]
    return True


def leaves(document: Json) -> Iterator[tuple[Path, Json]]:
    """Every value that holds no other, with its path, in the order of the document."""
    stack: list[tuple[Path, Json]] = [((), document)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict) and value:
            stack += [((*path, key), value[key]) for key in reversed(value)]
        elif isinstance(value, list) and value:
            stack += [((*path, index), value[index]) for index in range(len(value) - 1, -1, -1)]
        else:
            yield path, value


def covers(outer: Path, inner: Path) -> bool:
    """Whether `inner` is `outer` or lies in it."""
    return inner[: len(outer)] == outer
