"""A request's own content put into a shape's body, field by field."""

from __future__ import annotations

from typing import Any

from ccinspect.shapes import fieldpath
from ccinspect.shapes.envelope import ENVELOPES
from ccinspect.shapes.fieldpath import MISSING
from ccinspect.shapes.shape import Shape, Strategy
from ccinspect.wire.model import Json, JsonObject, Path

_TEXT_PARTS = "\n\n"
"""Between two texts that become one."""


def merge(shape: Shape, live: JsonObject) -> tuple[JsonObject, list[str]]:
    """The shape's body with the live content in it, and notes on what became of the rest.

    The result shares parts with both; keys stand in the order of `live`, new ones last.
    """
    strategies = {fieldpath.parse(text): strategy for text, strategy in shape.merge_strategies.items()}
    chosen = [fieldpath.parse(text) for text in shape.content_fields]
    own: JsonObject = shape.body
    if shape.dialect == "gemini":
        own = _respelled(own, live)
        strategies = {_respelled_path(path, live): strategy for path, strategy in strategies.items()}
        chosen = [_respelled_path(path, live) for path in chosen]
    own, notes = _without_rivals(own, live, shape.dialect)
    # Nothing is changed in place but this one object: what lies in it may be shared with the request and the shape.
    result = dict(own)
    # Whole fields before what lies in them, so that the finer word is the last one.
    paths = sorted(_expanded({*chosen, *strategies}, live), key=lambda path: (len(path), path))
    for path in paths:
        value = fieldpath.get(live, path)
        if value is not MISSING:
            notes += _fill_in(result, fieldpath.get(own, path), path, value, strategies.get(path, "replace"))
    notes += _left_out(live, paths)
    ordered = [key for key in live if key in result] + [key for key in result if key not in live]
    return {key: result[key] for key in ordered}, notes


def _fill_in(result: JsonObject, own: Any, path: Path, value: Json, strategy: Strategy) -> list[str]:
    where = fieldpath.spell(path)
    if strategy == "drop":
        if own is MISSING:
            fieldpath.remove(result, path)
        else:
            fieldpath.put(result, path, own)
        return [f"{where} of the request was dropped"]
    joined, note = (value, "") if strategy == "replace" or own is MISSING else _joined(own, value, strategy)
    if not fieldpath.put(result, path, joined):
        return [f"{where} of the request was left out: the shape has no place for it"]
    return [f"{where}: {note}"] if note else []


def _joined(own: Json, live: Json, strategy: Strategy) -> tuple[Json, str]:
    """The live value before (`prepend`) or after (`append`) the shape's own."""
    if live is None or live in ("", [], {}):
        return own, ""
    if own is None or own in ("", [], {}):
        return live, ""
    if isinstance(own, dict) and isinstance(live, dict):
        return _merged(own, live), ""
    if isinstance(own, str) and isinstance(live, str):
        return _TEXT_PARTS.join((live, own) if strategy == "prepend" else (own, live)), ""
    if isinstance(own, str) and isinstance(live, list):
        own = _as_blocks(own, live)
    elif isinstance(own, list) and isinstance(live, str):
        live = _as_blocks(live, own)
    if isinstance(own, list) and isinstance(live, list):
        return [*live, *own] if strategy == "prepend" else [*own, *live], ""
    return live, "the shape's value is of another kind; the request's took its place"


def _as_blocks(text: str, beside: list[Any]) -> list[Any]:
    """A text as an element of the list that it is joined to."""
    first = next((each for each in beside if isinstance(each, dict)), None)
    if first is None:
        return [text]
    if "role" in first:
        return [{"role": "user", "content": text}]
    return [{"type": "text", "text": text}] if "type" in first else [{"text": text}]


def _merged(own: JsonObject, live: JsonObject) -> JsonObject:
    """Both objects' fields, to any depth; what the request says holds."""
    result = dict(own)
    for key, value in live.items():
        inner = result.get(key)
        result[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _expanded(paths: set[Path], live: JsonObject) -> set[Path]:
    """`.` is every field that the request has."""
    return {path for path in paths if path} | ({(key,) for key in live} if () in paths else set())


def _left_out(live: JsonObject, paths: list[Path]) -> list[str]:
    """A note for each field of the request that the shape did not ask for."""
    notes = []
    for key in live:
        inside = [path for path in paths if path[0] == key]
        if not inside:
            notes.append(f"{fieldpath.spell((key,))} of the request was left out: no content field of the shape")
        elif (key,) not in inside and isinstance(live[key], dict):
            left = live[key].keys() - {path[1] for path in inside}
            if left:
                notes.append(f"{fieldpath.spell((key,))} of the request was left out but for its content fields")
    return notes


def _without_rivals(own: JsonObject, live: JsonObject, dialect: str) -> tuple[JsonObject, list[str]]:
    """The shape's body without what the provider refuses beside what the request says, and a note for each."""
    rivals: set[str] = set()
    for group in ENVELOPES[dialect].exclusive:
        if group & live.keys():
            rivals |= (group & own.keys()) - live.keys()
    notes = [f".{key} of the shape was left out: the request says it under another name" for key in sorted(rivals)]
    return {key: value for key, value in own.items() if key not in rivals}, notes


def _respelled(value: JsonObject, live: JsonObject) -> JsonObject:
    """Gemini takes `generationConfig` and `generation_config` for one field, and refuses to see both."""
    result: JsonObject = {}
    for key, each in value.items():
        spelled = _as_spelled(key, live)
        theirs = live.get(spelled)
        inner = isinstance(each, dict) and isinstance(theirs, dict)
        result[spelled] = _respelled(each, theirs) if inner and isinstance(theirs, dict) else each
    return result


def _respelled_path(path: Path, live: Json) -> Path:
    steps: list[str | int] = []
    for step in path:
        spelled = _as_spelled(str(step), live if isinstance(live, dict) else {})
        steps.append(spelled)
        live = live.get(spelled) if isinstance(live, dict) else None
    return tuple(steps)


def _as_spelled(key: str, live: JsonObject) -> str:
    if key in live:
        return key
    wanted = key.replace("_", "").lower()
    return next((each for each in live if each.replace("_", "").lower() == wanted), key)
