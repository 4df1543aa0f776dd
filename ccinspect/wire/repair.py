"""Requests that a provider would refuse, made acceptable: every tool call has its result, every result its call, the
tool that is to be called is one of the request's, and there are no more stop sequences than the target takes. What
cannot be mended, since a part of the request lies with the sender's provider, is named.

Used only when a request goes to another dialect; at home all this is the sender's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ccinspect.wire.codec import Notes, coalesce
from ccinspect.wire.model import Block, Message, Request, Text, ToolCall, ToolChoice, ToolResult, Unknown

NO_RESULT = "(no result was recorded for this call)"

_KEPT_BY_PROVIDER = {
    ("openai_responses", "prompt"): "the prompt that OpenAI keeps",
    ("gemini", "cachedContent"): "the cached content that Google keeps",
    ("gemini", "cached_content"): "the cached content that Google keeps",
}
"""Fields of a request that stand for a part of it: (dialect, field)."""


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


def choice_among(request: Request, notes: Notes) -> ToolChoice | None:
    """The choice of tools, without those that the target does not get."""
    choice = request.tool_choice
    if choice is None or notes.home:
        return choice
    there = {tool.name for tool in request.tools if tool.kind in ("function", "custom")}
    chosen = tuple(name for name in choice.names if name in there)
    wanted = [name for name in choice.names if name not in there]
    if there and not wanted:
        return choice
    if choice.mode in ("required", "tool") or wanted:
        what = f"{', '.join(map(repr, wanted))} cannot be called" if wanted else "no tool is left that could be called"
        notes.lost("tool_choice_dropped", what, ("tool_choice",))
    if not there:
        return None
    if chosen or choice.mode == "none":
        return replace(choice, names=chosen)
    return replace(choice, mode="auto", names=())


def name_missing(request: Request, notes: Notes) -> None:
    """Name as an error what is only with the sender's provider: an answer without it would be one to something else."""
    missing: list[str] = []
    if request.previous_response_id is not None:
        missing.append("the history before previous_response_id")
    if request.dialect == "openai_responses":
        if request.conversation_id is not None:
            missing.append("the history of the conversation")
        blocks = (block for message in request.messages for block in message.blocks)
        if any(isinstance(block, Unknown) and block.kind == "item_reference" for block in blocks):
            missing.append("an item that is only referred to (item_reference)")
    missing += [
        what
        for (dialect, field), what in _KEPT_BY_PROVIDER.items()
        if dialect == request.dialect and request.extra.get(field)
    ]
    for what in missing:
        notes.note("error", "history_missing", f"{what} is not in the request")


def stops_among(stops: tuple[str, ...], limit: int, notes: Notes) -> list[str] | None:
    """The stop sequences, as many as the target takes; None when there are none."""
    told = stops if notes.home else tuple(stop for stop in stops if stop)[:limit]
    if len(told) < len(stops):
        notes.lost("stop_dropped", f"{len(stops) - len(told)} stop sequences: {notes.target} takes {limit}")
    return list(told) or None
