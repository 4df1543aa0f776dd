"""Records as plain JSON values, for `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

_LEFT_OUT = frozenset(("raw",))


def jsonable(value: Any) -> Any:
    """Dataclasses become objects of their fields and properties, decimals numbers, tuples lists; None stays null."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.name not in _LEFT_OUT]
        names += [name for name, member in vars(type(value)).items() if isinstance(member, property)]
        return {name: jsonable(getattr(value, name)) for name in names}
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value
