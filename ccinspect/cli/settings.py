"""The settings as text, made from `ccinspect.config`: the file that `init` writes; `docs/configuration.md` too."""

from __future__ import annotations

import os
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ccinspect.config import Config
from ccinspect.errors import ConfigError

HEADING = """\
# Settings of ccinspect. Each line that begins with `#` and no space shows a default: take the `#` away to change it.
# The environment beats this file: CCINSPECT_STORE__MAX_AGE=30d.
"""


@dataclass(frozen=True)
class Setting:
    """One key, or a block of keys (`is_block`). `keys` is its path; `kind` says in words what it takes."""

    keys: tuple[str, ...]
    description: str
    kind: str
    default: Any
    is_block: bool

    @property
    def dotted(self) -> str:
        return ".".join(self.keys)


def all_settings() -> Iterator[Setting]:
    """Every block and key, in the order of the models, each block before its keys."""
    yield from _settings_of(Config, ())


def _settings_of(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        keys = (*above, name)
        block = field.annotation
        if isinstance(block, type) and issubclass(block, BaseModel):
            yield Setting(keys, field.description or "", "block", None, True)
            yield from _settings_of(block, keys)
        else:
            yield Setting(keys, field.description or "", _kind_of(field), _default(field), False)


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True, validated_data={})
    return None if value is PydanticUndefined else value


MOST_PORT = 65535
_WORDS: dict[Any, str] = {bool: "true or false", int: "number", float: "number", str: "string", Path: "path"}


def _kind_of(field: FieldInfo) -> str:
    # pydantic takes Annotated apart: the validators of a size or an age are in the metadata then.
    validators = [getattr(getattr(item, "func", None), "__name__", "") for item in field.metadata]
    if "parse_size" in validators:
        return "size"
    if "parse_age" in validators:
        return "age"
    bounds = {type(item).__name__: item for item in field.metadata}
    if field.annotation is int and getattr(bounds.get("Le"), "le", None) == MOST_PORT:
        return "port"
    return _words(field.annotation)


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        names = [getattr(getattr(item, "func", None), "__name__", "") for item in arguments[1:]]
        special = {"parse_size": "size", "parse_age": "age", "_regex": "regular expression"}
        found = next((special[name] for name in names if name in special), None)
        return found or ("port" if arguments[0] is int else _words(arguments[0]))
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part) for part in arguments if part is not type(None))
    if origin is list:
        words = _words(arguments[0])
        return f"list of {words}" if words.startswith("{") else f"list of {words}s"
    if origin in (dict, Mapping):
        return f"map of {_words(arguments[0])}s to {_words(arguments[1])}s"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "{" + ", ".join(annotation.model_fields) + "}"
    return _WORDS.get(annotation, "any value")


def default_as_yaml(value: Any) -> str:
    """A default in one line of YAML, as it stands in the file."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return "" if text == "null" else text


def template() -> str:
    """A whole ccinspect.yaml in which every key is there, off, with its default."""
    lines = [HEADING.rstrip("\n")]
    for setting in all_settings():
        depth = len(setting.keys) - 1
        indent = "  " * depth
        if depth == 0:
            value = "" if setting.is_block else f" {default_as_yaml(setting.default)}"
            sign = "" if setting.is_block else "#"
            lines += ["", *textwrap.wrap(setting.description, 118, initial_indent="# ", subsequent_indent="# ")]
            lines.append(f"{sign}{setting.keys[0]}:{value}")
            continue
        lines += textwrap.wrap(setting.description, 100, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        value = "" if setting.is_block else f" {default_as_yaml(setting.default)}".rstrip()
        lines.append(f"{indent}#{setting.keys[-1]}:{value}")
    return "\n".join(lines) + "\n"


def write_template(path: Path, force: bool) -> Path:
    """Write the template to `path` and return it. Raises ConfigError when a file is there and `force` is not given."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        # A directory that is there, a project's perhaps, keeps its mode.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as stream:
            stream.write(template())
    except FileExistsError as error:
        if not path.exists():
            raise ConfigError(f"{path.parent} is not a directory", "name another with --config DIR") from error
        raise ConfigError(f"{path} exists already", "edit it, or overwrite it: ccinspect init --force") from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "make it writable, or use --config DIR") from error
    return path
