"""Unused weight: tool definitions that are sent with every turn and never called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ccinspect.analyser.composition import Category, Part
from ccinspect.analyser.money import Rates, span_cost
from ccinspect.analyser.records import Record
from ccinspect.wire.model import Usage


@dataclass(frozen=True, slots=True)
class ToolWeight(Record):
    """What one tool's definition weighed over the turns of a conversation or session."""

    name: str
    server: str | None = None
    turns: int = 0
    """Turns that it was sent with."""
    tokens: int = 0
    """Sum over those turns."""
    calls: int = 0
    cost: Decimal = Decimal(0)
    """Sum over the turns with a known price."""
    unpriced: int = 0
    """Turns whose price is unknown."""


@dataclass(frozen=True, slots=True)
class ToolLedger(Record):
    """The weights of all tools, by `TOOL` or `SERVER/TOOL`."""

    turns: int = 0
    tools: dict[str, ToolWeight] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerWeight(Record):
    """The tools of one MCP server together; those without a server stand under an empty name."""

    server: str
    tools: int
    unused_tools: int
    calls: int
    tokens: int
    unused_tokens: int
    unused_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Unused(Record):
    """Definitions never called, heaviest first."""

    turns: int
    tokens: int
    cost: Decimal | None
    """None when no turn's price is known."""
    tools: tuple[ToolWeight, ...] = ()
    servers: tuple[ServerWeight, ...] = ()


def ledger_of(
    parts: Sequence[Part], tokens: Sequence[int], called: Mapping[str, int], usage: Usage | None, rates: Rates
) -> ToolLedger:
    """The ledger of one turn, of parts that have `tokens` after scaling; `called` counts the answer's calls by tool."""
    tools: dict[str, ToolWeight] = {}
    start = 0
    for part, count in zip(parts, tokens, strict=True):
        if part.category is Category.TOOLS and part.tool:
            name = f"{part.server}/{part.tool}" if part.server else part.tool
            cost = span_cost(start, count, usage, rates) if usage else None
            weight = ToolWeight(part.tool, part.server, 1, count, 0, cost or Decimal(0), unpriced=int(cost is None))
            tools[name] = _joined(replace(tools[name], turns=0), weight) if name in tools else weight
        start += count
    for name, calls in called.items():
        server, _, tool = name.rpartition("/")
        known = tools.get(name, ToolWeight(tool, server or None))
        tools[name] = replace(known, calls=known.calls + calls)
    if len(tools) > MAX_TOOLS:
        heaviest = sorted(tools, key=lambda name: (-tools[name].calls, -tools[name].tokens))[:MAX_TOOLS]
        tools = {name: tools[name] for name in heaviest}
    return ToolLedger(1, tools)


MAX_TOOLS = 2_000
"""Tools of one turn that are kept: those called, and the heaviest."""


def merge(ledgers: Iterable[ToolLedger]) -> ToolLedger:
    """The ledger of several turns, conversations or sessions together."""
    turns = 0
    tools: dict[str, ToolWeight] = {}
    for ledger in ledgers:
        turns += ledger.turns
        for name, weight in ledger.tools.items():
            tools[name] = _joined(tools[name], weight) if name in tools else weight
    return ToolLedger(turns, tools)


def _joined(one: ToolWeight, other: ToolWeight) -> ToolWeight:
    return replace(
        one,
        turns=one.turns + other.turns,
        tokens=one.tokens + other.tokens,
        calls=one.calls + other.calls,
        cost=one.cost + other.cost,
        unpriced=one.unpriced + other.unpriced,
    )


def unused(ledger: ToolLedger) -> Unused:
    """What was sent and never called."""
    idle = sorted(
        (weight for weight in ledger.tools.values() if not weight.calls and weight.turns),
        key=lambda weight: (-weight.tokens, weight.server or "", weight.name),
    )
    servers = sorted({weight.server or "" for weight in ledger.tools.values() if weight.turns})
    weights = [
        _server(name, [each for each in ledger.tools.values() if (each.server or "") == name]) for name in servers
    ]
    return Unused(
        ledger.turns,
        sum(weight.tokens for weight in idle),
        _cost(idle),
        tuple(idle),
        tuple(sorted(weights, key=lambda weight: -weight.unused_tokens)),
    )


def _server(name: str, weights: Sequence[ToolWeight]) -> ServerWeight:
    idle = [weight for weight in weights if not weight.calls]
    return ServerWeight(
        name,
        len(weights),
        len(idle),
        sum(weight.calls for weight in weights),
        sum(weight.tokens for weight in weights),
        sum(weight.tokens for weight in idle),
        _cost(idle),
    )


def _cost(weights: Iterable[ToolWeight]) -> Decimal | None:
    priced = [weight.cost for weight in weights if weight.unpriced < weight.turns]
    return sum(priced, Decimal(0)) if priced else None
