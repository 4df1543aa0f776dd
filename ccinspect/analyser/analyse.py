"""One captured exchange in, all that can be said of it out.

    Exchange -> expand its history -> parts -> composition, cost, purpose, place, cache report

`Analyser` holds what one worker needs; it is pure but for the caches that it is given, and may be given ones that
the store keeps. Exchanges are to be given in the order in which they were started; one that comes late finds its
place all the same, but is not yet known to those before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from ccinspect.analyser.answers import Answer, compose_answer
from ccinspect.analyser.cache_misses import CacheReport, Prefix, Verdict, explain, prefix_of
from ccinspect.analyser.composition import Basis, Composition, Part, measure, scaled_tokens, summarise
from ccinspect.analyser.conversations import Asked, place
from ccinspect.analyser.expansion import Expander
from ccinspect.analyser.identity import request_chain, said_hash
from ccinspect.analyser.money import Cost, Prices, Rates, cost_of
from ccinspect.analyser.purposes import Purpose, purpose_of
from ccinspect.analyser.records import Record
from ccinspect.analyser.sessions import SessionMark, session_mark
from ccinspect.analyser.tokens import TokenCounter, scheme_for
from ccinspect.analyser.traces import handed_on, marks_of, sample
from ccinspect.analyser.turns import ConversationIndex, Lineage, MemoryIndex, Relation, Turn
from ccinspect.analyser.unused import ToolLedger, ledger_of
from ccinspect.wire.model import Outcome, Request, Response, Usage

ANALYSER_VERSION = 1
"""Raised when results change, so that rows say which analyser made them."""

NOT_BILLED = "not_billed"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A captured request and its answer."""

    id: str
    """The flow's id."""
    request: Request
    response: Response | None
    """None when there was none at all."""
    started_at: float
    """Seconds since the epoch."""
    provider: str | None = None
    """As in the providers table; decides the price list."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The request's, by lower-case name; only those of `sessions` are looked at."""
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Analysis(Record):
    """What is kept of an exchange."""

    flow_id: str
    version: int
    kind: str
    dialect: str
    purpose: Purpose
    lineage: Lineage
    session: SessionMark
    composition: Composition
    cost: Cost
    cost_basis: Basis
    """Whether `cost` is of the provider's usage, or of estimated tokens."""
    cache: CacheReport
    model: str | None = None
    provider: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    """The provider's counts, by the names of `wire.model.Usage`; empty when it gave none."""
    answer: Answer | None = None
    tools: ToolLedger = field(default_factory=ToolLedger)


@dataclass(frozen=True, slots=True)
class Result:
    """An analysis, and what later ones need of it."""

    analysis: Analysis
    turn: Turn
    prefix: Prefix
    parts: list[Part]
    """Every part of the context, with estimated tokens; not kept, but made anew when it is to be shown."""
    tokens: list[int]
    """Of each part, scaled to the provider's count."""


class PrefixKeeper(Protocol):
    """Keeps the prefixes of the newest turns."""

    def get(self, flow_id: str) -> Prefix | None: ...

    def put(self, prefix: Prefix) -> None: ...


@dataclass(slots=True)
class MemoryPrefixes:
    """The newest `limit` prefixes; some tens of kilobytes each."""

    limit: int = 256
    _kept: OrderedDict[str, Prefix] = field(default_factory=OrderedDict)

    def get(self, flow_id: str) -> Prefix | None:
        return self._kept.get(flow_id)

    def put(self, prefix: Prefix) -> None:
        self._kept[prefix.flow_id] = prefix
        while len(self._kept) > self.limit:
            self._kept.popitem(last=False)


