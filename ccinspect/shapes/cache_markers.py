"""Anthropic's cache markers (`cache_control`): counted, taken away, put where they help.

The document is changed in place; what lies in it is replaced by copies, so that it may be shared with others.

A marker is looked for only where the API reads one: at the top level, on tools, on blocks of the system prompt and of
messages, and on blocks within tool results. A tool's input or schema may hold a field of the same name; it is data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ccinspect.shapes import fieldpath
from ccinspect.shapes.settings import MAX_MARKERS
from ccinspect.wire.jsontext import as_list, as_object
from ccinspect.wire.model import JsonObject, Path

FIELD = "cache_control"
# A first turn has no previous one, and a thin call no tools: not worth a note.
_NAMED = {"tools", "system", "last_user", "previous_user"}
# The API refuses a marker on these.
_UNMARKABLE = {"thinking", "redacted_thinking"}


def markers(body: JsonObject) -> list[Path]:
    """The paths of the things that are marked, in the order in which the model reads them."""
    return [path for path, thing in _markable(body) if FIELD in thing]


def strip(body: JsonObject) -> list[Path]:
    """Take all markers away; returns where they were."""
    found = markers(body)
    for path in found:
        fieldpath.remove(body, (*path, FIELD))
    return found


def insert(
    body: JsonObject, breakpoints: Sequence[str], ttl: str | None = None, limit: int = MAX_MARKERS
) -> tuple[list[Path], list[str]]:
    """Mark the places named by `breakpoints` (see `InsertCacheMarkersParams`), the first first, up to `limit` in all.

    Returns the paths that were marked, and why others were not.
    """
    marked: list[Path] = []
    notes: list[str] = []
    lives = _lives(body)
    for name in breakpoints:
        path = _place(body, name)
        thing: Any = fieldpath.get(body, path) if path is not None else None
        if path is None or not (isinstance(thing, dict) or _is_text(path, thing)):
            if name not in _NAMED:
                notes.append(f"no cache marker at {name}: nothing there that can be marked")
            continue
        if isinstance(thing, dict) and thing.get(FIELD) is not None:
            continue
        if len(lives) >= limit:
            notes.append(f"no cache marker at {name}: {len(lives)} of {limit} are used")
            continue
        if isinstance(thing, str):
            fieldpath.put(body, path, [{"type": "text", "text": thing}])
            path = (*path, 0)
        chosen = _fitting_ttl(body, lives, path, ttl)
        if chosen != ttl:
            notes.append(f"the cache marker at {name} lives {chosen or '5m'}, as one beside it: longer ones come first")
        fieldpath.put(body, (*path, FIELD), {"type": "ephemeral"} | ({"ttl": chosen} if chosen else {}))
        marked.append(path)
        lives[path] = chosen == "1h"
    return marked, notes


def _is_text(path: Path, thing: Any) -> bool:
    """Whether a text stands in place of blocks, and is not empty."""
    return isinstance(thing, str) and bool(thing.strip()) and path[-1] in ("system", "content")


def _lives(body: JsonObject) -> dict[Path, bool]:
    """Of everything that is marked, whether for an hour. A marker of `null` is none."""
    found = {path: fieldpath.get(body, path)[FIELD] for path in markers(body)}
    return {path: as_object(marker).get("ttl") == "1h" for path, marker in found.items() if marker is not None}


def _fitting_ttl(body: JsonObject, lives: dict[Path, bool], path: Path, ttl: str | None) -> str | None:
    """The API refuses a marker of an hour that follows a shorter one, so the new one goes with those that are there."""
    if not path or set(lives.values()) <= {ttl == "1h"}:
        return ttl
    places = [place for place, _ in _markable(body)]
    at = places.index(path)
    if ttl != "1h" and any(lives.get(place) for place in places[at + 1 :]):
        return "1h"
    # The marker of the whole request stands first here, and is the last that the API sets.
    if ttl == "1h" and any(lives.get(place) is False for place in places[1:at]):
        return None
    return ttl


def _markable(body: JsonObject) -> Iterator[tuple[Path, JsonObject]]:
    yield (), body
    for index, tool in enumerate(as_list(body.get("tools"))):
        if isinstance(tool, dict):
            yield ("tools", index), tool
    yield from _blocks(("system",), body.get("system"))
    for index, message in enumerate(as_list(body.get("messages"))):
        yield from _blocks(("messages", index, "content"), as_object(message).get("content"))


def _blocks(path: Path, content: Any, inner: bool = False) -> Iterator[tuple[Path, JsonObject]]:
    for index, block in enumerate(as_list(content)):
        if isinstance(block, dict):
            if not inner and block.get("type") == "tool_result":
                yield from _blocks((*path, index, "content"), block.get("content"), inner=True)
            yield (*path, index), block


def _place(body: JsonObject, name: str) -> Path | None:
    """The block that a breakpoint names, or the text that stands in place of blocks."""
    if name == "tools":
        tools = as_list(body.get("tools"))
        index = next(
            (at for at in range(len(tools) - 1, -1, -1) if not as_object(tools[at]).get("defer_loading")), None
        )
        return None if index is None else ("tools", index)
    if name == "system":
        return _last_block(body, ("system",))
    if name in ("last_user", "previous_user"):
        messages = as_list(body.get("messages"))
        users = [index for index, message in enumerate(messages) if as_object(message).get("role") == "user"]
        wanted = 1 if name == "last_user" else 2
        return _last_block(body, ("messages", users[-wanted], "content")) if len(users) >= wanted else None
    try:
        path = fieldpath.parse(name)
    except ValueError:
        return None
    return path if any(path == each for each, _ in _markable(body)) else None


def _last_block(body: JsonObject, path: Path) -> Path | None:
    content = fieldpath.get(body, path)
    if isinstance(content, str):
        return path
    for index in range(len(as_list(content)) - 1, -1, -1):
        block = as_object(content[index])
        empty = block.get("type") == "text" and not str(block.get("text") or "").strip()
        if block and block.get("type") not in _UNMARKABLE and not empty:
            return (*path, index)
    return None
