"""The OpenAI Chat Completions dialect of the fake provider, and what its whole API shares: errors and models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ccinspect.demo.mind import ApiError, Ask, Reply, pieces

# Answers must be the same every time, so time stands still.
CREATED = 1_767_225_600

_ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


def parse(body: Mapping[str, Any]) -> Ask:
    """Read a request. Raises ApiError(400) where the real API would refuse."""
    messages = body.get("messages")
    if not isinstance(body.get("model"), str):
        raise ApiError(400, "you must provide a model parameter")
    if not isinstance(messages, list) or not messages or not all(isinstance(item, dict) for item in messages):
        raise ApiError(400, "Missing required parameter: 'messages'.")
    functions = [tool["function"] for tool in body.get("tools") or [] if isinstance(tool.get("function"), dict)]
    said = [message for message in messages if message.get("role") in ("user", "tool")]
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = choice["allowed_tools"]
        forced = allowed["tools"][0]["function"]["name"] if allowed["mode"] == "required" else None
    else:
        forced = choice["function"]["name"] if isinstance(choice, dict) else None
    if choice == "required" and functions:
        forced = functions[0]["name"]
    return Ask(
        model=body["model"],
        prompt="\n".join(text(message.get("content")) for message in messages)
        + (json.dumps(functions) if functions else ""),
        last_text=text(said[-1].get("content")) if said else "",
        tools={function["name"]: function.get("parameters") or {} for function in functions},
        forced_tool=forced,
        has_tool_result=messages[-1].get("role") == "tool",
        stream=body.get("stream") is True,
        answer_schema=((body.get("response_format") or {}).get("json_schema") or {}).get("schema"),
    )


def text(content: Any) -> str:
    """The text of a message's content, a string or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))


def document(reply: Reply) -> dict[str, Any]:
    """The whole answer as one JSON object."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.tool:
        message["tool_calls"] = [_tool_call(reply)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}
    return {**_frame(reply, "chat.completion"), "choices": [choice], "usage": _usage(reply)}


def _frame(reply: Reply, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{reply.id}",
        "object": kind,
        "created": CREATED,
        "model": reply.model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


def _tool_call(reply: Reply) -> dict[str, Any]:
    assert reply.tool is not None
    function = {"name": reply.tool.name, "arguments": reply.tool.json}
    return {"id": f"call_{reply.id}", "type": "function", "function": function}


def _finish_reason(reply: Reply) -> str:
    return "tool_calls" if reply.tool else "stop"


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def events(reply: Reply, include_usage: bool) -> Iterator[bytes]:
    """The answer as server-sent events; usage comes only when asked for, as with the real API."""
    frame = _frame(reply, "chat.completion.chunk")
    if include_usage:
        frame["usage"] = None
    for delta in _deltas(reply):
        yield _data(frame | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]})
    end = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": _finish_reason(reply)}
    yield _data(frame | {"choices": [end]})
    if include_usage:
        yield _data(frame | {"choices": [], "usage": _usage(reply)})
    yield b"data: [DONE]\n\n"


def _deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    if not reply.tool:
        yield {"role": "assistant", "content": "", "refusal": None}
        yield from ({"content": piece} for piece in pieces(reply.text))
        return
    call = _tool_call(reply)
    opening = {"index": 0, **call, "function": {**call["function"], "arguments": ""}}
    yield {"role": "assistant", "content": None, "tool_calls": [opening]}
    for piece in pieces(reply.tool.json):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _data(document: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


def error(problem: ApiError) -> dict[str, Any]:
    """A refusal, in this dialect."""
    kind = _ERROR_TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
    return {"error": {"message": problem.message, "type": kind, "param": None, "code": None}}


def models(names: list[str]) -> dict[str, Any]:
    """The list of models."""
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> dict[str, Any]:
    """One model."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "fake"}
