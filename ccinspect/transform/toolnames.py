"""Tools under names and in forms that the target knows, and back again in the answer.

A client can only run a call that names its tool as it named it. Three things do not go over into every dialect: names
(OpenAI and Gemini allow 64 characters, and MCP servers make longer ones), namespaces, and tools that take free text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from ccinspect.wire.jsontext import arguments_object, dump_text, parse_arguments
from ccinspect.wire.model import Block, Diagnostic, JsonObject, Message, Request, Tool, ToolCall, ToolChoice, ToolResult

_LIMITS = {"anthropic": 128, "openai_chat": 64, "openai_responses": 64, "gemini": 64}
_BAD = re.compile(r"[^a-zA-Z0-9_-]")
_INPUT = "input"
_FREE_TEXT: JsonObject = {"type": "object", "properties": {_INPUT: {"type": "string"}}, "required": [_INPUT]}
_HASH = 8


class Original(NamedTuple):
    """A tool as its client knows it."""

    name: str
    server: str | None
    kind: str
    """`function` or `custom`."""


Key = tuple[str, str | None]
"""(name, namespace)."""


class _Names:
    """The target's names of the client's tools."""

    def __init__(self, target: str) -> None:
        self._limit = _LIMITS.get(target)
        self._namespaces = target == "openai_responses"
        self._told: dict[Key, str] = {}
        self._taken: set[str] = set()

    def tell(self, name: str, server: str | None) -> str:
        """The name to use there; the same one each time, and no two tools have one."""
        key = (name, server)
        if key not in self._told:
            wanted = self._legal(name)
            if wanted in self._taken:
                wanted = self._legal(f"{server or ''}__{name}")
            if wanted in self._taken:
                wanted = self._shortened(f"{wanted}", f"{server}/{name}")
            self._told[key] = wanted
            self._taken.add(wanted)
        return self._told[key]

    def drops(self, server: str | None) -> bool:
        return server is not None and not self._namespaces

    def _legal(self, name: str) -> str:
        if self._limit is None:
            return name
        clean = _BAD.sub("_", name) or "unnamed"
        return clean if len(clean) <= self._limit else self._shortened(clean, name)

    def _shortened(self, name: str, whole: str) -> str:
        digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
        return f"{name[: (self._limit or 64) - _HASH - 1]}_{digest}"


def adapt_tools(
    request: Request, target: str, takes_free_text: bool
) -> tuple[Request, dict[str, Original], list[Diagnostic]]:
    """The request with tools, calls and results as the target takes them; what its names stand for; what to say of it.

    Built-in tools and calls that a provider ran by itself stay as they are.
    """
    names = _Names(target)
    originals: dict[str, Original] = {}
    notes: list[Diagnostic] = []
    tools = tuple(_tool(tool, names, takes_free_text, originals) for tool in request.tools)
    for before, after in zip(request.tools, tools, strict=True):
        if after is not before:
            message = f"{before.name!r} is told as {after.name!r}" if after.name != before.name else ""
            if before.kind != after.kind:
                message = f"{before.name!r} takes free text, which goes into one argument there"
            if message:
                notes.append(Diagnostic("info", "tool_changed", message, before.path, request.dialect, target))
    messages = tuple(_message(message, names, takes_free_text) for message in request.messages)
    choice = request.tool_choice
    if choice is not None and choice.names and originals:
        choice = _choice(choice, originals)
    return replace(request, tools=tools, messages=messages, tool_choice=choice), originals, notes


def _tool(tool: Tool, names: _Names, takes_free_text: bool, originals: dict[str, Original]) -> Tool:
    if tool.kind not in ("function", "custom"):
        return tool
    told = names.tell(tool.name, tool.server)
    free = tool.kind == "custom" and not takes_free_text
    if told == tool.name and not free and not names.drops(tool.server):
        return tool
    originals[told] = Original(tool.name, tool.server, tool.kind)
    server = None if names.drops(tool.server) else tool.server
    if free:
        return replace(tool, name=told, server=server, kind="function", schema=_FREE_TEXT)
    return replace(tool, name=told, server=server)


def _choice(choice: ToolChoice, originals: Mapping[str, Original]) -> ToolChoice:
    told = {original.name: name for name, original in originals.items()}
    return replace(choice, names=tuple(told.get(name, name) for name in choice.names))


def _message(message: Message, names: _Names, takes_free_text: bool) -> Message:
    blocks = tuple(_block(block, names, takes_free_text) for block in message.blocks)
    same = all(after is before for after, before in zip(blocks, message.blocks, strict=True))
    return message if same else replace(message, blocks=blocks)


def _block(block: Block, names: _Names, takes_free_text: bool) -> Block:
    if isinstance(block, ToolCall) and block.executor == "client" and block.kind in ("function", "custom"):
        told = names.tell(block.name, block.server)
        free = block.kind == "custom" and not takes_free_text
        if told == block.name and not free and not names.drops(block.server):
            return block
        server = None if names.drops(block.server) else block.server
        if free:
            arguments = arguments_object(block.arguments)
            return replace(block, name=told, server=server, kind="function", arguments=arguments)
        return replace(block, name=told, server=server)
    if isinstance(block, ToolResult) and block.executor == "client" and block.kind in ("function", "custom"):
        told_name = names.tell(block.name, None) if block.name else block.name
        kind = block.kind if takes_free_text else "function"
        return block if (told_name, kind) == (block.name, block.kind) else replace(block, name=told_name, kind=kind)
    return block


def restored(call: ToolCall, originals: Mapping[str, Original]) -> ToolCall:
    """A call of the answer, under the name and in the form that its client knows."""
    original = originals.get(call.name)
    if original is None or call.executor != "client":
        return call
    arguments = call.arguments
    if original.kind == "custom" and call.kind != "custom":
        arguments = free_text(arguments)
    return replace(call, name=original.name, server=original.server, kind=original.kind, arguments=arguments)


def free_text(arguments: JsonObject | str) -> str:
    """The text that stands in the one argument of a tool that takes free text; all of it, when it stands elsewhere."""
    value = parse_arguments(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(value, dict):
        return value
    text = value.get(_INPUT)
    return text if isinstance(text, str) else dump_text(value) if value else ""
