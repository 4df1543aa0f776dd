"""The OpenAI Responses dialect of the fake provider: documents and streams, made from a Reply."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ccinspect.demo.mind import ApiError, Ask, Reply, pieces
from ccinspect.demo.openai_chat import CREATED, text


def parse(body: Mapping[str, Any]) -> Ask:
    """Read a request. Raises ApiError(400) where the real API would refuse."""
    if not isinstance(body.get("model"), str):
        raise ApiError(400, "Missing required parameter: 'model'.")
    given = body.get("input")
    if not isinstance(given, str | list) or not given:
        raise ApiError(400, "Missing required parameter: 'input'.")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not all(isinstance(item, dict) for item in items):
        raise ApiError(400, "Invalid type for 'input': expected a list of objects.")
    functions = [tool for tool in body.get("tools") or [] if tool.get("type") == "function"]
    said = [item for item in items if item.get("role") == "user" or item.get("type") == "function_call_output"]
    choice = body.get("tool_choice")
    forced = choice.get("name") if isinstance(choice, dict) else None
    if choice == "required" and functions:
        forced = functions[0]["name"]
    return Ask(
        model=body["model"],
        prompt="\n".join([str(body.get("instructions") or ""), *(_text(item) for item in items)])
        + (json.dumps(functions) if functions else ""),
        last_text=_text(said[-1]) if said else "",
        tools={function["name"]: function.get("parameters") or {} for function in functions},
        forced_tool=forced,
        has_tool_result=items[-1].get("type") == "function_call_output",
        stream=body.get("stream") is True,
    )


def _text(item: Mapping[str, Any]) -> str:
    return text(item["output"] if item.get("type") == "function_call_output" else item.get("content"))


def document(reply: Reply) -> dict[str, Any]:
    """The whole answer as one JSON object."""
    return _frame(reply, "completed") | {"output": [_item(reply, "completed")], "usage": _usage(reply)}


def _frame(reply: Reply, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{reply.id}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": reply.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def _item(reply: Reply, status: str) -> dict[str, Any]:
    if reply.tool:
        return {
            "id": f"fc_{reply.id}",
            "type": "function_call",
            "status": status,
            "call_id": f"call_{reply.id}",
            "name": reply.tool.name,
            "arguments": reply.tool.json if status == "completed" else "",
        }
    content = [_part(reply.text)] if status == "completed" else []
    return {"id": f"msg_{reply.id}", "type": "message", "status": status, "role": "assistant", "content": content}


def _part(value: str) -> dict[str, Any]:
    return {"type": "output_text", "text": value, "annotations": [], "logprobs": []}


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def events(reply: Reply) -> Iterator[bytes]:
    """The answer as server-sent events, numbered, in the order of the real API."""
    for number, (name, data) in enumerate(_sequence(reply)):
        document = {"type": name, "sequence_number": number, **data}
        yield f"event: {name}\ndata: {json.dumps(document)}\n\n".encode()


def _sequence(reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "response.created", {"response": _frame(reply, "in_progress")}
    yield "response.in_progress", {"response": _frame(reply, "in_progress")}
    yield "response.output_item.added", {"output_index": 0, "item": _item(reply, "in_progress")}
    yield from _call_events(reply) if reply.tool else _text_events(reply)
    yield "response.output_item.done", {"output_index": 0, "item": _item(reply, "completed")}
    yield "response.completed", {"response": document(reply)}


def _call_events(reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    assert reply.tool is not None
    at = {"item_id": f"fc_{reply.id}", "output_index": 0}
    for piece in pieces(reply.tool.json):
        yield "response.function_call_arguments.delta", at | {"delta": piece}
    done = at | {"name": reply.tool.name, "arguments": reply.tool.json}
    yield "response.function_call_arguments.done", done


def _text_events(reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    at = {"item_id": f"msg_{reply.id}", "output_index": 0, "content_index": 0}
    yield "response.content_part.added", at | {"part": _part("")}
    for piece in pieces(reply.text):
        yield "response.output_text.delta", at | {"delta": piece, "logprobs": []}
    yield "response.output_text.done", at | {"text": reply.text, "logprobs": []}
    yield "response.content_part.done", at | {"part": _part(reply.text)}
