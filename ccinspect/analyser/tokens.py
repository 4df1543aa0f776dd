"""Counting tokens: each distinct block once.

All counts here are estimates by a local byte-pair encoding (see `encodings`); `composition` scales them to what the
provider reported. Counts are kept in a cache that the store may provide, under the block's identity.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ccinspect.analyser.encodings import count, encoding_name
from ccinspect.analyser.files import file_stretches
from ccinspect.analyser.identity import block_identity, split_volatile
from ccinspect.analyser.media import claude_version, media_tokens, media_variant
from ccinspect.analyser.records import Record
from ccinspect.wire.jsontext import arguments_text, as_list, as_object, as_text, dump_text
from ccinspect.wire.model import (
    Block,
    Json,
    JsonObject,
    Media,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unknown,
)

COUNTS_VERSION = 1
"""Raised when blocks are counted otherwise than before: part of every key, so that old counts are not used."""


@dataclass(frozen=True, slots=True)
class Span(Record):
    """A stretch of a text: `tokens` of the file `file`; None is text that is no file, "" a file without a name."""

    tokens: int
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Count(Record):
    """Tokens of one block, estimated."""

    tokens: int
    spans: tuple[Span, ...] = ()
    """The stretches of a text that holds files; they sum up to `tokens`. Empty for any other."""
    opaque: bool = False
    """Part of it cannot be seen (sealed reasoning, a URL, an uploaded file): `tokens` may be far off."""


class CountCache(Protocol):
    """Where counts are kept. Keys are short strings; an entry never changes."""

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Count]:
        """The entries that are there."""

    def put_many(self, counts: Mapping[str, Count]) -> None: ...


@dataclass(slots=True)
class MemoryCache:
    """A cache of the newest `limit` counts."""

    limit: int = 200_000
    _counts: OrderedDict[str, Count] = field(default_factory=OrderedDict)

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Count]:
        found = {}
        for key in keys:
            if (known := self._counts.get(key)) is not None:
                self._counts.move_to_end(key)
                found[key] = known
        return found

    def put_many(self, counts: Mapping[str, Count]) -> None:
        self._counts.update(counts)
        while len(self._counts) > self.limit:
            self._counts.popitem(last=False)


_FAMILIES = {
    "anthropic": "anthropic",
    "openai_chat": "openai",
    "openai_responses": "openai",
    "openai_completions": "openai",
    "gemini": "gemini",
    "amazon_q": "anthropic",
}


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a model's tokens are counted."""

    encoding: str
    family: str
    """`openai`, `anthropic`, `gemini` or `other`: whose formulas hold for media, tools and framing."""
    model: str

    @property
    def tokenizer(self) -> str:
        """Which of `scaling.RATIOS` tells how far the provider's own tokenizer is from ours."""
        if self.family == "anthropic":
            return "claude-4.7" if claude_version(self.model) >= (4, 7) else "claude-3"
        return self.family

    @property
    def text_key(self) -> str:
        return f"{COUNTS_VERSION}/{self.encoding}/{self.family}"

    @property
    def media_key(self) -> str:
        return f"{COUNTS_VERSION}/{media_variant(self.family, self.model)}"


def scheme_for(dialect: str, model: str | None) -> Scheme:
    """The model's name decides; where it tells nothing, the dialect it was spoken to in."""
    name = (model or "").lower()
    if "claude" in name:
        family = "anthropic"
    elif "gemini" in name:
        family = "gemini"
    elif name.rpartition("/")[2].startswith(("gpt-", "o1", "o3", "o4", "chatgpt", "codex")):
        family = "openai"
    else:
        family = _FAMILIES.get(dialect, "other")
    return Scheme(encoding_name(model), family, name)


@dataclass(slots=True)
class TokenCounter:
    """Counts blocks and tools, each distinct one once."""

    cache: CountCache = field(default_factory=MemoryCache)

    def count_all(self, items: Iterable[tuple[str, Block | Tool]], scheme: Scheme) -> dict[str, Count]:
        """Counts by identity, for items given as (identity, block or tool)."""
        wanted: dict[str, tuple[str, Block | Tool]] = {}
        for identity, item in items:
            kept_under = scheme.media_key if isinstance(item, Media) else scheme.text_key
            wanted[f"{kept_under}:{identity}"] = (identity, item)
        known = self.cache.get_many(list(wanted))
        missing = {key: _count(item, scheme) for key, (_, item) in wanted.items() if key not in known}
        if missing:
            self.cache.put_many(missing)
        return {identity: known[key] if key in known else missing[key] for key, (identity, _) in wanted.items()}

    def count_block(self, block: Block, scheme: Scheme) -> Count:
        identity = block_identity(block)
        return self.count_all([(identity, block)], scheme)[identity]