@dataclass(slots=True)
class Analyser:
    """Analyses exchanges, each in the light of those before it. The caller adds `Result.turn` to the index."""

    index: ConversationIndex = field(default_factory=MemoryIndex)
    counter: TokenCounter = field(default_factory=TokenCounter)
    prices: Prices = field(default_factory=Prices)
    prefixes: PrefixKeeper = field(default_factory=MemoryPrefixes)
    expander: Expander = field(default_factory=lambda: Expander(lambda response_id: None))

    def analyse(self, exchange: Exchange) -> Result:
        expanded = self.expander.expand(exchange.request)
        request, response = expanded.request, exchange.response
        purpose = purpose_of(request)
        chain, identities = request_chain(request)
        parts = measure(request, self.counter, identities)
        usage = _usage(request, response)
        model = (response.model if response else None) or request.model
        tokenizer = scheme_for(request.dialect, request.model).tokenizer
        tokens = scaled_tokens(parts, usage, tokenizer=tokenizer, complete=expanded.complete)
        marks = marks_of(parts)
        mark = session_mark(request, exchange.headers)
        lineage = place(
            Asked(
                exchange.id, request, mark, purpose, chain, marks, exchange.started_at, exchange.run, expanded.complete
            ),
            self.index,
        )
        answer = compose_answer(response, usage, self.counter, model) if response else None
        composition = summarise(parts, tokens, usage)
        billed, basis = _billed(usage, composition, answer)
        rates = self._rates(exchange, model, billed, response)
        prefix = prefix_of(exchange.id, exchange.started_at, request, parts, usage)
        cache = self._explain(lineage, prefix, usage, rates)
        analysis = Analysis(
            exchange.id,
            ANALYSER_VERSION,
            request.kind,
            request.dialect,
            purpose,
            lineage,
            mark,
            composition,
            _cost(request, response, billed, rates),
            basis,
            cache,
            model,
            exchange.provider,
            _counts(usage) if response and response.usage else {},
            answer,
            ledger_of(parts, tokens, answer.tools if answer else {}, billed, rates),
        )
        turn = _turn(exchange, analysis, chain, sample(marks))
        self.prefixes.put(prefix)
        return Result(analysis, turn, prefix, parts, tokens)

    def _rates(self, exchange: Exchange, model: str | None, usage: Usage, response: Response | None) -> Rates:
        tier = (response.service_tier if response else None) or exchange.request.service_tier
        batch = exchange.request.kind == "batch"
        return self.prices.rates(
            model, exchange.provider, exchange.started_at, usage.total_input, service_tier=tier, batch=batch
        )

    def _explain(self, lineage: Lineage, prefix: Prefix, usage: Usage | None, rates: Rates) -> CacheReport:
        alone = lineage.parent is None or lineage.relation in (Relation.SUB_AGENT, Relation.SIDE_CALL)
        if alone:
            return explain(None, prefix, usage, rates, first=True)
        return explain(self._before(lineage), prefix, usage, rates, first=False)

    def _before(self, lineage: Lineage) -> Prefix | None:
        """What the turn before left in the cache: of its attempts, the newest that was answered."""
        parent = self.index.turn(lineage.parent or "")
        if parent is None:
            return None
        tries = [turn for turn in self.index.followers(parent.id) if turn.lineage.relation is Relation.RETRY]
        if lineage.relation is Relation.RETRY and not parent.ok and parent.lineage.parent:
            tries.append(self.index.turn(parent.lineage.parent) or parent)
        answered = [turn for turn in (parent, *tries) if turn.ok]
        newest = max(answered, key=lambda turn: turn.started_at, default=parent)
        return self.prefixes.get(newest.id)


def _usage(request: Request, response: Response | None) -> Usage | None:
    """The provider's counts; a `count_tokens` answer is one, too."""
    if response is None:
        return None
    if response.usage is None and request.kind == "count_tokens" and response.count is not None:
        return Usage(input=response.count)
    return response.usage


def _counts(usage: Usage | None) -> dict[str, int]:
    counts = {name: getattr(usage, name) for name in _COUNTS} if usage else {}
    return {name: value for name, value in counts.items() if value is not None}


_COUNTS = (
    "input", "cache_read", "cache_write_5m", "cache_write_1h", "cache_write_other", "output", "reasoning",
    "web_searches",
)  # fmt: skip


def _billed(usage: Usage | None, composition: Composition, answer: Answer | None) -> tuple[Usage, Basis]:
    """The usage to price: the provider's; or an estimate where it gave none, as in OpenAI streams not asked for it."""
    if usage is not None:
        return usage, Basis.PROVIDER
    return Usage(input=composition.total, output=answer.total if answer else None), Basis.ESTIMATED


def _cost(request: Request, response: Response | None, usage: Usage, rates: Rates) -> Cost:
    """Counting tokens costs nothing, nor does a request that was answered with an error and no usage."""
    failed = response is None or (response.outcome is Outcome.ERROR and response.usage is None)
    if request.kind == "count_tokens" or failed:
        return Cost(NOT_BILLED, Decimal(0))
    return cost_of(usage, rates)


def _turn(exchange: Exchange, analysis: Analysis, chain: list[str], marks: dict[str, int]) -> Turn:
    response = exchange.response
    ok = response is not None and response.error is None and response.outcome is not Outcome.ERROR
    return Turn(
        exchange.id,
        analysis.lineage,
        analysis.purpose,
        exchange.started_at,
        chain[-1] if chain else "",
        len(chain),
        exchange.run,
        analysis.model,
        analysis.session.session,
        analysis.session.thread,
        response.id if response else None,
        ok,
        said_hash(response.blocks) if response else None,
        marks,
        handed_on(response, analysis.purpose),
    )


__all__ = [
    "ANALYSER_VERSION",
    "Analyser",
    "Analysis",
    "Exchange",
    "MemoryPrefixes",
    "PrefixKeeper",
    "Result",
    "Verdict",
]
