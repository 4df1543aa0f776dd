"""The context window of one request, taken apart: which category, tool, server, file and source holds how many tokens.

Every request is cut into parts. Each part's tokens are estimated (`tokens`), then scaled so that they sum exactly to
what the provider reported; `basis` says whether that was so. What the provider counted and nobody here can see
(sealed reasoning, uploaded files, history kept at the provider, a system prompt it adds) is `unattributed`, never
spread over the visible parts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ccinspect.analyser.framing import message_frame, request_frame, system_frame, tools_frame, volatile_tokens
from ccinspect.analyser.identity import block_identity, tool_identity
from ccinspect.analyser.records import Record
from ccinspect.analyser.scaling import attributable, scale
from ccinspect.analyser.sources import Activity, CallFacts, call_facts, tool_ref
from ccinspect.analyser.tokens import Count, Scheme, TokenCounter, scheme_for
from ccinspect.wire.jsontext import dump_text
from ccinspect.wire.model import (
    Block,
    Media,
    Message,
    Path,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)


class Category(StrEnum):
    """In their order of precedence: a block belongs to the first that fits."""

    TOOL_RESULTS = "tool_results"
    SYSTEM = "system_prompt"
    PREFILL = "assistant_prefill"
    FILES = "file_contents"
    USER = "current_user_message"
    HISTORY = "conversation_history"
    TOOLS = "tool_definitions"
    OTHER = "uncategorised"


class Basis(StrEnum):
    PROVIDER = "provider"
    ESTIMATED = "estimated"


class Part(NamedTuple):
    """A piece of the context. Where a block holds files, each file is a part of its own."""

    category: Category
    source: str
    kind: str
    """`text`, `thinking`, `tool_call`, `tool_result`, `tool_definition`, `image`, `document`, `audio`, `video`,
    `framing` (what the provider puts around it) or `schema` (of structured output)."""
    tokens: int
    identity: str = ""
    path: Path = ()
    tool: str | None = None
    server: str | None = None
    file: str | None = None
    activity: Activity | None = None
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class Composition(Record):
    """Tokens of a request's context.

    `categories`, `kinds` and `sources` sum, each with `unattributed`, to exactly `total`; the other tables to at most
    that, because not every part has a tool or a file.
    """

    total: int
    basis: Basis
    """Whether `total`, and with it every number here but `visible`, is the provider's or estimated."""
    visible: int
    """Estimated tokens of all that can be seen, before scaling."""
    provider: int | None = None
    """What the provider counted, cached tokens included."""
    cached: int | None = None
    """Of these, read from its cache."""
    unattributed: int = 0
    coverage: float = 100.0
    """Percent of `total` that is attributed to parts."""
    categories: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    activities: dict[str, int] = field(default_factory=dict)
    tools: dict[str, int] = field(default_factory=dict)
    """Definitions, calls and results, by tool; MCP tools as `SERVER/TOOL`."""
    servers: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    definitions: dict[str, int] = field(default_factory=dict)
    """Tool definitions alone, by tool."""


def compose(
    parts: Sequence[Part], usage: Usage | None, *, tokenizer: str = "other", complete: bool = True
) -> Composition:
    """Scale parts to the provider's usage and sum them up.

    `tokenizer` is the model's, as `Scheme.tokenizer`. `complete` is False when the request leans on history that was
    not seen (`previous_response_id`).
    """
    return summarise(parts, scaled_tokens(parts, usage, tokenizer=tokenizer, complete=complete), usage)


def scaled_tokens(
    parts: Sequence[Part], usage: Usage | None, *, tokenizer: str = "other", complete: bool = True
) -> list[int]:
    """Tokens of each part, scaled to the provider's count; as estimated when it gave none."""
    tokens = [part.tokens for part in parts]
    provider = provider_total(usage)
    if provider is None:
        return tokens
    sealed = not complete or any(part.opaque for part in parts)
    return scale(tokens, attributable(sum(tokens), provider, tokenizer, sealed=sealed))


def provider_total(usage: Usage | None) -> int | None:
    """All input tokens that the provider counted, or None when it told none."""
    if usage is None or (usage.input is None and usage.cache_read is None and not usage.cache_write):
        return None
    return usage.total_input


