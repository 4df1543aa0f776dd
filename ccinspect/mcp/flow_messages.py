"""flow_messages: what was said in a model call, or over a WebSocket, in order."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import Field

from ccinspect.analysis.results import OpenedCall
from ccinspect.errors import NoModelCall
from ccinspect.mcp.answers import Answer, JsonObject, known, moment, page, short
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.flow_content import Flow
from ccinspect.mcp.tool import Tool
from ccinspect.policy.unreadable import masked
from ccinspect.wire.model import Block, Media, Refusal, Text, Thinking, ToolCall, ToolResult, Unknown

_MAX_PIECES = 20_000


class FlowMessages(Flow):
    offset: int = Field(0, description="Messages to leave out; -3 begins three from the end.")
    limit: int = Field(20, ge=1, le=100, description="Messages in one answer.")
    characters: int = Field(400, ge=20, le=10_000, description="Of each text.")


def flow_messages(captured: Captured, asked: FlowMessages) -> Answer:
    """What was said in a model call, whatever its dialect: system prompt, history, and at the end the answer.

    Of a flow that is no model call, the messages of its WebSocket or stream. `tokens` are scaled to the provider's.
    """
    with captured.analysis() as analysis:
        try:
            messages = list(_said(analysis.open_call(asked.flow), asked.characters))
        except NoModelCall:
            messages = []
    if not messages:
        return _pieces(captured, asked)
    return _from(messages, asked)


def _from(messages: list[JsonObject], asked: FlowMessages) -> Answer:
    start = max(0, len(messages) + asked.offset) if asked.offset < 0 else asked.offset
    return page("messages", messages, start, asked.limit, lambda message: message)


def _said(opened: OpenedCall, most: int) -> Iterable[JsonObject]:
    tokens: defaultdict[Any, int] = defaultdict(int)
    for part, count in zip(opened.parts, opened.tokens, strict=True):
        tokens[part.path[:2] if part.path[:1] == ("messages",) else part.path[:1]] += count
    request = opened.request
    if request.system:
        yield known(role="system", tokens=tokens[("system",)] or None, blocks=blocks_shown(request.system, most))
    for message in request.messages:
        counted = tokens[message.path[:2]] if message.path[:1] == ("messages",) else 0
        yield known(role=message.role, tokens=counted or None, blocks=blocks_shown(message.blocks, most))
    response = opened.response
    if response is not None:
        error = response.error
        yield known(
            role="answer",
            stop_reason=None if response.stop_reason is None else str(response.stop_reason),
            error=None if error is None else masked(short(error.message or str(error.kind), most)),
            blocks=blocks_shown(response.blocks, most),
        )


def blocks_shown(blocks: Iterable[Block], most: int) -> list[JsonObject]:
    """Blocks for a model: keys masked, each text cut to so many characters."""
    return [_block(block, most) for block in blocks]


def _block(block: Block, most: int) -> JsonObject:
    def cut(text: str) -> str:
        # Masked before it is cut: half a key is not known by its form any more.
        return short(masked(text), most)

    match block:
        case Text(text=text):
            return {"text": cut(text)}
        case Thinking(text=text):
            return {"thinking": cut(text) if text else "(sealed by the provider)"}
        case Refusal(text=text):
            return {"refusal": cut(text)}
        case ToolCall(name=name, arguments=arguments, id=ident):
            given = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            return known(tool_call=name, id=ident, arguments=cut(given))
        case ToolResult(call_id=ident, content=content, is_error=is_error):
            return known(tool_result=ident, error=is_error or None, content=blocks_shown(content, most))
        case Media(kind=kind, media_type=media_type, data=data, text=text):
            size = None if data is None else len(data) * 3 // 4
            return known(media=kind, type=media_type, bytes=size, text=None if text is None else cut(text))
        case Unknown(kind=kind, text=text):
            return {"unknown": kind, "text": cut(text)}
    return {"block": type(block).__name__}


def _pieces(captured: Captured, asked: FlowMessages) -> Answer:
    """Of a WebSocket, TCP or UDP."""
    found: list[JsonObject] = []
    notes: tuple[str, ...] = ()
    with captured.store() as store:
        record = store.get(asked.flow)
        for message in store.messages(str(record["id"])):
            if len(found) == _MAX_PIECES:
                notes = (f"only the first {_MAX_PIECES:,} messages were read",)
                break
            content = message["content"]
            text = None if content is None else masked(content[:100_000].decode("utf-8", "replace"))
            found.append(
                known(
                    seq=message["seq"],
                    by="client" if message["from_client"] else "server",
                    at=moment(message["timestamp"]),
                    bytes=message["size"],
                    text="(binary)" if content is not None and b"\0" in content[:4096] else text,
                )
            )
    if not found:
        raise NoModelCall(
            f"the flow {asked.flow} is no call to a model that can be read, and no stream of messages",
            "flow_outline and flow_body show what it is",
        )
    for one in found:
        one["text"] = short(one.get("text", "(not kept)"), asked.characters)
    answer = _from(found, asked)
    return Answer(answer.content, answer.total, answer.truncated, answer.next, notes)


TOOLS = (Tool(flow_messages, FlowMessages),)
