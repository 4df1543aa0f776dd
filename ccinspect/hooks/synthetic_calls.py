"""Tool calls that no model made, and their results, put into the history before the last user message.

Providers refuse a history in which a call and its result are parted, that begins with the model, or in which the model
did not think where it should have. So the place is moved back, or there is none for now.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ccinspect.wire.jsontext import as_list, as_object
from ccinspect.wire.model import Json, JsonObject

OPENER = "Background tasks have reported."
"""What the user says where a history may not begin with the model."""


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    name: str
    arguments: JsonObject
    result: str


Insert = Callable[[list[Call]], None]


def place_for(dialect: str, body: Json) -> Insert | None:
    """What puts calls into `body` (in place); None where they cannot stand now. Never raises."""
    finder = _FINDERS.get(dialect)
    return finder(body) if finder is not None and isinstance(body, dict) else None


def _last(messages: list[Any], roles: tuple[str | None, ...]) -> int | None:
    found = (at for at in range(len(messages) - 1, -1, -1) if as_object(messages[at]).get("role") in roles)
    return next((at for at in found if isinstance(messages[at], dict)), None)


def _anthropic(body: JsonObject) -> Insert | None:
    messages = body.get("messages")
    if not isinstance(messages, list) or (at := _last(messages, ("user",))) is None:
        return None
    thinks = as_object(body.get("thinking")).get("type") in ("enabled", "adaptive")
    if thinks or _has(messages[at].get("content"), "tool_result"):
        # A result stands right after its call; and the last thing the model said has to begin with its thinking.
        while at and as_object(messages[at - 1]).get("role") == "assistant":
            at -= 1
    if thinks and not any(as_object(each).get("role") == "assistant" for each in messages[at:]):
        return None

    def insert(calls: list[Call]) -> None:
        uses = [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in calls]
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": call.result} for call in calls]
        new = [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
        messages[at:at] = new if at else [{"role": "user", "content": OPENER}, *new]
        if not body.get("tools"):
            # Calls may only stand in a request that has tools. This one is not to be called.
            body["tools"] = [_definition(name) for name in dict.fromkeys(call.name for call in calls)]
            body["tool_choice"] = {"type": "none"}

    return insert


def _definition(name: str) -> JsonObject:
    schema = {"type": "object", "properties": {"taskId": {"type": "string"}}, "required": ["taskId"]}
    return {"name": name, "description": "What a background task has reported.", "input_schema": schema}


def _has(content: Json, kind: str) -> bool:
    return any(as_object(block).get("type") == kind for block in as_list(content))


def _openai_chat(body: JsonObject) -> Insert | None:
    messages = body.get("messages")
    if not isinstance(messages, list) or (at := _last(messages, ("user",))) is None:
        return None

    def insert(calls: list[Call]) -> None:
        made = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in calls
        ]
        results = [{"role": "tool", "tool_call_id": call.id, "content": call.result} for call in calls]
        messages[at:at] = [{"role": "assistant", "content": None, "tool_calls": made}, *results]

    return insert


def _openai_responses(body: JsonObject) -> Insert | None:
    items = body.get("input")
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    if not isinstance(items, list) or (at := _last(items, ("user",))) is None:
        return None

    def insert(calls: list[Call]) -> None:
        new: list[JsonObject] = []
        for call in calls:
            arguments = json.dumps(call.arguments)
            new.append({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments})
            new.append({"type": "function_call_output", "call_id": call.id, "output": call.result})
        items[at:at] = new
        body["input"] = items

    return insert


def _gemini(body: JsonObject) -> Insert | None:
    contents = body.get("contents")
    if not isinstance(contents, list):
        return None
    # Before the user's own words, never within the model's turn: there, calls have to be signed.
    spoken = [at for at, each in enumerate(contents) if _is_spoken(each)]
    if not spoken:
        return None

    def insert(calls: list[Call]) -> None:
        made = [{"functionCall": {"name": call.name, "args": call.arguments}} for call in calls]
        results = [{"functionResponse": {"name": call.name, "response": {"output": call.result}}} for call in calls]
        contents[spoken[-1] : spoken[-1]] = [
            # A call has to follow what the user said.
            {"role": "user", "parts": [{"text": OPENER}]},
            {"role": "model", "parts": made},
            {"role": "user", "parts": results},
        ]

    return insert


def _is_spoken(content: Json) -> bool:
    raw = as_object(content)
    said = bool(raw) and raw.get("role", "user") == "user"
    return said and not any("functionResponse" in as_object(part) for part in as_list(raw.get("parts")))


def _ollama(body: JsonObject) -> Insert | None:
    messages = body.get("messages")
    if not isinstance(messages, list) or (at := _last(messages, ("user",))) is None:
        return None

    def insert(calls: list[Call]) -> None:
        made = [{"function": {"name": call.name, "arguments": call.arguments}} for call in calls]
        results = [{"role": "tool", "tool_name": call.name, "content": call.result} for call in calls]
        messages[at:at] = [{"role": "assistant", "content": "", "tool_calls": made}, *results]

    return insert


_FINDERS: dict[str, Callable[[JsonObject], Insert | None]] = {
    "anthropic": _anthropic,
    "openai_chat": _openai_chat,
    "openai_responses": _openai_responses,
    "gemini": _gemini,
    "ollama": _ollama,
}
DIALECTS = frozenset(_FINDERS)
