"""What is remembered of each request to place later ones: the turn; and where turns are looked up: the index.

The store keeps turns in a table; `MemoryIndex` keeps them in memory. All lookups are by equality of
short strings, and what a turn keeps is bounded, whatever the length of its conversation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ccinspect.analyser.purposes import Purpose
from ccinspect.analyser.records import Record


class Relation(StrEnum):
    """What a turn is to its parent."""

    ROOT = "root"
    """The first of a conversation; it has no parent."""
    CONTINUATION = "continuation"
    RETRY = "retry"
    """The same request again."""
    FORK = "fork"
    """Goes on from a turn from which the conversation had gone on already: a branch."""
    COMPACTION = "compaction"
    """Goes on from a summary of the parent's conversation."""
    SUB_AGENT = "sub_agent"
    """The first of a conversation that a tool call of the parent started."""
    SIDE_CALL = "side_call"
    """Housekeeping beside the parent's conversation."""


class Certainty(StrEnum):
    EXACT = "exact"
    """By ids that provider or agent gave."""
    INFERRED = "inferred"
    """By what is said."""
    AMBIGUOUS = "ambiguous"
    """More than one conversation fits as well; one of them was taken."""


@dataclass(frozen=True, slots=True)
class Lineage(Record):
    """Where a request belongs."""

    conversation: str
    """Id of the conversation: the flow id of its first turn."""
    relation: Relation
    parent: str | None = None
    """Flow id of the turn it follows, branches off, or was started by."""
    origin: str | None = None
    """For the first turn of a branch, a sub-agent or a side call: the conversation it came from."""
    call_id: str | None = None
    """For a sub-agent: the tool call that started it."""
    depth: int = 1
    """Turns in the conversation up to here, this one included; retries and side calls do not count."""
    method: str = "none"
    """`response_id`, `session_id`, `message_chain`, `prompt`, `summary`, `overlap` or `none`."""
    certainty: Certainty = Certainty.INFERRED
    confidence: float = 1.0
    """0 to 1; 1 for what is exact."""
    fidelity: str = "full"
    """`partial`: it leans on history at the provider that we did not see."""


@dataclass(frozen=True, slots=True)
class Turn(Record):
    """What is remembered of a request."""

    id: str
    """The flow's id."""
    lineage: Lineage
    purpose: Purpose
    started_at: float
    """Seconds since the epoch."""
    tip: str
    """Hash of its whole chain of messages."""
    messages: int
    """Length of that chain."""
    run: str | None = None
    model: str | None = None
    session: str | None = None
    thread: str | None = None
    response_id: str | None = None
    ok: bool = True
    """It was answered."""
    said: str | None = None
    """Hash of what the answer said, as `identity.said_hash`."""
    marks: dict[str, int] = field(default_factory=dict)
    """Identities of its largest blocks of history, with their weight."""
    prompts: dict[str, str] = field(default_factory=dict)
    """Hashes of the texts that its answer's tool calls hand on, each with the id of its call; of a summary, hashes
    of its lines, with an empty id."""


class ConversationIndex(Protocol):
    """Turns analysed before. Every method is bounded by `limit` or by the number of keys; newest come first."""

    def turn(self, flow_id: str) -> Turn | None: ...

    def by_response(self, response_id: str) -> Turn | None:
        """The turn that was answered with this response."""

    def by_tips(self, tips: Sequence[str]) -> Sequence[Turn]:
        """Turns whose chain ends in one of these hashes."""

    def by_session(self, session: str, limit: int) -> Sequence[Turn]: ...

    def by_marks(self, marks: Sequence[str], limit: int) -> Sequence[Turn]:
        """Turns that have most of these marks."""

    def by_prompts(self, prompts: Sequence[str], limit: int) -> Sequence[Turn]:
        """Turns that have at least one of these prompts."""

    def followers(self, flow_id: str) -> Sequence[Turn]:
        """Turns whose parent this is."""


_KEPT_A_KEY = 50
"""Turns kept for one key of the memory index."""


class MemoryIndex:
    """An index in memory: for tests, and for analysing without a store."""

    def __init__(self, turns: Iterable[Turn] = ()) -> None:
        self._turns: dict[str, Turn] = {}
        self._responses: dict[str, str] = {}
        self._by: dict[str, dict[str, list[str]]] = {
            name: defaultdict(list) for name in ("tip", "session", "mark", "prompt", "parent")
        }
        for turn in turns:
            self.add(turn)

    def add(self, turn: Turn) -> None:
        self._turns[turn.id] = turn
        if turn.response_id:
            self._responses[turn.response_id] = turn.id
        self._put("tip", (turn.tip,), turn.id)
        self._put("session", (turn.session,) if turn.session else (), turn.id)
        self._put("mark", turn.marks, turn.id)
        self._put("prompt", turn.prompts, turn.id)
        self._put("parent", (turn.lineage.parent,) if turn.lineage.parent else (), turn.id)

    def _put(self, table: str, keys: Iterable[str], flow_id: str) -> None:
        for key in keys:
            entries = self._by[table][key]
            entries.append(flow_id)
            del entries[:-_KEPT_A_KEY]

    def _get(self, table: str, key: str) -> list[Turn]:
        return [self._turns[each] for each in reversed(self._by[table].get(key, ()))]

    def turn(self, flow_id: str) -> Turn | None:
        return self._turns.get(flow_id)

    def by_response(self, response_id: str) -> Turn | None:
        return self._turns.get(self._responses.get(response_id, ""))

    def by_tips(self, tips: Sequence[str]) -> Sequence[Turn]:
        return [turn for tip in tips for turn in self._get("tip", tip)]

    def by_session(self, session: str, limit: int) -> Sequence[Turn]:
        return self._get("session", session)[:limit]

    def by_marks(self, marks: Sequence[str], limit: int) -> Sequence[Turn]:
        return self._most("mark", marks, limit)

    def by_prompts(self, prompts: Sequence[str], limit: int) -> Sequence[Turn]:
        return self._most("prompt", prompts, limit)

    def followers(self, flow_id: str) -> Sequence[Turn]:
        return self._get("parent", flow_id)

    def _most(self, table: str, keys: Sequence[str], limit: int) -> list[Turn]:
        shared: dict[str, int] = defaultdict(int)
        for key in dict.fromkeys(keys):
            for flow_id in self._by[table].get(key, ()):
                shared[flow_id] += 1
        best = sorted(shared, key=lambda each: (shared[each], self._turns[each].started_at), reverse=True)
        return [self._turns[each] for each in best[:limit]]
