"""What an answer is made of: thinking, words, tool calls; and which tools it calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ccinspect.analyser.composition import Basis
from ccinspect.analyser.records import Record
from ccinspect.analyser.scaling import scale
from ccinspect.analyser.sources import call_facts
from ccinspect.analyser.tokens import TokenCounter, scheme_for
from ccinspect.wire.model import Block, Response, Thinking, ToolCall, Usage

REMAINDER = "remainder"


@dataclass(frozen=True, slots=True)
class Answer(Record):
    """Tokens of an answer; `thinking`, `text` and `tool_calls` sum to `total`."""

    total: int
    basis: Basis
    thinking: int = 0
    thinking_basis: str = Basis.ESTIMATED.value
    """`provider`: it told so; `estimated`: by the words of the thinking; `remainder`: what is left
    of the total when all that can be seen is taken away."""
    text: int = 0
    tool_calls: int = 0
    tools: dict[str, int] = field(default_factory=dict)
    """Calls, by tool; MCP tools as `SERVER/TOOL`."""
    sources: dict[str, int] = field(default_factory=dict)
    """Calls, by source: `bash:git` and so on."""


def compose_answer(response: Response, usage: Usage | None, counter: TokenCounter, model: str | None = None) -> Answer:
    """Take an answer apart. `model` is the one asked for, where the answer names none."""
    scheme = scheme_for(response.dialect, response.model or model)
    thinking = text = calls = 0
    hidden = False
    for block in response.blocks:
        tokens = counter.count_block(block, scheme).tokens
        if isinstance(block, Thinking):
            thinking += tokens
            hidden = hidden or block.summary or not block.text
        elif isinstance(block, ToolCall):
            calls += tokens
        else:
            text += tokens
    tools, sources = _called(response.blocks)
    total = usage.output if usage else None
    if total is None:
        return Answer(
            thinking + text + calls, Basis.ESTIMATED, thinking, Basis.ESTIMATED.value, text, calls, tools, sources
        )
    reasoning = usage.reasoning if usage else None
    basis = Basis.ESTIMATED.value
    if reasoning is not None:
        thinking, basis = min(reasoning, total), Basis.PROVIDER.value
        text, calls = _split(text, calls, total - thinking)
    elif hidden:
        thinking, basis = max(0, total - text - calls), REMAINDER
        text, calls = _split(text, calls, total - thinking)
    else:
        # Without anything to see of it, an answer that was cut off is words.
        thinking, text, calls = scale([thinking, text, calls], total) if thinking + text + calls else (0, total, 0)
    return Answer(total, Basis.PROVIDER, thinking, basis, text, calls, tools, sources)


def _split(text: int, calls: int, total: int) -> tuple[int, int]:
    first, second = scale([text, calls], total)
    return first, second


def _called(blocks: Iterable[Block]) -> tuple[dict[str, int], dict[str, int]]:
    tools: dict[str, int] = {}
    sources: dict[str, int] = {}
    for block in blocks:
        if isinstance(block, ToolCall):
            facts = call_facts(block)
            name = f"{facts.tool.server}/{facts.tool.name}" if facts.tool.server else facts.tool.name
            tools[name] = tools.get(name, 0) + 1
            sources[facts.source] = sources.get(facts.source, 0) + 1
    return tools, sources
