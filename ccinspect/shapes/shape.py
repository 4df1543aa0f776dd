"""A shape: a known-good request without its content, and how content is put into it."""

from __future__ import annotations

import calendar
import math
import re
import time
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ccinspect.errors import ShapeError
from ccinspect.shapes import fieldpath, yamltext
from ccinspect.shapes.settings import FreshIds, InnerHook, InsertCacheMarkers, Name
from ccinspect.wire.model import Path

Dialect = Literal["anthropic", "openai_chat", "openai_responses", "gemini", "ollama"]
Strategy = Literal["replace", "prepend", "append", "drop"]

MAX_SHAPE = 16 << 20
"""Bytes of a file."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_MAX_ERRORS = 5
# Fields that are not written where they say what is the case anyway.
_LEFT_OUT = {
    *("description", "headers", "content_fields", "merge_strategies", "preserve_headers", "strip_headers"),
    "inner_hooks",
}


class Shape(BaseModel):
    """One shape, as it stands in its file. Frozen; the JSON in `body` is never changed in place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    description: str = ""
    dialect: Dialect
    agent: str | None = None
    """Whose request it was; requests of the same agent or SDK are left alone."""
    saved_from: str | None = None
    """The flow's id."""
    saved_at: str | None = None
    """When, in UTC: `2026-11-21T07:00:00Z`."""
    method: str = "POST"
    path: str
    """Where it was sent; its query is stamped, the path itself is the client's."""
    headers: dict[str, str] = Field(default_factory=dict)
    content_fields: tuple[str, ...] = (".",)
    merge_strategies: dict[str, Strategy] = Field(default_factory=dict)
    preserve_headers: tuple[str, ...] = ()
    strip_headers: tuple[str, ...] = ()
    inner_hooks: tuple[InnerHook, ...] = ()
    body: dict[str, Any] = Field(default_factory=dict)

    @property
    def saved(self) -> float | None:
        """`saved_at` in seconds since the epoch."""
        return None if self.saved_at is None else _date(self.saved_at)

    @field_validator("saved_at")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            _date(value)
        return value

    @field_validator("method")
    @classmethod
    def _is_a_method(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Z]{1,20}", value):
            raise ValueError("a method is written in capitals: POST")
        return value

    @field_validator("path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not re.fullmatch(r"/[!-~]{0,4000}", value) or "#" in value:
            raise ValueError("a path begins with / and has no spaces: /v1/messages")
        return value

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(text) or text != text.strip():
                raise ValueError(f"{name!r} cannot be sent as a header with this value")
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("a header is named twice")
        return value

    @field_validator("preserve_headers", "strip_headers")
    @classmethod
    def _are_header_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header")
        return value

    @field_validator("content_fields")
    @classmethod
    def _are_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            _content_path(text)
        return value

    @field_validator("merge_strategies")
    @classmethod
    def _are_paths_too(cls, value: dict[str, Strategy]) -> dict[str, Strategy]:
        for text in value:
            if not _content_path(text):
                raise ValueError("a strategy is for a field: `.system`; that of `.` cannot be changed")
        return value

    @field_validator("inner_hooks")
    @classmethod
    def _have_places(cls, value: tuple[InnerHook, ...]) -> tuple[InnerHook, ...]:
        for hook in value:
            if isinstance(hook, FreshIds):
                for text in hook.params.paths:
                    fieldpath.parse(text)
                cls._are_header_names(hook.params.headers)
            elif isinstance(hook, InsertCacheMarkers):
                for text in hook.params.breakpoints:
                    fieldpath.parse(text)
        return value

    @field_validator("body")
    @classmethod
    def _is_json(cls, value: dict[str, Any]) -> dict[str, Any]:
        for path, leaf in fieldpath.leaves(value):
            if not isinstance(leaf, str | int | float | bool | dict | list | None):
                raise ValueError(f"{fieldpath.spell(path)} is no JSON")
            if isinstance(leaf, float) and not math.isfinite(leaf):
                raise ValueError(f"{fieldpath.spell(path)} is no number that JSON can say")
        return value


def _date(text: str) -> float:
    """Seconds since the epoch. Raises ValueError."""
    for layout in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"):
        with suppress(ValueError):
            return float(calendar.timegm(time.strptime(text, layout)))
    raise ValueError("a time is written as 2026-11-21T07:00:00Z")


def _content_path(text: str) -> Path:
    path = fieldpath.parse(text)
    if any(isinstance(step, int) for step in path):
        raise ValueError(f"{text}: fields are chosen by name; an element of a list cannot be")
    return path


def parse_shape(data: bytes, source: str) -> Shape:
    """Read a shape's file; `source` names it in messages. Raises ShapeError."""
    if len(data) > MAX_SHAPE:
        raise ShapeError(f"{source} is larger than {MAX_SHAPE >> 20} MB: no shape", "a shape holds no conversation")
    try:
        value = yamltext.load(data.decode("utf-8"))
        if not isinstance(value, dict):
            raise ValueError("a shape is a mapping: name, dialect, path, headers, body, ...")
        return Shape.model_validate(value)
    except UnicodeDecodeError as error:
        raise ShapeError(f"{source} is no UTF-8: it was not read", "save it as UTF-8") from error
    except ValidationError as error:
        raise ShapeError(f"{source} is no shape: {_told(error)}", "docs/shapes.md says what may stand in it") from error
    except ValueError as error:
        raise ShapeError(f"{source} is no shape: {error}", "docs/shapes.md says what may stand in it") from error


def _told(error: ValidationError) -> str:
    # Not str(error): it repeats the values, and they may be long or private.
    found = error.errors(include_url=False, include_input=False, include_context=False)
    told = [
        f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg'].removeprefix('Value error, ')}"
        for each in found[:_MAX_ERRORS]
    ]
    more = f"; and {len(found) - _MAX_ERRORS} more" if len(found) > _MAX_ERRORS else ""
    return "; ".join(told) + more


def shape_text(shape: Shape) -> str:
    """The shape as its file holds it: always the same text for equal shapes, in the order of the fields."""
    given = shape.model_dump(mode="json", exclude_none=True)
    value = {name: each for name, each in given.items() if name not in _LEFT_OUT or not _is_default(shape, name)}
    if shape.inner_hooks:
        value["inner_hooks"] = [
            _short(hook.model_dump(mode="json", exclude_defaults=True)) for hook in shape.inner_hooks
        ]
    return yamltext.dump(value)


def _is_default(shape: Shape, name: str) -> bool:
    return bool(getattr(shape, name) == Shape.model_fields[name].get_default(call_default_factory=True))


def _short(entry: dict[str, Any]) -> Any:
    """An inner hook without parameters is its name."""
    return entry if entry.get("params") else entry["hook"]
