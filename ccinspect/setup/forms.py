"""How each format of a settings file takes our settings, and gives them up again.

A form has `add(text, settings)`, which says what to insert, and `remove(text, settings, made)` for a file that was
changed since, so that what we inserted is no longer where we left it. Settings are values by their path of keys. What
somebody else has set is never replaced: that is InTheWay.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from ccinspect.setup import fences, jsonc
from ccinspect.setup.agents import Settings
from ccinspect.setup.edits import Insert, InTheWay, NotUnderstood, apply
from ccinspect.setup.reverse_targets import ReverseTargets


class Form(Protocol):
    """One format. Texts given to `add` and `made` have nothing of ours in them."""

    def add(self, text: str, settings: Settings) -> list[Insert]:
        """What to insert; nothing when all is said already. Raises NotUnderstood."""

    def remove(self, text: str, settings: Settings, made: Sequence[tuple[str, ...]]) -> str:
        """`text` without what we had put in. Raises NotUnderstood."""

    def made(self, text: str, settings: Settings) -> list[tuple[str, ...]]:
        """What `add` has to make on the way to the settings."""


class Json:
    """Any JSON, with or without comments."""

    def add(self, text: str, settings: Settings) -> list[Insert]:
        return jsonc.add(text, settings)

    def remove(self, text: str, settings: Settings, made: Sequence[tuple[str, ...]]) -> str:
        return jsonc.remove(text, settings, made)

    def made(self, text: str, settings: Settings) -> list[tuple[str, ...]]:
        return jsonc.objects_made(text, settings)


@dataclass(frozen=True)
class KeyLines(fences.Fenced):
    """Lines for keys. Settings have one key each."""

    read: Callable[[str], dict[str, Any]]
    """The keys of a text; raises NotUnderstood."""
    write: Callable[[str, Any], list[str]]
    """The lines that give a key its value."""

    def add(self, text: str, settings: Settings) -> list[Insert]:
        there = self.read(text)
        missing = {}
        for (key,), value in settings.items():
            if key not in there:
                missing[key] = value
            elif there[key] != value:
                raise InTheWay(f"its `{key}` is {json.dumps(there[key], ensure_ascii=False, default=str)}")
        if not missing:
            return []
        lines = [line for key, value in missing.items() for line in self.write(key, value)]
        inserts = fences.append(text, lines)
        _check(self.read(apply(text, inserts)), there | missing)
        return inserts


def _check(reads: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Whatever the file holds, it must read as it did, with ours beside."""
    if reads != wanted:
        raise NotUnderstood("lines added to it would not mean what they say")


class Toml(fences.Fenced):
    """Keys of the root stand before the first table, tables of ours at the end. A path has one key, or is a table's."""

    def add(self, text: str, settings: Settings) -> list[Insert]:
        there = _read_toml(text)
        wanted, root, tables = deepcopy(there), [], []
        for path, value in settings.items():
            holder = wanted
            for key in path[:-1]:
                holder = holder.setdefault(key, {})
                if not isinstance(holder, dict):
                    raise InTheWay(f"its `{key}` is no table")
            if path[-1] in holder:
                if holder[path[-1]] != value:
                    said = json.dumps(holder[path[-1]], ensure_ascii=False, default=str)
                    raise InTheWay(f"its `{'.'.join(path)}` is {said}")
                continue
            holder[path[-1]] = value
            if len(path) == 1:
                root += _write_toml({path[0]: value})
            else:
                tables += [f"[{'.'.join(path)}]", *_write_toml(value)]
        inserts = [*(fences.prepend(text, root) if root else ()), *(fences.append(text, tables) if tables else ())]
        _check(_read_toml(apply(text, inserts)), wanted)
        return inserts


def _write_toml(values: Mapping[str, Any]) -> list[str]:
    # JSON's strings and arrays of strings are TOML's too.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def _read_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise NotUnderstood("it is no TOML") from error


def _read_yaml(text: str) -> dict[str, Any]:
    try:
        whole = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise NotUnderstood("it is no YAML") from error
    if not isinstance(whole, dict | None):
        raise NotUnderstood("it is no YAML mapping")
    return whole or {}


_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_PLAIN = re.compile(r"[\w./:@%+,=~-]*")


def read_dotenv(text: str) -> dict[str, str]:
    """The assignments of a .env file, as far as all its readers agree: a line each, quotes taken off."""
    found = {}
    for name, value in _ASSIGNMENT.findall(text):
        quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
        found[name] = value[1:-1] if quoted else re.split(r"[ \t]#", value, maxsplit=1)[0].rstrip()
    return found


def _write_dotenv(name: str, value: str) -> list[str]:
    if _PLAIN.fullmatch(value):
        return [f"{name}={value}"]
    if "'" in value or "\n" in value:
        raise NotUnderstood(f"{name} has a value that no .env file can hold: {value!r}")
    return [f"{name}='{value}'"]


def _write_yaml(key: str, value: Any) -> list[str]:
    items = value if isinstance(value, list) else None
    if items is None:
        return [f"{key}: {json.dumps(value, ensure_ascii=False)}"]
    return [f"{key}:", *(f"  - {json.dumps(item, ensure_ascii=False)}" for item in items)]


class ShellLines(fences.Fenced):
    """A shell's start file: one line of ours at its end, the only value of the settings."""

    def add(self, text: str, settings: Settings) -> list[Insert]:
        return fences.append(text, list(settings.values()))


FORMS: Mapping[str, Form] = {
    "json": Json(),
    "toml": Toml(),
    "dotenv": KeyLines(read_dotenv, _write_dotenv),
    "yaml": KeyLines(_read_yaml, _write_yaml),
    "reverse-targets": ReverseTargets(),
    "shell": ShellLines(),
}
