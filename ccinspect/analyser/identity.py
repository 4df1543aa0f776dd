"""Identity: one short hash for everything that is the same thing sent again.

Cache markers, signatures and ids play no part in a block's identity, nor do the lines that an agent changes with
each call: so a block counted once is known for good. A message's hash does hold the ids of its calls, because they
tell two conversations apart that happen to say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

from ccinspect.wire.jsontext import dump
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


def digest(*parts: str | bytes) -> str:
    """32 hexadecimal characters that stand for these parts, in this order and with these borders."""
    state = blake2b(digest_size=_SIZE)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        state.update(b"%d:" % len(data))
        state.update(data)
    return state.hexdigest()


def split_volatile(text: str) -> tuple[str, str]:
    """(the lines at the start that change with each call, the text without them)."""
    if not text.startswith("x-anthropic-"):
        return "", text
    match = _VOLATILE.match(text)
    return (match[0], text[match.end() :]) if match else ("", text)


def block_identity(block: Block) -> str:
    """The identity of a content block."""
    match block:
        case Text():
            return digest("text", split_volatile(block.text)[1])
        case Thinking():
            # Signatures are no part of what is thought, but of sealed thinking they are all there is.
            sealed = block.signature.value if block.redacted and block.signature else ""
            return digest("thinking", block.text, sealed)
        case ToolCall():
            return digest("call", block.name, block.server or "", dump(block.arguments))
        case ToolResult():
            return digest("result", "error" if block.is_error else "", *map(block_identity, block.content))
        case Media():
            content = block.data or block.url or block.file_id or block.text or ""
            return digest("media", block.kind, block.media_type or "", block.detail or "", content)
        case Refusal():
            return digest("refusal", block.text)
        case Unknown():
            return digest("unknown", block.kind, dump(_unmarked(block.raw)), block.text)
    return digest(type(block).__name__, dump(_unmarked(block.raw)))


def _unmarked(raw: Json) -> Json:
    if isinstance(raw, dict) and "cache_control" in raw:
        return {key: value for key, value in raw.items() if key != "cache_control"}
    return raw


def tool_identity(tool: Tool) -> str:
    """The identity of a tool definition."""
    if tool.schema is None:
        return digest("tool", tool.kind, tool.name, dump(_unmarked(tool.raw)))
    return digest("tool", tool.kind, tool.server or "", tool.name, tool.description or "", dump(tool.schema))


def message_hash(message: Message, identities: Sequence[str]) -> str:
    """The hash of a message whose blocks have these identities."""
    role = "system" if message.role == "developer" else message.role
    ids = [_call_id(block) for block in message.blocks]
    return digest(role, *(part for pair in zip(identities, ids, strict=True) for part in pair))


def _call_id(block: Block) -> str:
    if isinstance(block, ToolCall):
        return block.id
    return block.call_id if isinstance(block, ToolResult) else ""


def chain(hashes: Iterable[str]) -> Iterator[str]:
    """For each message, the hash of it and of all before it."""
    link = ""
    for each in hashes:
        link = digest(link, each)
        yield link


def said_hash(blocks: Iterable[Block]) -> str | None:
    """What an answer says, by its words and the calls it makes, or None when that is nothing.

    Answers come back as history in another shape: thinking left out, arguments spelled anew, texts joined. This
    hash stays the same through that.
    """
    words = "".join("".join(block.text.split()) for block in blocks if isinstance(block, Text | Refusal))
    calls = [f"{block.server or ''}/{block.name}" for block in blocks if isinstance(block, ToolCall)]
    return digest("said", words, *calls) if words or calls else None


def request_chain(request: Request) -> tuple[list[str], list[list[str]]]:
    """(the chain's links, one a message; the identities of each message's blocks)."""
    identities = [[block_identity(block) for block in message.blocks] for message in request.messages]
    hashes = (message_hash(*pair) for pair in zip(request.messages, identities, strict=True))
    return list(chain(hashes)), identities
