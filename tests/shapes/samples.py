"""Shapes and requests that tests begin with."""

from __future__ import annotations

import json
from typing import Any

from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.shapes.capture import Seen
from ccinspect.shapes.fill import Filled, fill
from ccinspect.shapes.shape import Shape

PATHS = {
    "anthropic": "/v1/messages",
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "gemini": "/v1beta/models/gemini-3-pro:generateContent",
    "ollama": "/api/chat",
}


def shape(dialect: str = "anthropic", **fields: Any) -> Shape:
    return Shape.model_validate({"name": "sample", "dialect": dialect, "path": PATHS[dialect]} | fields)


def outgoing(
    body: Any, dialect: str = "anthropic", headers: dict[str, str] | None = None, path: str | None = None
) -> Outgoing:
    fields = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return Outgoing("POST", "https", "provider.example", 443, path or PATHS[dialect], Headers(fields), data)


def facts(agent: str | None = None) -> Facts:
    return Facts("flow", "reverse", agent=agent)


def filled(template: Shape, body: Any, headers: dict[str, str] | None = None, path: str | None = None) -> Filled:
    """The request put into the shape, which must not have been skipped."""
    result = fill(template, outgoing(body, template.dialect, headers, path), facts(), lambda: "new-id")
    assert result.skipped is None
    return result


def body_of(result: Filled) -> Any:
    assert result.outgoing.body is not None
    return json.loads(result.outgoing.body)


def seen(body: Any, dialect: str = "anthropic", headers: list[tuple[str, str]] | None = None, **fields: Any) -> Seen:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Seen(
        **{"method": "POST", "path": PATHS[dialect], "headers": headers or [], "body": data, "flow": "f1"} | fields
    )