def summarise(parts: Sequence[Part], tokens: Sequence[int], usage: Usage | None) -> Composition:
    """The tables of parts that have `tokens` after scaling."""
    visible = sum(part.tokens for part in parts)
    tables: dict[str, defaultdict[str, int]] = {name: defaultdict(int) for name in _TABLES}
    categories, kinds, sources, activities, tools, servers, files, definitions = tables.values()
    for part, count in zip(parts, tokens, strict=True):
        if not count:
            continue
        categories[part.category] += count
        kinds[part.kind] += count
        sources[part.source] += count
        if part.tool:
            name = f"{part.server}/{part.tool}" if part.server else part.tool
            tools[name] += count
            if part.category is Category.TOOLS:
                definitions[name] += count
            if part.server:
                servers[part.server] += count
            if part.activity:
                activities[part.activity] += count
        if part.file:
            files[part.file] += count
    attributed = sum(tokens)
    provider = provider_total(usage)
    total = attributed if provider is None else provider
    return Composition(
        total=total,
        basis=Basis.ESTIMATED if provider is None else Basis.PROVIDER,
        visible=visible,
        provider=provider,
        cached=usage.cache_read if usage else None,
        unattributed=total - attributed,
        coverage=round(100 * attributed / total, 1) if total else 100.0,
        **{name: _bounded(table) for name, table in tables.items()},
    )


def _bounded(table: dict[str, int]) -> dict[str, int]:
    """At most NAMES entries: the lightest ones together under REST."""
    if len(table) <= NAMES:
        return {str(name): count for name, count in table.items()}
    names = sorted(table, key=lambda name: -table[name])
    kept = {str(name): table[name] for name in names[: NAMES - 1]}
    return {**kept, REST: sum(table[name] for name in names[NAMES - 1 :])}


NAMES = 300
REST = "(others)"

_TABLES = ("categories", "kinds", "sources", "activities", "tools", "servers", "files", "definitions")


# From a request to its parts


class _Place(NamedTuple):
    """A block and where it stands."""

    block: Block
    category: Category
    source: str
    identity: str = ""
    facts: CallFacts | None = None


def measure(request: Request, counter: TokenCounter, identities: Sequence[Sequence[str]] | None = None) -> list[Part]:
    """The parts of a request, in the order of the wire's model (tools, system, messages), with estimated tokens.

    `identities` are those of each message's blocks, if they are known already.
    """
    scheme = scheme_for(request.dialect, request.model)
    tools = [(tool_identity(tool), tool) for tool in request.tools]
    places = list(_places(request, identities))
    counts = counter.count_all([*tools, *((place.identity, place.block) for place in places)], scheme)
    parts = [_tool_part(tool, identity, counts[identity]) for identity, tool in tools]
    for place in places:
        parts += _block_parts(place, counts[place.identity], volatile_tokens(place.block, scheme))
    return parts + list(_framing(request, scheme, counter))


def blocks_in_order(request: Request) -> Iterator[Tool | Block]:
    """All that has an identity in a request, in the order of its parts."""
    yield from request.tools
    for place in _places(request, [["" for _ in message.blocks] for message in request.messages]):
        yield place.block


def _tool_part(tool: Tool, identity: str, count: Count) -> Part:
    ref = tool_ref(tool.name, tool.server, tool.kind)
    return Part(
        Category.TOOLS,
        ref.source,
        "tool_definition",
        count.tokens,
        identity,
        tool.path,
        tool=ref.name,
        server=ref.server,
        opaque=count.opaque,
    )


def _places(request: Request, identities: Sequence[Sequence[str]] | None) -> Iterator[_Place]:
    for block in request.system:
        yield _Place(block, Category.SYSTEM, "system", block_identity(block))
    blocks = (block for message in request.messages for block in message.blocks)
    calls = {block.id: call_facts(block) for block in blocks if isinstance(block, ToolCall)}
    current = current_user_message(request.messages)
    last = len(request.messages) - 1
    for index, message in enumerate(request.messages):
        base = _base_category(message, prefill=index == last, current=index == current)
        known = identities[index] if identities is not None else [block_identity(block) for block in message.blocks]
        for block, identity in zip(message.blocks, known, strict=True):
            yield from _block_places(block, identity, base, message.role, calls)


