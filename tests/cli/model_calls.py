"""Captured model calls, as the proxy hands them to the recorder."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import http_flow

JSON = [[b"Content-Type", b"application/json"]]
AGENT = [[b"User-Agent", b"claude-cli/2.1.3 (external, cli)"]]
TOOLS = [
    {"name": "Bash", "description": "Run a command. " * 20, "input_schema": {"type": "object"}},
    {"name": "mcp__github__search", "description": "Search the code. " * 60, "input_schema": {"type": "object"}},
]
SYSTEM = "You are an agent that works on a repository. " * 40

Message = dict[str, Any]


def user(content: Any) -> Message:
    return {"role": "user", "content": content}


def assistant(content: Any) -> Message:
    return {"role": "assistant", "content": content}


def tool_use(command: str, ident: str = "toolu_1") -> Message:
    return {"type": "tool_use", "id": ident, "name": "Bash", "input": {"command": command}}


def tool_result(content: str, ident: str = "toolu_1") -> Message:
    return {"type": "tool_result", "tool_use_id": ident, "content": content}


def anthropic_call(
    number: int,
    messages: list[Message],
    answer: list[Message],
    usage: dict[str, int] | None = None,
    *,
    body: dict[str, Any] | None = None,
    path: str = "/v1/messages",
    headers: list[list[bytes]] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A finished call of the Messages API; `number` decides its id and its time."""
    asked = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 1000,
        "system": SYSTEM,
        "tools": TOOLS,
        "messages": messages,
    } | (body or {})
    said = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": answer,
        "stop_reason": "tool_use" if any(block.get("type") == "tool_use" for block in answer) else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1500, "output_tokens": 50} | (usage or {}),
    }
    return http_flow(
        number,
        request={"path": path, "headers": [*JSON, *AGENT, *(headers or [])]},
        response={"headers": JSON},
        request_body=json.dumps(asked).encode(),
        response_body=json.dumps(said).encode(),
        **changes,
    )


def openai_call(number: int, text: str, *, usage: bool = True, model: str = "gpt-4o", **changes: Any) -> dict[str, Any]:
    """A finished call of Chat Completions; without `usage` its tokens can only be estimated."""
    asked = {"model": model, "messages": [{"role": "user", "content": text}]}
    said: dict[str, Any] = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    }
    if usage:
        said["usage"] = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}
    host = {"host": "api.openai.com", "pretty_host": "api.openai.com"}
    agent = [[b"User-Agent", b"OpenAI/Python 2.1.0"]]
    return http_flow(
        number,
        request={"path": "/v1/chat/completions", "headers": [*JSON, *agent], **host},
        response={"headers": JSON},
        request_body=json.dumps(asked).encode(),
        response_body=json.dumps(said).encode(),
        **changes,
    )


def two_turns() -> list[dict[str, Any]]:
    """A question, a tool call, and the answer: one conversation of flows 1 and 2, the second from the cache."""
    asked = [user("Which branch is this?")]
    ran = [tool_use("git branch")]
    told = [*asked, assistant(ran), user([tool_result("* main\n  other")])]
    return [
        anthropic_call(1, asked, ran, {"input_tokens": 100, "cache_creation_input_tokens": 1400}),
        anthropic_call(
            2, told, [{"type": "text", "text": "main"}], {"input_tokens": 90, "cache_read_input_tokens": 1400}
        ),
    ]
