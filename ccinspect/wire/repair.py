"""Histories that a provider would refuse, made acceptable: every tool call has its result, and every result its call.

Used only when a request goes to another dialect; at home the sender's history is the sender's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ccinspect.wire.codec import Notes, coalesce
from ccinspect.wire.model import Block, Message, Text, ToolCall, ToolResult

NO_RESULT = "(no result was recorded for this call)"


def pair_tools(messages: Iterable[Message], notes: Notes) -> list[Message]:
    """Give every call and result an id, insert a result for each unanswered call that something follows, and turn
    results without a call into text."""
    out: list[Message] = []
    calls: dict[str, str] = {}
    for role, group in coalesce(_not_empty(messages, notes), _side):
        if role == "assistant":
            group = _named(group, len(out))
            out += group
            calls = {
                block.id: block.name
                for message in group
                for block in message.blocks
                if isinstance(block, ToolCall) and block.executor == "client"
            }
            continue
        waiting = dict(calls)
        answers = [_adopt(message, calls, waiting, notes) for message in group]
        for call_id, name in waiting.items():
            notes.note("warning", "orphan_tool_call", f"call {call_id!r} of {name!r} has no result", group[0].path)
            out.append(Message("tool", (ToolResult(call_id, name, (Text(NO_RESULT),), is_error=True),)))
        out += answers
        calls = {}
    return out


def _side(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"


def _not_empty(messages: Iterable[Message], notes: Notes) -> Iterable[Message]:
    for message in messages:
        if message.blocks:
            yield message
        elif not (isinstance(message.raw, dict) and message.raw.get("type") == "additional_tools"):
            # An item that only brings tools is told with the tools.
            notes.note("info", "empty_message_dropped", "a message without content", message.path)


def _named(group: list[Message], base: int) -> list[Message]:
    """The messages with an id for each call; Gemini and Ollama need none."""
    return [
        replace(
            message,
            blocks=tuple(
                replace(block, id=f"call_{base + number}_{index}")
                if isinstance(block, ToolCall) and not block.id
                else block
                for index, block in enumerate(message.blocks)
            ),
        )
        if any(isinstance(block, ToolCall) and not block.id for block in message.blocks)
        else message
        for number, message in enumerate(group)
    ]


def _adopt(message: Message, calls: dict[str, str], waiting: dict[str, str], notes: Notes) -> Message:
    """Match the results of one message with the calls; those matched are taken from `waiting`."""
    if not any(_is_result(block) for block in message.blocks):
        return message
    blocks: list[Block] = []
    for block in message.blocks:
        if not isinstance(block, ToolResult) or block.executor != "client":
            blocks.append(block)
            continue
        call_id = block.call_id or _by_name(block.name, waiting)
        if call_id in calls:
            waiting.pop(call_id, None)
            blocks.append(replace(block, call_id=call_id, name=block.name or calls[call_id]))
        else:
            notes.note("warning", "orphan_tool_result", f"no call has the id {block.call_id!r}", block.path)
            blocks += block.content
    role = message.role if any(map(_is_result, blocks)) else "user"
    return replace(message, role=role, blocks=tuple(blocks))


def _is_result(block: Block) -> bool:
    return isinstance(block, ToolResult) and block.executor == "client"


def _by_name(name: str | None, waiting: dict[str, str]) -> str:
    """The first call waiting for a result by this name, or the first of all."""
    same = [call_id for call_id, called in waiting.items() if called == name]
    return next(iter(same or waiting), "")
