"""Identity: one short hash for everything that is the same thing sent again.

Cache markers, signatures and ids play no part in a block's identity, nor do the lines that an agent changes with
each call: so a block counted once is known for good. The chain's links do hold the ids of calls, because they tell
two conversations apart that happen to say the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any

from ccinspect.wire.jsontext import dump_text
from ccinspect.wire.model import (
    Block,
    Json,
    Media,
    Message,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unknown,
)

_SIZE = 16
# Claude Code starts its system prompt with this line and gives it another value in each call.
_VOLATILE = re.compile(r"\A(?:x-anthropic-billing-header:[^\n]*(?:\n|\Z))+")


def digest(*parts: str) -> str:
    """32 hexadecimal characters that stand for these parts, in this order and with these borders."""
    borders = ",".join(map(str, map(len, parts)))
    return _hash(f"{borders}:{''.join(parts)}")


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_SIZE).hexdigest()


# One encoder for all: making one takes longer than writing a call's arguments.
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def _text_of(value: Json) -> str:
    try:
        return value if isinstance(value, str) else _write(value)
    except (TypeError, ValueError, RecursionError):
        return dump_text(value)


def split_volatile(text: str) -> tuple[str, str]:
    """(the lines at the start that change with each call, the text without them)."""
    if not text.startswith("x-anthropic-"):
        return "", text
    match = _VOLATILE.match(text)
    return (match[0], text[match.end() :]) if match else ("", text)


def block_identity(block: Block) -> str:
    """The identity of a content block."""
    # By far the most blocks are texts, and hashing them is most of what their next turn costs.
    if type(block) is Text:
        return _hash(f"text:{split_volatile(block.text)[1]}")
    identify = _IDENTITIES.get(type(block))
    return identify(block) if identify else digest(type(block).__name__, _text_of(_unmarked(block.raw)))


def _thinking(block: Thinking) -> str:
    # Signatures are no part of what is thought, but of sealed thinking they are all there is.
    sealed = block.signature.value if block.redacted and block.signature else ""
    return digest("thinking", block.text, sealed)


def _call(block: ToolCall) -> str:
    return digest("call", block.name, block.server or "", _text_of(block.arguments))


def _result(block: ToolResult) -> str:
    return digest("result", "error" if block.is_error else "", *[block_identity(inner) for inner in block.content])


def _media(block: Media) -> str:
    content = block.data or block.url or block.file_id or block.text or ""
    return digest("media", block.kind, block.media_type or "", block.detail or "", content)


def _refusal(block: Refusal) -> str:
    return digest("refusal", block.text)


def _unknown(block: Unknown) -> str:
    return digest("unknown", block.kind, _text_of(_unmarked(block.raw)), block.text)


_IDENTITIES: dict[type[Block], Callable[[Any], str]] = {
    Thinking: _thinking,
    ToolCall: _call,
    ToolResult: _result,
    Media: _media,
    Refusal: _refusal,
    Unknown: _unknown,
}


def _unmarked(raw: Json) -> Json:
    if isinstance(raw, dict) and "cache_control" in raw:
        return {key: value for key, value in raw.items() if key != "cache_control"}
    return raw


def tool_identity(tool: Tool) -> str:
    """The identity of a tool definition."""
    if tool.schema is None:
        return digest("tool", tool.kind, tool.name, _text_of(_unmarked(tool.raw)))
    return digest("tool", tool.kind, tool.server or "", tool.name, tool.description or "", _text_of(tool.schema))


def chain_link(before: str, message: Message, identities: Sequence[str]) -> str:
    """The hash of a message, whose blocks have these identities, and of all before it, which have the hash `before`.

    Two messages of one role in a row give the same as one with the blocks of both: some dialects tell apart what
    others put together, and providers put together what agents send in pieces.
    """
    role = "system" if message.role == "developer" else message.role
    link = before
    for block, identity in zip(message.blocks, identities, strict=True):
        link = digest(link, role, identity, _call_id(block))
    return link


def _call_id(block: Block) -> str:
    if isinstance(block, ToolCall):
        return block.id
    return block.call_id if isinstance(block, ToolResult) else ""


def said_hash(blocks: Iterable[Block]) -> str | None:
    """What an answer says, by its words and the calls it makes, or None when that is nothing.

    Answers come back as history in another shape: thinking left out, arguments spelled anew, texts joined. This
    hash stays the same through that.
    """
    words = "".join("".join(block.text.split()) for block in blocks if isinstance(block, Text | Refusal))
    calls = [f"{block.server or ''}/{block.name}" for block in blocks if isinstance(block, ToolCall)]
    return digest("said", words, *calls) if words or calls else None


def request_chain(request: Request) -> tuple[list[str], list[list[str]]]:
    """(for each message, the hash of it and of all before it; the identities of each message's blocks)."""
    links: list[str] = []
    identities: list[list[str]] = []
    link = ""
    for message in request.messages:
        identities.append([block_identity(block) for block in message.blocks])
        link = chain_link(link, message, identities[-1])
        links.append(link)
    return links, identities
