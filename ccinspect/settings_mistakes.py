"""What is wrong in the settings, said to the person who wrote them: where it stands, and what was perhaps meant."""

from __future__ import annotations

import difflib
import re
import reprlib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_SHORT = reprlib.Repr(maxlevel=3, maxstring=80, maxother=80)
_SECRET = re.compile(r"\bauth\b|\bheaders\b|token|password|upstream_proxy")

# As pydantic begins: `Input should be`, `String should match pattern`, `List should have at most`.
_SHOULD = re.compile(r"^[A-Z]\w+ should")

_BLOCK, _LIST, _NUMBER = "has to be a block of settings", "has to be a list", "has to be a number"
# Where pydantic speaks of types of Python.
_WORDS = {
    "missing": "is missing",
    "string_type": "has to be a text; put it in quotes",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _BLOCK,
    "mapping_type": _BLOCK,
    "model_type": _BLOCK,
    "model_attributes_type": _BLOCK,
    "bool_type": "has to be true or false",
    "bool_parsing": "has to be true or false",
    "int_type": "has to be a whole number",
    "int_parsing": "has to be a whole number",
    "int_from_float": "has to be a whole number",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "string_too_short": "must not be empty",
}


def told(error: ValidationError, root: type[BaseModel]) -> tuple[list[str], str, str]:
    """(keys down to the first mistake, what it is, a hint). `root` is what the settings were read as."""
    first = _first(error, root)
    at = _keys(first)
    if first["type"] in ("extra_forbidden", "invalid_key"):
        keys = [*_shown(root, at[:-1]), at[-1]]
        known = fields_at(root, at[:-1])
        return keys, f"no setting `{'.'.join(keys)}`", nearest(at[-1], known) if known else "remove it"
    keys = _shown(root, at)
    dotted = ".".join(keys)
    problem = _SHOULD.sub("has to", first["msg"].removeprefix("Value error, "))
    if first["type"] in _WORDS and not (first["type"] == "string_too_short" and first["ctx"]["min_length"] != 1):
        problem = _WORDS[first["type"]]
    # What was written may be a secret in the wrong place.
    got = "" if _SECRET.search(dotted) or first["type"] == "missing" else f" (got {_SHORT.repr(first['input'])})"
    return keys, f"`{dotted}`: {problem}{got}", "see docs/configuration.md"


def fields_at(root: type[BaseModel], keys: Sequence[str]) -> list[str] | None:
    """Names of the settings in the block at `keys`; None where that is no block."""
    found: list[Any] = [root]
    for key in keys:
        found = _step(found, key)
    names = [name for each in found if _is_block(each) for name in each.model_fields]
    return names or None


def _first(error: ValidationError, root: type[BaseModel]) -> ErrorDetails:
    """The first mistake; of a setting with several forms, the one in the form that came nearest to what was written."""
    errors = error.errors()
    place = _shown(root, _keys(errors[0]))
    same = [each for each in errors if _shown(root, _keys(each))[: len(place)] == place]
    return max(same, key=lambda each: len(each["loc"])) if len(_keys(errors[0])) > len(place) else errors[0]


def _keys(error: ErrorDetails) -> list[str]:
    # `[key]` says that what stands before it is wrong, and not what stands below that.
    return [str(part) for part in error["loc"] if part != "[key]"]


def _shown(root: type[BaseModel], keys: Sequence[str]) -> list[str]:
    """The keys that a person has written: without those by which pydantic tells the forms of one setting apart."""
    shown: list[str] = []
    found: list[Any] = [root]
    for key in keys:
        below = _step(found, key)
        if below and not all(each in found for each in below):
            shown.append(key)
        found = below
    return shown


def nearest(key: str, known: Iterable[str]) -> str:
    """The known key that was perhaps meant, else all of them."""
    match = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    return f"did you mean `{match[0]}`?" if match else f"known here: {', '.join(sorted(known))}"


def _is_block(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _step(found: Sequence[Any], key: str) -> list[Any]:
    """What may stand at `key`, below what may stand here: `key` is a setting's name, an index, a name that the person
    has given, or one of pydantic's for a form of this setting."""
    if len(found) > 1 and (form := [each for each in found if _is_block(each) and key in _names(each)]):
        return form
    return [inner for each in found for inner in _below(each, key)]


def _below(annotation: Any, key: str) -> Iterator[Any]:
    if _is_block(annotation):
        if key in annotation.model_fields:
            yield from _alternatives(annotation.model_fields[key].annotation)
        return
    inner = [each for each in get_args(annotation) if each is not Ellipsis]
    origin = get_origin(annotation)
    if not isinstance(origin, type) or not inner:
        return
    if issubclass(origin, Mapping) or (issubclass(origin, list | tuple) and key.isdigit()):
        yield from _alternatives(inner[-1])


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for each in get_args(annotation):
            yield from _alternatives(each)
    else:
        yield annotation


def _names(block: type[BaseModel]) -> Iterator[str]:
    """What pydantic calls this block, where it is one form of several."""
    yield block.__name__
    kind = block.model_fields.get("type")
    if kind is not None and get_origin(kind.annotation) is Literal:
        yield from map(str, get_args(kind.annotation))
