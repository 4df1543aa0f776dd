"""The Ollama dialect (`/api/chat`) of the fake provider."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ccinspect.demo.mind import ApiError, Ask, Reply, pieces

_CREATED = "2026-01-01T00:00:00Z"


def parse(body: Mapping[str, Any]) -> Ask:
    """Read a request. Raises ApiError(400) where the real API would refuse."""
    messages = body.get("messages")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise ApiError(400, "model is required")
    if not isinstance(messages, list) or not all(isinstance(item, dict) for item in messages):
        raise ApiError(400, "messages must be a list of objects")
    functions = [tool["function"] for tool in body.get("tools") or [] if isinstance(tool.get("function"), dict)]
    said = [message for message in messages if message.get("role") in ("user", "tool")]
    schema = body.get("format")
    return Ask(
        model=body["model"],
        prompt="\n".join(str(message.get("content") or "") for message in messages)
        + (json.dumps(functions) if functions else ""),
        last_text=str(said[-1].get("content") or "") if said else "",
        tools={function["name"]: function.get("parameters") or {} for function in functions},
        forced_tool=None,
        has_tool_result=bool(messages) and messages[-1].get("role") == "tool",
        # Ollama streams unless it is told not to.
        stream=body.get("stream") is not False,
        thinking=bool(body.get("think")),
        answer_schema=schema if isinstance(schema, dict) else None,
    )


def document(reply: Reply) -> dict[str, Any]:
    """The whole answer as one JSON object."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.thinking:
        message["thinking"] = reply.thinking
    if reply.tool:
        message["tool_calls"] = [_tool_call(reply)]
    return _frame(reply, message) | _end(reply)


def events(reply: Reply) -> Iterator[bytes]:
    """The answer as lines of JSON; a tool call comes whole."""
    for piece in pieces(reply.thinking):
        yield _line(_frame(reply, {"role": "assistant", "content": "", "thinking": piece}) | {"done": False})
    for piece in pieces(reply.text):
        yield _line(_frame(reply, {"role": "assistant", "content": piece}) | {"done": False})
    if reply.tool:
        message = {"role": "assistant", "content": "", "tool_calls": [_tool_call(reply)]}
        yield _line(_frame(reply, message) | {"done": False})
    yield _line(_frame(reply, {"role": "assistant", "content": ""}) | _end(reply))


def _frame(reply: Reply, message: dict[str, Any]) -> dict[str, Any]:
    return {"model": reply.model, "created_at": _CREATED, "message": message}


def _end(reply: Reply) -> dict[str, Any]:
    return {
        "done": True,
        "done_reason": "stop",
        "total_duration": 1_000_000,
        "load_duration": 1_000,
        "prompt_eval_count": reply.input_tokens,
        "prompt_eval_duration": 1_000,
        "eval_count": reply.output_tokens,
        "eval_duration": 1_000,
    }


def _tool_call(reply: Reply) -> dict[str, Any]:
    assert reply.tool is not None
    return {"function": {"name": reply.tool.name, "arguments": dict(reply.tool.arguments)}}


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def error(problem: ApiError) -> dict[str, Any]:
    """A refusal, in this dialect."""
    return {"error": problem.message}
