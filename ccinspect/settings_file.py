"""`ccinspect.yaml` as a file: read, with the line of each key, and refused where it says something twice."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from ccinspect.errors import ConfigError

_MERGE = "<<"


class _Loader(yaml.SafeLoader):
    """Keys are words: in the YAML 1.1 that PyYAML reads, `on` is one of the ways to write `true`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:bool":
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


def parse(text: str) -> Any:
    """The value that YAML has. Raises yaml.YAMLError."""
    # A SafeLoader: nothing but plain values can come of it.
    return yaml.load(text, Loader=_Loader)


def read_settings(path: Path) -> tuple[yaml.Node | None, dict[str, Any]]:
    """(the file's nodes, for `line_of`; its values); (None, {}) where there is no file or nothing in it.

    Raises ConfigError for a file that cannot be read, is no YAML, or has a key twice in one block: of two such, YAML
    readers forget the first, and with it perhaps a rule that was to hold something back.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if path.is_symlink():
            # All defaults would be in force, and no rule of the file that was meant.
            raise ConfigError(f"{path} is a link to what does not exist", "mend the link, or remove it") from error
        return None, {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", "make it a readable UTF-8 file") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = parse(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}{where}: not valid YAML: {problem}", "mend that line; nothing was started") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: it is nested too deeply to be read", "mend it; nothing was started") from error
    if values is None:
        return None, {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected blocks of settings (`store:`, `jail:`, ...)", "see docs/configuration.md")
    _refuse_repeated(path, node)
    return node, values


def line_of(node: yaml.Node | None, keys: Sequence[str]) -> str:
    """`, line N` of the deepest part of `keys` that the file has."""
    line = None
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == key), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
            node = node.value[int(key)]
            line = node.start_mark.line + 1
        else:
            break
    return f", line {line}" if line else ""


def _refuse_repeated(path: Path, node: yaml.Node | None) -> None:
    waiting, seen = [node], set()
    while waiting:
        each = waiting.pop()
        # An anchor's node stands in many places.
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, yaml.SequenceNode):
            waiting += each.value
        elif isinstance(each, yaml.MappingNode):
            waiting += [value for _, value in each.value]
            lines: dict[str, int] = {}
            for key, _ in each.value:
                line = key.start_mark.line + 1
                if isinstance(key, yaml.ScalarNode) and key.value != _MERGE and key.value in lines:
                    first = lines[key.value]
                    raise ConfigError(
                        f"{path}, line {line}: `{key.value}` stands there for the second time, after line {first}",
                        "put what both say below one of them; nothing was started",
                    )
                if isinstance(key, yaml.ScalarNode):
                    lines[key.value] = line
