"""What the fake model answers: a function of the request alone, the same in every dialect.

It repeats what it was told. It calls a tool when told to in so many words (`use the tool NAME`, or `use the tool NAME
with {JSON}` to say the arguments), or when the request forces one. Where the request has a schema for the answer, the
answer is an example of it, and where the last words ask for a `<summary>` there is one. A model named `error-429` (any
status from 400 to 599) answers with that error.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_QUOTE = 200
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Ask:
    """One request, as far as the answer depends on it."""

    model: str
    prompt: str
    """All text of the request, for counting tokens."""
    last_text: str
    """The text of the last user turn."""
    tools: Mapping[str, Mapping[str, Any]]
    """JSON schema of the arguments by name."""
    forced_tool: str | None
    has_tool_result: bool
    """The last turn brings the result of a tool, so it is time to answer."""
    stream: bool
    thinking: bool = False
    namespaces: Mapping[str, str] = field(default_factory=dict)
    """Of the tools that stand in one, by name."""
    free_form: Collection[str] = ()
    """Names of the tools that take text and not JSON."""
    answer_schema: Mapping[str, Any] | None = None
    """JSON schema that the answer must follow."""


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any]
    namespace: str | None = None
    free_form: str | None = None
    """What a tool that takes text gets instead of arguments."""

    @property
    def json(self) -> str:
        return json.dumps(self.arguments)


@dataclass(frozen=True)
class Reply:
    """One answer, before a dialect gives it its form."""

    id: str
    """24 hexadecimal digits, derived from the request."""
    model: str
    thinking: str
    text: str
    tool: ToolCall | None
    input_tokens: int
    output_tokens: int


class ApiError(Exception):
    """A refusal; each dialect has its own form for it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def count_tokens(text: str) -> int:
    """A token is four characters here, rounded up."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def think(ask: Ask) -> Reply:
    """Answer a request. Raises ApiError when the model's name asks for one."""
    if refused := re.fullmatch(r"error-([45]\d\d)", ask.model):
        raise ApiError(int(refused[1]), f"this model always answers {refused[1]}")
    tool = _tool_call(ask)
    text = "" if tool else _text(ask)
    thinking = "The user wants an answer. I shall repeat what was said." if ask.thinking else ""
    spoken = thinking + text + (tool.json if tool else "")
    identity = hashlib.sha256("\0".join([ask.model, ask.prompt, ask.last_text]).encode()).hexdigest()[:24]
    return Reply(identity, ask.model, thinking, text, tool, count_tokens(ask.prompt), count_tokens(spoken))


def pieces(text: str) -> Iterator[str]:
    """Cut a text into the deltas of a stream: words with the space before them. Joined they are the text again."""
    yield from re.findall(r"\s*\S+\s*$|\s*\S+", text)


def _text(ask: Ask) -> str:
    if ask.answer_schema:
        return json.dumps(_example(ask.answer_schema))
    quoted = " ".join(ask.last_text.split())
    if len(quoted) > _QUOTE:
        quoted = quoted[:_QUOTE] + "..."
    if "<summary>" in ask.last_text:
        return f"<analysis>There is little to say.</analysis>\n<summary>It was said: {quoted}</summary>"
    if ask.has_tool_result:
        return f"The tool has answered: {quoted}"
    return f"Hello from the fake provider. You said: {quoted}"


def _tool_call(ask: Ask) -> ToolCall | None:
    if ask.has_tool_result:
        return None
    name = ask.forced_tool or next((name for name in ask.tools if _asks_for(name, ask.last_text)), None)
    if name is None:
        return None
    if name not in ask.tools:
        raise ApiError(400, f"tool_choice names {name!r}, which is not among the tools")
    told = _told_arguments(name, ask.last_text)
    arguments = told or _example(ask.tools[name])
    text = str((told or {}).get("input", f"example for {name}")) if name in ask.free_form else None
    return ToolCall(name, arguments, ask.namespaces.get(name), text)


def _asks_for(name: str, text: str) -> bool:
    return _told(name, text) is not None


def _told(name: str, text: str) -> re.Match[str] | None:
    return re.search(rf"\b(?:use|call) the tool {re.escape(name)}\b", text, re.IGNORECASE)


def _told_arguments(name: str, text: str) -> dict[str, Any] | None:
    """The JSON object that follows `use the tool NAME with`."""
    told = _told(name, text)
    following = text[told.end() :].lstrip() if told else ""
    if not following.lower().startswith("with {"):
        return None
    try:
        arguments, _ = json.JSONDecoder().raw_decode(following[len("with ") :])
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _example(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that fit an object schema: its required properties, or all when none is required."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    names = schema.get("required") or list(properties)
    return {name: _example_value(properties.get(name, {}), name) for name in names}


def _example_value(schema: Mapping[str, Any], name: str) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if isinstance(kind, list) and kind:
        kind = kind[0]
    # Gemini's own schemas have the names in capitals.
    match kind.lower() if isinstance(kind, str) else kind:
        case "integer":
            return 1
        case "number":
            return 1.5
        case "boolean":
            return True
        case "array":
            return [_example_value(schema.get("items") or {}, name)]
        case "object":
            return _example(schema)
        case "null":
            return None
        case _:
            return f"example {name}"
