"""What `query` answers with. Plain records: times are seconds since the epoch, spans seconds, money US dollars.

Numbers of tokens carry their basis: `provider` is what the provider counted, `estimated` what we counted ourselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ccinspect.analyser.answers import Answer
from ccinspect.analyser.cache_misses import CacheReport
from ccinspect.analyser.composition import Basis, Composition, Part
from ccinspect.analyser.limits import LimitState
from ccinspect.wire.model import Request, Response


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens of one call or of many. None: not told. `input` excludes what was read from or written to a cache."""

    basis: Basis = Basis.PROVIDER
    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    """A share of `output`."""

    @property
    def context(self) -> int:
        """All that was in the context window."""
        return (self.input or 0) + (self.cache_read or 0) + (self.cache_write or 0)

    @property
    def total(self) -> int:
        return self.context + (self.output or 0)

    @property
    def cache_hit_rate(self) -> float | None:
        """0 to 1: the share of the context that was read from the cache; None where the provider does not tell."""
        return None if self.cache_read is None or not self.context else self.cache_read / self.context


@dataclass(frozen=True, slots=True)
class Price:
    """What a call cost at list price. `dollars` is None when the price is unknown; 0 when it is not billed."""

    dollars: Decimal | None
    basis: Basis
    """`estimated` when the tokens were."""
    source: str
    """`genai-prices VERSION`, `override`, `not_billed` or `unknown`."""
    saved: Decimal | None = None
    """What the cache saved, less what writing to it cost."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a model and its answer."""

    id: str
    """The flow's id; of the calls of one WebSocket `FLOW#N`, counted from 1."""
    flow: str
    started_at: float
    duration: float | None
    first_byte: float | None
    provider: str
    """As in the providers table; `unknown` for a host in no table."""
    dialect: str
    """`expressions` for a provider declared by them, empty for one that nobody can read."""
    kind: str
    """`generate`, `count_tokens`, `embeddings`, `batch`, `warm_up`, `compact` or `other`."""
    purpose: str
    """`user_turn`, `tool_continuation`, `compaction`, `housekeeping`, `count_tokens` or `unknown`."""
    agent: str | None
    agent_version: str | None
    agent_kind: str | None
    """`agent`, `sdk` or `tool`."""
    model_requested: str | None
    model_answered: str | None
    stream: bool
    conversation: str | None
    """Id of its conversation: the id of that conversation's first call. None when the content was not kept."""
    relation: str | None
    """`root`, `continuation`, `retry`, `fork`, `compaction`, `sub_agent` or `side_call`."""
    parent: str | None
    """Id of the call it follows, branches off, or was started by."""
    origin: str | None
    """The conversation that this one came from, on the first call of a branch, sub-agent or side call."""
    tool_call: str | None
    """The id of the tool call that started a sub-agent."""
    turn: int
    """Turns of the conversation up to here, this one included."""
    certainty: str | None
    """`exact`, `inferred` or `ambiguous`."""
    confidence: float | None
    method: str | None
    """How its place was found: `response_id`, `session_id`, `message_chain`, `prompt`, `summary`, `overlap`, `none`."""
    fidelity: str
    """`full`; `partial` when it leans on history at the provider that was not captured."""
    counts: Counts
    price: Price
    stop_reason: str | None
    outcome: str | None
    """`complete`, `error`, `truncated`, `client_disconnected` or `upstream_reset`; None when there was no answer."""
    error_kind: str | None
    status: int | None
    """Of HTTP."""
    run: str | None
    project: str | None
    tags: dict[str, str]
    said_session: str | None
    """The session that the request named in `x-ccinspect-session`."""
    agent_session: str | None
    """The agent's own id of its session."""
    host: str | None
    machine: str | None
    account: str | None
    """A keyed fingerprint of the account or the key."""
    readable: bool
    """False when only metadata is known: the content was not kept, or nobody can read it."""
    note: str | None
    """Why something is missing, for a person; or None."""
    version: int
    """The analyser that made this row."""

    @property
    def model(self) -> str | None:
        return self.model_answered or self.model_requested


@dataclass(frozen=True, slots=True)
class FlowFacts:
    """What a list of flows shows beside each: who sent it, and for a model call which model and how many tokens."""

    flow: str
    provider: str | None
    agent: str | None
    agent_version: str | None
    calls: int = 0
    model: str | None = None
    """Of the newest call."""
    counts: Counts | None = None
    """Of all calls of the flow; its basis is `estimated` if one of them is."""


