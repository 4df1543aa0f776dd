"""Results that can be kept: dataclasses written as plain JSON and read back equal."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from ccinspect.wire.model import Json, JsonObject


class Record:
    """Base of the dataclasses that the store keeps.

    Fields may be str, int, float, bool, None, Decimal (written as text, so that money stays exact), string
    enumerations, other records, `tuple[X, ...]` and `dict[str, X]` of these. A field that has its default
    is left out of the JSON, and fields that are not known are passed over in reading: rows
    of an older or newer analyser can be read.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def to_json(self) -> JsonObject:
        """A JSON object of the fields that differ from their defaults."""
        out: JsonObject = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if not _is_default(field, value):
                out[field.name] = _write(value)
        return out

    @classmethod
    def from_json(cls, value: JsonObject) -> Self:
        """Read what `to_json` wrote. Raises ValueError when it does not fit this record."""
        if not isinstance(value, dict):
            raise ValueError(f"{cls.__name__}: expected an object")
        try:
            kinds = _kinds(cls)  # type: ignore[arg-type]  # classes are hashable, whatever mypy says of Self
            return cls(**{name: _read(kind, value[name]) for name, kind in kinds.items() if name in value})
        except (TypeError, ArithmeticError) as error:
            raise ValueError(f"{cls.__name__}: {error}") from error


def _is_default(field: Field[Any], value: object) -> bool:
    if field.default is not MISSING:
        return type(value) is type(field.default) and bool(value == field.default)
    if field.default_factory is not MISSING:
        return bool(value == field.default_factory())
    return False


@cache
def _kinds(cls: type[Record]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _write(value: Any) -> Json:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_write(item) for item in value]
    if isinstance(value, dict):
        return {key: _write(item) for key, item in value.items()}
    return value


def _read(kind: Any, value: Json) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _read_union(get_args(kind), value)
    if origin is tuple:
        item, *more = get_args(kind)
        if more == [...]:
            return tuple(_read(item, entry) for entry in _listed(value))
        return tuple(_read(part, entry) for part, entry in zip((item, *more), _listed(value), strict=True))
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError("expected an object")
        item = get_args(kind)[1]
        return {key: _read(item, entry) for key, entry in value.items()}
    if isinstance(kind, type):
        return _read_plain(kind, value)
    return value


def _read_union(kinds: tuple[Any, ...], value: Json) -> Any:
    if value is None and NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    if len(others) == 1:
        return _read(others[0], value)
    # Only unions of plain kinds (`str | int`) are used; JSON keeps those apart by itself.
    return value


def _read_plain(kind: type[Any], value: Json) -> Any:
    if issubclass(kind, Record):
        return kind.from_json(value)
    if kind is Decimal:
        return Decimal(value)
    if issubclass(kind, StrEnum):
        return kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (str, int, float, bool) and type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _listed(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    return value
