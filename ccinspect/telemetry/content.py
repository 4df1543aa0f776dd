"""What was said, in the form of the conventions' JSON schemas: only for who set `otel.capture_content`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ccinspect.telemetry import names
from ccinspect.telemetry.spans import Attributes
from ccinspect.wire.model import (
    Block,
    Media,
    Message,
    Refusal,
    Request,
    Response,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
)

MOST = 1_000_000
"""Characters of one attribute; collectors refuse messages of a few megabytes."""

_FINISH = {
    StopReason.END_TURN: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.MAX_TOKENS: "length",
    StopReason.CONTEXT_WINDOW: "length",
    StopReason.TOOL_USE: "tool_call",
    StopReason.REFUSAL: "content_filter",
    StopReason.CONTENT_FILTER: "content_filter",
    StopReason.ERROR: "error",
}

Json = Any


def content_of(request: Request, response: Response | None, capture: str) -> Attributes:
    """The attributes that `capture` (`none`, `metadata`, `full`) allows."""
    if capture == "none":
        return {}
    if capture == "metadata":
        found: Attributes = {names.INPUT_OUTLINE: _text(_outline(request))}
        if response is not None:
            found[names.OUTPUT_OUTLINE] = _text([_sizes("assistant", response.blocks)])
        return found
    found = {names.INPUT_MESSAGES: _text([_message(one) for one in request.messages])}
    if request.system:
        found[names.SYSTEM_INSTRUCTIONS] = _text(_parts(request.system))
    if request.tools:
        found[names.TOOL_DEFINITIONS] = _text([{"type": "function", "name": tool.name} for tool in request.tools])
    if response is not None and response.error is None:
        found[names.OUTPUT_MESSAGES] = _text(_answers(response))
    return found


def arguments_text(arguments: object) -> str:
    """The arguments of a tool call as JSON, or the text they came as."""
    return arguments[:MOST] if isinstance(arguments, str) else _text(arguments)


def result_text(result: ToolResult) -> str:
    return _text(_plain(result.content))


def _text(value: Json) -> str:
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    if len(written) > MOST:
        written = json.dumps([{"type": "ccinspect.truncated", "characters": len(written)}])
    # Lone surrogates cannot be put into protobuf.
    return written.encode("utf-8", "replace").decode()


def _answers(response: Response) -> list[Json]:
    finish = _FINISH.get(response.stop_reason, "stop") if response.stop_reason else "error"
    return [
        {"role": "assistant", "parts": _parts(blocks), "finish_reason": finish}
        for blocks in (response.blocks, *response.alternatives)
    ]


def _message(message: Message) -> Json:
    said = {"role": message.role, "parts": _parts(message.blocks)}
    return said | ({"name": message.name} if message.name else {})


def _parts(blocks: Iterable[Block]) -> list[Json]:
    return [_part(block) for block in blocks]


def _part(block: Block) -> Json:
    match block:
        case Text(text=text) | Refusal(text=text):
            return {"type": "text", "content": text}
        case Thinking(text=text):
            return {"type": "reasoning", "content": text}
        case ToolCall(id=ident, name=name, arguments=arguments):
            return {"type": "tool_call", "id": ident, "name": name, "arguments": arguments}
        case ToolResult(call_id=ident):
            return {"type": "tool_call_response", "id": ident, "response": _plain(block.content)}
        case Media(kind=kind, media_type=media_type, url=url, file_id=file_id):
            place = {"uri": url} if url else {"file_id": file_id} if file_id else {}
            return {"type": "uri" if url else "file" if file_id else "ccinspect.media", "modality": kind,
                    "mime_type": media_type, "characters": len(block.data or block.text or ""), **place}  # fmt: skip
        case Unknown(kind=kind, text=text):
            return {"type": kind or "unknown", "content": text}
    return {"type": type(block).__name__.lower()}


def _plain(blocks: tuple[Block, ...]) -> Json:
    if all(isinstance(block, Text) for block in blocks):
        return "".join(block.text for block in blocks if isinstance(block, Text))
    return _parts(blocks)


def _outline(request: Request) -> list[Json]:
    system = [_sizes("system", request.system)] if request.system else []
    return system + [_sizes(message.role, message.blocks) for message in request.messages]


def _sizes(role: str, blocks: Iterable[Block]) -> Json:
    return {"role": role, "parts": [_size(block) for block in blocks]}


def _size(block: Block) -> Json:
    """Kind and length in characters; of a tool its name too."""
    match block:
        case ToolCall(name=name, arguments=arguments):
            size = len(arguments) if isinstance(arguments, str) else len(json.dumps(arguments, default=str))
            return {"type": "tool_call", "name": name, "size": size}
        case ToolResult(content=content):
            return {"type": "tool_call_response", "size": sum(_size(inner)["size"] for inner in content)}
        case Media(kind=kind, data=data, text=text):
            return {"type": kind, "size": len(data or text or "")}
        case Text(text=text) | Refusal(text=text) | Thinking(text=text) | Unknown(text=text):
            return {"type": type(block).__name__.lower(), "size": len(text)}
    return {"type": type(block).__name__.lower(), "size": 0}