def _count(item: Block | Tool, scheme: Scheme) -> Count:
    match item:
        case Tool():
            return Count(_tool_tokens(item, scheme))
        case Text():
            return _text(split_volatile(item.text)[1], scheme)
        case Media(text=str(text)):
            return Count(count(text, scheme.encoding))
        case Media():
            measured = media_tokens(item, scheme.family, scheme.model)
            return Count(measured.tokens, opaque=measured.guess)
        case Thinking():
            return Count(count(item.text, scheme.encoding), opaque=_is_sealed(item))
        case ToolCall():
            return Count(count(item.name + arguments_text(item.arguments), scheme.encoding))
        case ToolResult():
            # Media in results are counted for themselves.
            counts = [_count(block, scheme) for block in item.content if not isinstance(block, Media)]
            return Count(sum(each.tokens for each in counts), opaque=any(each.opaque for each in counts))
        case Refusal():
            return Count(count(item.text, scheme.encoding))
        case Unknown():
            return Count(count(item.text, scheme.encoding), opaque=not item.text and bool(item.raw))
    return Count(0, opaque=True)


def _is_sealed(thinking: Thinking) -> bool:
    """Whether more was thought than there is to read: redacted, only summarised, or signed without a word."""
    return thinking.redacted or thinking.summary or (not thinking.text and thinking.signature is not None)


def _text(text: str, scheme: Scheme) -> Count:
    stretches = file_stretches(text)
    if not stretches:
        return Count(count(text, scheme.encoding))
    spans: list[Span] = []
    at = 0
    for stretch in stretches:
        if stretch.start > at:
            spans.append(Span(count(text[at : stretch.start], scheme.encoding)))
        spans.append(Span(count(text[stretch.start : stretch.end], scheme.encoding), stretch.file))
        at = stretch.end
    if at < len(text):
        spans.append(Span(count(text[at:], scheme.encoding)))
    return Count(sum(span.tokens for span in spans), tuple(spans))


# Tool definitions

_MAX_SCHEMA_DEPTH = 12


def _tool_tokens(tool: Tool, scheme: Scheme) -> int:
    if tool.schema is None:
        return count(dump_text(tool.raw) if tool.raw is not None else tool.name, scheme.encoding)
    if scheme.family == "openai":
        return _openai_tool(tool, scheme)
    definition: JsonObject = {"name": tool.name, "description": tool.description or "", "input_schema": tool.schema}
    return count(dump_text(definition), scheme.encoding)


def _openai_tool(tool: Tool, scheme: Scheme) -> int:
    """OpenAI shows tools to its models in a form of its own; its cookbook ("How to count tokens with tiktoken")
    gives the cost of each part. Properties of properties, on which it is silent, count like properties."""
    start = 10 if scheme.encoding == "cl100k_base" else 7
    line = f"{tool.name}:{(tool.description or '').removesuffix('.')}"
    return start + count(line, scheme.encoding) + _openai_schema(tool.schema, scheme.encoding, 0)


def _openai_schema(schema: Json, encoding: str, depth: int) -> int:
    properties = as_object(as_object(schema).get("properties"))
    if not properties or depth > _MAX_SCHEMA_DEPTH:
        return 0
    tokens = 3
    for name, value in properties.items():
        definition = as_object(value)
        kind, note = definition.get("type"), as_text(definition.get("description")).removesuffix(".")
        tokens += 3 + count(f"{name}:{kind if isinstance(kind, str) else dump_text(kind)}:{note}", encoding)
        if "enum" in definition:
            items = as_list(definition["enum"])
            texts = [item if isinstance(item, str) else dump_text(item) for item in items]
            tokens += sum(3 + count(text, encoding) for text in texts) - 3
        tokens += _openai_schema(definition, encoding, depth + 1)
        tokens += _openai_schema(definition.get("items"), encoding, depth + 1)
    return tokens