@dataclass(frozen=True, slots=True)
class Context:
    """What was in the context window of one call."""

    call: Call
    composition: Composition
    visible: dict[str, int]
    """Tokens by category as estimated, before they were scaled to the provider's count."""
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class OpenedCall:
    """A call with its content, read again from the stored bodies."""

    call: Call
    request: Request
    """With the history before `previous_response_id`, as far as it was captured."""
    response: Response | None
    parts: list[Part]
    """Every part of the context, in the order of the wire's model: tools, system, messages. Each names its block by
    `path`."""
    tokens: list[int]
    """Of each part, scaled to the provider's count where there is one."""
    basis: Basis
    """Of `tokens`."""
    complete: bool
    """False when history at the provider was not captured."""


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """One line of `conversations list`. Side calls and sub-agents are conversations of their own: not counted here."""

    id: str
    started_at: float
    ended_at: float
    relation: str
    """What its first call is: `root`, `fork`, `sub_agent` or `side_call`."""
    origin: str | None
    """The conversation it came from."""
    purpose: str
    """Of its first call."""
    agent: str | None
    provider: str
    models: tuple[str, ...]
    """Most used first."""
    run: str | None
    project: str | None
    calls: int
    """Retries included."""
    turns: int
    context_first: int
    context_last: int
    context_peak: int
    counts: Counts
    """Sums over its calls."""
    dollars: Decimal | None
    """Sum of the known prices; None when none is known."""
    unpriced: int
    """Calls whose price is unknown."""
    errors: int
    children: int
    """Branches, sub-agents and side calls that came from it."""


@dataclass(frozen=True, slots=True)
class TurnNode:
    """One call in the tree of a conversation."""

    call: Call
    cache: CacheReport | None
    retries: tuple[Call, ...] = ()
    """Further tries of the same request, oldest first."""
    children: tuple[ConversationTree, ...] = ()
    """Branches, sub-agents and side calls that started here."""


@dataclass(frozen=True, slots=True)
class ConversationTree:
    summary: ConversationSummary
    title: str | None
    """The beginning of what the user said first; None when it was not kept. It is the user's text: clean it."""
    turns: tuple[TurnNode, ...]
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class CacheExplanation:
    """Why the prompt cache hit or missed in one call."""

    call: Call
    report: CacheReport
    previous: Call | None
    diff: str | None = None
    """The first block that differs, as lines marked `-` and `+`; None when nothing does, or it is not kept."""
    changed: str | None = None
    """What that block is: `tool definition Read`, `system prompt`, `user message`, ..."""


@dataclass(frozen=True, slots=True)
class Spend:
    """A row of `report`, but for tools and hosts: what calls with one key added up to."""

    key: str
    """Empty for calls that have none; `total` in the last row."""
    calls: int
    counts: Counts
    """Basis `estimated` when that is so of any of the calls."""
    estimated: int
    """Calls whose tokens are estimated."""
    dollars: Decimal | None
    """Sum of the known prices; None when none is known."""
    unpriced: int
    """Calls whose price is unknown."""
    errors: int
    conversations: int
    first_at: float
    last_at: float
    uncounted: int = 0
    """Calls that are no spend (`count_tokens`), not part of any other number."""


@dataclass(frozen=True, slots=True)
class ToolSpend:
    """A row of `report --by tool` and `--by mcp-server`: what a tool takes up in context windows."""

    key: str
    """`TOOL`, `SERVER/TOOL`, or the name of a server; empty for tools of no server."""
    turns: int
    """Calls whose context had something of it."""
    tokens: int
    """Definitions, calls and results, summed over those contexts."""
    definitions: int
    """Of these, definitions."""
    calls: int
    """How often the model called it."""
    unused_turns: int
    """Turns of conversations in which it was defined and never called."""
    unused_tokens: int
    unused_dollars: Decimal | None


@dataclass(frozen=True, slots=True)
class HostSpend:
    """A row of `report --by host`: who is phoned. Counts all flows, also DNS, TCP, UDP and refused handshakes."""

    key: str
    flows: int
    types: dict[str, int]
    """Flows by type (`http`, `dns`, ...)."""
    sent: int
    """Bytes of bodies."""
    received: int
    failed: int
    opaque: int
    """Not decrypted."""
    calls: int
    """Model calls."""
    tokens: int
    dollars: Decimal | None
    providers: tuple[str, ...]
    agents: tuple[str, ...]
    """Who sent them, most flows first."""
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class Report:
    by: str
    rows: list[Any]
    """`Spend`, `ToolSpend` or `HostSpend`; most spent first, days and hours in their order."""
    total: Spend
    """Of all selected calls. Rows of tools, servers, hosts and sessions do not sum to it."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """The newest word on one account's limits."""

    account: str
    provider: str
    seen_at: float
    status: str | None
    binding: str | None
    retry_at: float | None
    limits: tuple[LimitState, ...] = ()
    """Fullest first; those whose window has ended since are shown as renewed."""


@dataclass(frozen=True, slots=True)
class NamedSession:
    """A group of calls that a person opened."""

    name: str
    started_at: float
    ended_at: float | None
    run: str | None
    """Only calls of this run; None: of any."""
    project: str | None
    archived: bool
    spend: Spend | None = None
    """Of the calls that belong to it."""
