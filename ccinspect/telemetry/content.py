"""What was said, in the form of the conventions' JSON schemas: only for who set `otel.capture_content`.

Keys of well-known services are masked in all of it: whoever wants prompts in a backend does not want its users to have
the keys that stand in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ccinspect.policy.unreadable import masked, masked_json
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

MOST = 750_000
"""Bytes of one attribute: all four of a span must fit into the 4 MB that a collector takes by default."""
MOST_ARGUMENTS = 32_000
"""Bytes of a tool's arguments: they are kept until its result comes."""
_SHORTEST = 100

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
    found = {names.INPUT_MESSAGES: _newest([_message(one) for one in request.messages])}
    if request.system:
        found[names.SYSTEM_INSTRUCTIONS] = _text(_parts(request.system))
    if request.tools:
        found[names.TOOL_DEFINITIONS] = _text([{"type": "function", "name": tool.name} for tool in request.tools])
    if response is not None and response.error is None:
        found[names.OUTPUT_MESSAGES] = _text(_answers(response))
    return found


def arguments_text(arguments: object) -> str:
    """The arguments of a tool call as JSON, or the text they came as."""
    if isinstance(arguments, str):
        return _cut(masked(arguments), MOST_ARGUMENTS)
    return _fitting(arguments, MOST_ARGUMENTS)


def result_text(result: ToolResult) -> str:
    return _text(_plain(result.content))


def _newest(messages: list[Json]) -> str:
    """The messages as JSON; of too long a conversation the newest that fit, and before them how many are missing."""
    kept: list[str] = []
    room = MOST - 1_000
    for number, message in enumerate(reversed(messages)):
        hidden = masked_json(message)
        written = _written(hidden)
        if _size(written) > room and not kept:
            written = _cut_to(hidden, room)
        room -= _size(written) + 1
        if room < 0:
            kept.append(_written({"role": "system", "parts": [_left_out(messages=len(messages) - number)]}))
            break
        kept.append(written)
    return f"[{','.join(reversed(kept))}]"


def _text(value: Json) -> str:
    return _fitting(value, MOST)


def _fitting(value: Json, most: int) -> str:
    """A message, part or list of them as JSON of so many bytes at most; long texts are cut where it is too long."""
    # Before anything is cut: half a key is not known as one.
    return _cut_to(masked_json(value), most)


def _cut_to(value: Json, most: int) -> str:
    written = _written(value)
    longest = most // 2
    while _size(written) > most and longest > _SHORTEST:
        written = _written(_shortened(value, longest))
        longest //= 4
    return written if _size(written) <= most else _written(_left_out(characters=len(written)))


def _shortened(value: Json, most: int) -> Json:
    if isinstance(value, str):
        return _cut(value, most)
    if isinstance(value, dict):
        return {name: _shortened(item, most) for name, item in value.items()}
    return [_shortened(item, most) for item in value] if isinstance(value, list | tuple) else value


def _cut(text: str, most: int) -> str:
    if _size(text) <= most:
        return text
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore") + "…"


def _left_out(**counts: int) -> Json:
    return {"type": "ccinspect.left_out", **counts}


def _written(value: Json) -> str:
    # Lone surrogates cannot be put into protobuf.
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return written.encode("utf-8", "replace").decode()


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


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
        case ToolCall(id=ident, name=name, arguments=arguments, kind=kind, executor="provider"):
            details = {"type": kind, "arguments": arguments}
            return {"type": "server_tool_call", "id": ident, "name": name, "server_tool_call": details}
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
    return {"role": role, "parts": [_size_of(block) for block in blocks]}


def _size_of(block: Block) -> Json:
    """Kind and length in characters; of a tool its name too."""
    match block:
        case ToolCall(name=name, arguments=arguments):
            size = len(arguments) if isinstance(arguments, str) else len(json.dumps(arguments, default=str))
            return {"type": "tool_call", "name": name, "size": size}
        case ToolResult(content=content):
            return {"type": "tool_call_response", "size": sum(_size_of(inner)["size"] for inner in content)}
        case Media(kind=kind, data=data, text=text):
            return {"type": kind, "size": len(data or text or "")}
        case Text(text=text) | Refusal(text=text) | Thinking(text=text) | Unknown(text=text):
            return {"type": type(block).__name__.lower(), "size": len(text)}
    return {"type": type(block).__name__.lower(), "size": 0}
