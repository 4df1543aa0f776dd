"""Entries of `inspector.reverse_targets` in our own ccinspect.yaml, comments and all else left as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ccinspect.setup import fences
from ccinspect.setup.edits import Insert, InTheWay, NotUnderstood, apply

_BLOCK, _KEY = "inspector", "reverse_targets"


class ReverseTargets(fences.Fenced):
    """The form of a file whose only setting of ours is `inspector.reverse_targets`, a tuple of {port, upstream}."""

    def add(self, text: str, settings: Mapping[tuple[str, ...], Any]) -> list[Insert]:
        wanted = [target for targets in settings.values() for target in targets]
        there = _targets(text)
        missing = [target for target in wanted if target not in there]
        for target in missing:
            if other := next((each for each in there if each.get("port") == target["port"]), None):
                raise InTheWay(f"its `{_BLOCK}.{_KEY}` has port {target['port']} for {other.get('upstream')}")
        if not missing:
            return []
        inserts = [_insert(text, missing)]
        if _targets_or_nothing(apply(text, inserts)) != [*missing, *there]:
            raise NotUnderstood("lines added to it would not mean what they say")
        return inserts


def _insert(text: str, targets: Sequence[Mapping[str, Any]]) -> Insert:
    """One block of lines: with the keys above the entries where these are not there."""
    items = [f"- {json.dumps(dict(target))}" for target in targets]
    root = _compose(text)
    block = _child(root, _BLOCK)
    if block is None:
        if isinstance(root, yaml.MappingNode) and root.flow_style:
            raise NotUnderstood("it is written in braces")
        lines = [f"{_BLOCK}:", f"  {_KEY}:", *(f"  {item}" for item in items)]
        return fences.append(text, lines)[0]
    key, value = block
    if isinstance(value, yaml.ScalarNode) and not value.value:
        lines = [f"{_KEY}:", *items]
        return Insert(*_line_after(text, key, fences.block(lines, text, "  ")))
    if not isinstance(value, yaml.MappingNode) or value.flow_style:
        raise NotUnderstood(f"its `{_BLOCK}` is written in braces")
    entries = _child(value, _KEY)
    if entries is None:
        indent = " " * value.value[0][0].start_mark.column
        return Insert(*_line_after(text, key, fences.block([f"{_KEY}:", *items], text, indent)))
    entries_key, sequence = entries
    if not isinstance(sequence, yaml.SequenceNode) or sequence.flow_style:
        raise NotUnderstood(f"its `{_BLOCK}.{_KEY}` is no list of lines")
    indent = " " * sequence.start_mark.column
    return Insert(*_line_after(text, entries_key, fences.block(items, text, indent)))


def _line_after(text: str, key: yaml.Node, block: str) -> tuple[int, str]:
    """Put a block below the line in which a key stands."""
    end = text.find("\n", key.end_mark.index)
    return (len(text), "\n" + block) if end < 0 else (end + 1, block)


def _compose(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise NotUnderstood("it is no YAML") from error


def _child(node: yaml.Node | None, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((pair for pair in pairs if pair[0].value == key), None)


def _targets(text: str) -> list[dict[str, Any]]:
    """The entries as they are. Raises NotUnderstood."""
    try:
        whole = yaml.safe_load(text)
        block = {} if whole is None else whole.get(_BLOCK)
        found = [] if block is None else block.get(_KEY)
    except (yaml.YAMLError, RecursionError, AttributeError) as error:
        raise NotUnderstood("it is no YAML mapping") from error
    if not isinstance(found, list | None) or not all(isinstance(each, dict) for each in found or ()):
        raise NotUnderstood(f"its `{_BLOCK}.{_KEY}` is no list of mappings")
    return found or []


def _targets_or_nothing(text: str) -> list[dict[str, Any]] | None:
    try:
        return _targets(text)
    except NotUnderstood:
        return None
