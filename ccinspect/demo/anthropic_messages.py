"""The Anthropic Messages dialect of the fake provider: documents and streams, made from a Reply."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ccinspect.demo.mind import ApiError, Ask, Reply, count_tokens, pieces

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_SIGNATURE = "ZmFrZSBwcm92aWRlciBzaWduYXR1cmU="


def parse(body: Mapping[str, Any]) -> Ask:
    """Read a request. Raises ApiError(400) where the real API would refuse."""
    for field, kind in (("model", str), ("max_tokens", int), ("messages", list)):
        if not isinstance(body.get(field), kind):
            raise ApiError(400, f"{field}: Field required")
    if not body["messages"]:
        raise ApiError(400, "messages: at least one message is required")
    return _ask(body)


def parse_count(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of count_tokens."""
    return {"input_tokens": count_tokens(_ask({"max_tokens": 1, **body}).prompt)}


def _ask(body: Mapping[str, Any]) -> Ask:
    messages = body.get("messages") or []
    if not all(isinstance(message, dict) for message in messages):
        raise ApiError(400, "messages: Input should be a valid dictionary")
    tools = body.get("tools") or []
    prompt = [_text(body.get("system")), *(_text(message.get("content")) for message in messages)]
    # The last turn of the user: Claude Code lets a message of role `system` follow it.
    said = [message for message in messages if message.get("role") == "user"]
    last = said[-1].get("content") if said else ""
    choice = body.get("tool_choice") or {}
    forced = choice.get("name") if choice.get("type") == "tool" else None
    if choice.get("type") == "any" and tools:
        forced = tools[0].get("name")
    return Ask(
        model=str(body.get("model")),
        prompt="\n".join(prompt) + (json.dumps(tools) if tools else ""),
        last_text=_last_text(last),
        tools={tool["name"]: tool.get("input_schema") or {} for tool in tools if isinstance(tool.get("name"), str)},
        forced_tool=forced,
        has_tool_result=isinstance(last, list) and any(block.get("type") == "tool_result" for block in last),
        stream=body.get("stream") is True,
        thinking=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
        answer_schema=((body.get("output_config") or {}).get("format") or body.get("output_format") or {}).get(
            "schema"
        ),
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            parts.append(str(block.get("text", "")))
        elif kind == "tool_result":
            parts.append(_text(block.get("content")))
        elif kind == "tool_use":
            parts.append(json.dumps(block.get("input")))
    return "\n".join(parts)


def _last_text(content: Any) -> str:
    """The last block that says something: agents put their own context into the blocks before it."""
    if not isinstance(content, list):
        return _text(content)
    return next((text for block in reversed(content) if (text := _text([block]))), "")


def document(reply: Reply) -> dict[str, Any]:
    """The whole answer as one JSON object."""
    return {
        "id": f"msg_{reply.id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": _blocks(reply),
        "stop_reason": _stop_reason(reply),
        "stop_sequence": None,
        "usage": _usage(reply, reply.output_tokens),
    }


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.thinking:
        blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": _SIGNATURE})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    if reply.tool:
        blocks.append(
            {
                "type": "tool_use",
                "id": f"toolu_{reply.id}",
                "name": reply.tool.name,
                "input": dict(reply.tool.arguments),
            }
        )
    return blocks


def _stop_reason(reply: Reply) -> str:
    return "tool_use" if reply.tool else "end_turn"


def _usage(reply: Reply, output: int) -> dict[str, Any]:
    return {
        "input_tokens": reply.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
    }


def events(reply: Reply) -> Iterator[bytes]:
    """The answer as server-sent events, in the order of the real API."""
    start = document(reply) | {"content": [], "stop_reason": None, "usage": _usage(reply, 1)}
    yield _event("message_start", {"message": start})
    for index, block in enumerate(_blocks(reply)):
        yield _event("content_block_start", {"index": index, "content_block": _empty(block)})
        if index == 0:
            yield _event("ping", {})
        for delta in _deltas(block):
            yield _event("content_block_delta", {"index": index, "delta": delta})
        yield _event("content_block_stop", {"index": index})
    end = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
    yield _event("message_delta", {"delta": end, "usage": {"output_tokens": reply.output_tokens}})
    yield _event("message_stop", {})


def _empty(block: Mapping[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case _:
            return {**block, "input": {}}


def _deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            yield from ({"type": "text_delta", "text": piece} for piece in pieces(block["text"]))
        case "thinking":
            yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"]))
            yield {"type": "signature_delta", "signature": block["signature"]}
        case _:
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in pieces(json.dumps(block["input"])):
                yield {"type": "input_json_delta", "partial_json": piece}


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def error(problem: ApiError, request_id: str) -> dict[str, Any]:
    """A refusal, in this dialect."""
    kind = _ERROR_TYPES.get(problem.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": problem.message}, "request_id": request_id}


def models(names: list[str]) -> dict[str, Any]:
    """The list of models."""
    data = [model(name) for name in names]
    return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}


def model(name: str) -> dict[str, Any]:
    """One model."""
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
