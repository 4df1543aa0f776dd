"""A request's body between two hooks: bytes that nobody changes in place, and their JSON, a copy for each who asks."""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterable

from ccinspect.pipeline.resources import Resource
from ccinspect.wire.jsonedit import rewrite
from ccinspect.wire.jsontext import parse
from ccinspect.wire.model import Json

# Its values are plain trees; and copying one by marshal takes a third of the time of parsing the text again.
_VERSION = 2


class Body:
    """Immutable, and safe to share between threads: at worst two of them parse it."""

    __slots__ = ("_packed", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._packed: bytes | None = None

    def packed(self) -> bytes:
        """Its JSON as marshal writes it; that of None where it is no JSON."""
        if self._packed is None:
            self._packed = marshal.dumps(parse(self.data)[0], _VERSION)
        return self._packed

    def value(self) -> Json:
        """A copy of its JSON, the caller's own; None where it is no JSON."""
        return marshal.loads(self.packed())

    def is_written_as(self, value: Json) -> bool:
        """Whether `value` is what `value()` gave, to the order of keys."""
        try:
            return marshal.dumps(value, _VERSION) == self.packed()
        except ValueError:
            return False

    def changed_to(self, value: Json) -> Body:
        return Body(rewrite(self.data, self.value(), value))


def check_sayable(value: Json) -> None:
    """Raises ValueError saying what of `value` JSON cannot say."""
    try:
        json.dumps(value, allow_nan=False)
    except TypeError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it nests too deep, or holds itself") from error


def with_only(before: Json, after: Json, declared: Iterable[Resource]) -> Json:
    """`before` (changed in place) with those members of `after` that `declared` names, like `("body", "metadata")`."""
    for resource in declared:
        if resource[0] != "body":
            continue
        if len(resource) == 1:
            return after
        before = _with_member(before, after, resource[1:])
    return before


def _with_member(before: Json, after: Json, keys: Resource) -> Json:
    if not isinstance(after, dict):
        return before
    key, rest = keys[0], keys[1:]
    if not isinstance(before, dict):
        before = {}
    if key not in after:
        before.pop(key, None)
    elif not rest:
        before[key] = after[key]
    elif isinstance(after[key], dict):
        before[key] = _with_member(before.get(key), after[key], rest)
    return before
