"""What a program says of its own request in `x-ccinspect-*` headers. None of these headers goes further than us.

| header                | value |
|---|---|
| `x-ccinspect-project` | a name, bare or as a JSON string |
| `x-ccinspect-session` | the same |
| `x-ccinspect-tags`    | a JSON object of strings, numbers and booleans |
| `x-ccinspect-context` | any JSON value, kept as it is |
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

PREFIX = "x-ccinspect-"
MAX_HEADER = 16_384
"""Bytes of one header's value."""
MAX_NAME = 200
"""Characters of a project's or session's name."""
MAX_TAGS = 64
MAX_TAG_KEY = 64
MAX_TAG_VALUE = 256
MAX_DEPTH = 16
"""Nesting of the free-form context."""

_KNOWN = ("project", "tags", "session", "context")
# Read elsewhere, from the request as it came: by hooks, credentials and replays.
_ELSEWHERE = ("hooks", "token", "parent", "upstream")


@dataclass(frozen=True, slots=True)
class Said:
    """What the headers said. `None` and empty mean "not said"."""

    project: str | None = None
    session: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    context: Any = None
    strip: tuple[str, ...] = ()
    """Names of the headers to take away, in lower case."""
    problems: tuple[str, ...] = ()
    """One line for each header that could not be understood; it is stripped all the same."""

    def as_record(self) -> dict[str, Any]:
        """Only what was said: {project, session, tags, context, problems}, each where there is one."""
        names = ("project", "session", "tags", "context", "problems")
        said = {name: getattr(self, name) for name in names}
        return {name: list(value) if name == "problems" else value for name, value in said.items() if value}


def read_tags(headers: Iterable[tuple[bytes, bytes]]) -> Said:
    """Read our headers out of a request's. Never raises; of a header that comes twice the first counts, tags add up."""
    values: dict[str, Any] = {}
    tags: dict[str, str] = {}
    strip: list[str] = []
    problems: list[str] = []
    for raw_name, raw_value in headers:
        name = raw_name.decode("ascii", "replace").lower()
        if not name.startswith(PREFIX):
            continue
        if name not in strip:
            strip.append(name)
        key = name.removeprefix(PREFIX)
        try:
            if key in _ELSEWHERE:
                continue
            if key not in _KNOWN:
                raise ValueError(_unknown(key))
            value = _read(key, raw_value)
            if key == "tags":
                _add_tags(tags, value)
            elif key in values:
                raise ValueError("given more than once; the first one counts")
            else:
                values[key] = value
        except ValueError as error:
            problems.append(f"{name}: {error}")
    return Said(tags=tags, strip=tuple(strip), problems=tuple(problems), **values)


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key[:MAX_NAME], _KNOWN, n=1)
    return f"not a header of ours; did you mean {PREFIX}{near[0]}?" if near else "not a header of ours"


def _read(key: str, raw: bytes) -> Any:
    if len(raw) > MAX_HEADER:
        raise ValueError(f"longer than {MAX_HEADER} bytes")
    text = raw.decode("utf-8", "replace").strip()
    if key in ("project", "session"):
        return _name(text)
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if _depth_over(value, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return _storable(value)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _name(text: str) -> str:
    value: Any = text
    if text.startswith('"'):
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from error
    elif text.startswith(("{", "[")):
        raise ValueError("must be a name, not an object or a list")
    if not value:
        raise ValueError("is empty")
    if len(value) > MAX_NAME:
        raise ValueError(f"longer than {MAX_NAME} characters")
    return _clean(value)


def _add_tags(tags: dict[str, str], value: Any) -> None:
    if not isinstance(value, dict):
        raise ValueError('must be a JSON object such as {"team": "search"}')
    for key, entry in value.items():
        if not key or len(key) > MAX_TAG_KEY:
            raise ValueError(f"the name of a tag has 1 to {MAX_TAG_KEY} characters")
        if isinstance(entry, dict | list) or entry is None:
            raise ValueError(f"tag {_clean(key)!r} must be a string, a number or a boolean")
        text = entry if isinstance(entry, str) else json.dumps(entry)
        if len(text) > MAX_TAG_VALUE:
            raise ValueError(f"the value of tag {_clean(key)!r} is longer than {MAX_TAG_VALUE} characters")
        if len(tags) >= MAX_TAGS and key not in tags:
            raise ValueError(f"more than {MAX_TAGS} tags")
        tags.setdefault(_clean(key), _clean(text))


def _clean(text: str, keep: str = "") -> str:
    """Without lone surrogates (JSON can say them, UTF-8 cannot) and control characters, but for those in `keep`."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(char if char.isprintable() or char in keep else "\N{REPLACEMENT CHARACTER}" for char in text)


def _storable(value: Any) -> Any:
    """The same value with its strings cleaned; its depth is known to be small."""
    if isinstance(value, dict):
        return {_clean(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, int | float) and not abs(value) < 2**63:
        raise ValueError("holds a number that is too large")
    return _clean(value, keep="\n\t") if isinstance(value, str) else value


def _depth_over(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
