"""YAML as shapes are written in: what JSON can say and no more, readable, and the same text for the same value.

Anchors are refused (a few lines of them grow to gigabytes), and so are keys that come twice. Words and dates mean
themselves: of the plain scalars only `null`, `true`, `false` and JSON's numbers are anything but text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.emitter import ScalarAnalysis
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_DEPTH = 200
_BLOCK_FROM = 100
"""Characters from which on a text without line ends stands in a block of its own, too."""
_BLOCK = re.compile("[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*")
# YAML 1.1 takes them for line ends, and reads them as others.
_ODD_BREAK = re.compile("[\r\x85\u2028\u2029]")

_RESOLVERS: tuple[tuple[str, str, str], ...] = (
    ("tag:yaml.org,2002:null", r"^(?:null|~|)$", "n~\0"),
    ("tag:yaml.org,2002:bool", r"^(?:true|false)$", "tf"),
    ("tag:yaml.org,2002:int", r"^-?(?:0|[1-9][0-9]{0,400})$", "-0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^-?(?:0|[1-9][0-9]{0,400})(?:\.[0-9]{1,400})?(?:[eE][-+]?[0-9]{1,6})?$",
        "-0123456789",
    ),
)
_BY_FIRST: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
for _tag, _pattern, _firsts in _RESOLVERS:
    for _first in _firsts:
        _BY_FIRST.setdefault("" if _first == "\0" else _first, []).append((_tag, re.compile(_pattern)))


_Resolvers = dict[str, list[tuple[str, re.Pattern[str]]]]


def _over(first: _Resolvers, then: _Resolvers) -> _Resolvers:
    return {key: [*first.get(key, []), *then.get(key, [])] for key in {*first, *then}}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _BY_FIRST
    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(AliasEvent):
            raise self._refused("anchors and aliases are not read")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._refused(f"nested deeper than {MAX_DEPTH}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refused(self, why: str) -> ConstructorError:
        return ConstructorError(None, None, why, self.get_mark())

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise ConstructorError(None, None, "a key is a text", key_node.start_mark)
            # `404: x` and `true: x` are fields of these names, as they would be in JSON.
            if key_node.value in found:
                raise ConstructorError(None, None, f"the key {key_node.value!r} comes twice", key_node.start_mark)
            found[key_node.value] = self.construct_object(value_node, deep=True)
        return found


class _Dumper(yaml.SafeDumper):
    # Others who read these files take `2026-11-21` and `yes` for a date and for true: such texts are quoted.
    yaml_implicit_resolvers = _over(_BY_FIRST, yaml.SafeDumper.yaml_implicit_resolvers)

    def analyze_scalar(self, scalar: str) -> ScalarAnalysis:
        analysis = super().analyze_scalar(scalar)
        # PyYAML quotes every text with a tab, or a space before a line end: of a long prompt one line without end.
        if analysis.multiline and _BLOCK.fullmatch(scalar):
            analysis.allow_block = True
        return analysis

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> ScalarNode:
    style = '"' if _ODD_BREAK.search(text) else "|" if "\n" in text or len(text) >= _BLOCK_FROM else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> SequenceNode:
    short = all(isinstance(each, str | int | float | bool | None) for each in value)
    flow = short and sum(len(str(each)) + 4 for each in value) < _BLOCK_FROM - 10
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flow)


def _number(dumper: yaml.SafeDumper, value: float) -> ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(value))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(float, _number)


def load(text: str) -> Any:
    """The value of one YAML document. Raises ValueError, which says where."""
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"{error.problem or 'no YAML'}{where}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"no YAML: {' '.join(str(error).split())[:200]}") from error


def dump(value: Any) -> str:
    """The text of a JSON value; `load` gives the value back."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30))