def _base_category(message: Message, *, prefill: bool, current: bool) -> Category:
    if message.role in ("system", "developer"):
        return Category.SYSTEM
    if message.blocks and all(isinstance(block, Unknown) for block in message.blocks):
        return Category.OTHER
    if message.role == "assistant" and prefill:
        return Category.PREFILL
    if current:
        return Category.USER
    return Category.HISTORY if message.role in ("user", "assistant", "tool") else Category.OTHER


# What Claude Code says beside the result of its search for tools.
_TOOL_LOADED = "Tool loaded."
_REMINDERS = ("<system-reminder>", "<environment_context>", "<user_instructions>", "<environment_details>")


def current_user_message(messages: Sequence[Message]) -> int:
    """Index of the last message in which the user says more than tool results and reminders; -1 if there is none."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user" and any(map(_says_something, messages[index].blocks)):
            return index
    return -1


def _says_something(block: Block) -> bool:
    if isinstance(block, Text):
        text = block.text.strip()
        return bool(text) and text != _TOOL_LOADED and not text.startswith(_REMINDERS)
    return not isinstance(block, ToolResult)


def _block_places(
    block: Block, identity: str, base: Category, role: str, calls: dict[str, CallFacts]
) -> Iterator[_Place]:
    if isinstance(block, ToolResult):
        facts = calls.get(block.call_id)
        source = facts.source if facts else tool_ref(block.name or "unknown").source
        yield _Place(block, Category.TOOL_RESULTS, source, identity, facts)
        for inner in block.content:
            if isinstance(inner, Media):
                yield _Place(inner, Category.TOOL_RESULTS, source, block_identity(inner), facts)
    elif isinstance(block, ToolCall):
        facts = calls[block.id] if block.id in calls else call_facts(block)
        yield _Place(block, base, facts.source, identity, facts)
    elif isinstance(block, Thinking):
        yield _Place(block, base, "reasoning", identity)
    else:
        yield _Place(block, base, _speaker(role), identity)


def _speaker(role: str) -> str:
    return {"assistant": "assistant", "system": "system", "developer": "system"}.get(role, "user")


_HOLDS_FILES = (Category.USER, Category.HISTORY)


def _block_parts(place: _Place, count: Count, volatile: int) -> Iterator[Part]:
    facts = place.facts
    part = Part(
        place.category,
        place.source,
        _kind(place.block),
        count.tokens + volatile,
        place.identity,
        place.block.path,
        tool=facts.tool.name if facts else None,
        server=facts.tool.server if facts else None,
        file=facts.file if facts else None,
        activity=facts.activity if facts else None,
        opaque=count.opaque,
    )
    if isinstance(place.block, ToolResult) and facts is None and place.block.name:
        ref = tool_ref(place.block.name)
        part = part._replace(tool=ref.name, server=ref.server)
    if place.category not in _HOLDS_FILES or not count.spans:
        if isinstance(place.block, Media) and place.block.kind == "document" and place.category in _HOLDS_FILES:
            part = part._replace(category=Category.FILES, file=place.block.name)
        yield part
        return
    for span in count.spans:
        if span.file is None:
            yield part._replace(tokens=span.tokens)
        else:
            yield part._replace(tokens=span.tokens, category=Category.FILES, file=span.file or None)


def _kind(block: Block) -> str:
    match block:
        case Media():
            return block.kind
        case Thinking():
            return "thinking"
        case ToolCall():
            return "tool_call"
        case ToolResult():
            return "tool_result"
    return "text"


def _framing(request: Request, scheme: Scheme, counter: TokenCounter) -> Iterator[Part]:
    tools = tools_frame(request, scheme)
    if tools:
        yield Part(Category.TOOLS, "system", "framing", tools)
    if request.messages or request.system:
        system = system_frame(scheme) if request.system else 0
        speakers = Counter((message.role, message.name) for message in request.messages)
        around = sum(times * message_frame(role, name, scheme) for (role, name), times in speakers.items())
        yield Part(Category.OTHER, "system", "framing", request_frame(scheme) + system + around)
    if request.output is not None and request.output.schema is not None:
        tokens = counter.count_block(Text(dump_text(request.output.schema)), scheme).tokens
        yield Part(Category.OTHER, "system", "schema", tokens)
