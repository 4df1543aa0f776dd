"""Conversations: their summaries, and the tree of what came from what."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal

from ccinspect.analyser.cache_misses import CacheReport
from ccinspect.analyser.composition import Basis
from ccinspect.analysis.batches import batches, placeholders
from ccinspect.analysis.loading import Where, load_calls
from ccinspect.analysis.results import Call, ConversationSummary, ConversationTree, Counts, TurnNode

MAX_DEPTH = 20
"""Conversations within conversations that a tree shows."""
MAX_CALLS = 20_000
"""Calls of one tree."""

_APART = "('side_call', 'sub_agent')"


def list_conversations(
    db: sqlite3.Connection, where: Where, all_kinds: bool, limit: int | None = None
) -> list[ConversationSummary]:
    """Conversations with a call in `where`, or the newest `limit` of them, the newest last."""
    found = summaries(db, listed(db, where, all_kinds)[:limit])
    return sorted(found, key=lambda one: (one.ended_at, one.id))


def listed(db: sqlite3.Connection, where: Where, all_kinds: bool) -> list[str]:
    """Ids of the conversations with a call in `where`, the newest first; side calls and sub-agents only with
    `all_kinds`."""
    # Which kind one is says its first call; one whose beginning was removed is listed.
    kind = (
        "" if all_kinds else f"HAVING coalesce(max(CASE WHEN id = conversation THEN relation END), '') NOT IN {_APART}"
    )
    rows = db.execute(
        f"SELECT conversation FROM calls WHERE conversation IN (SELECT conversation FROM calls WHERE {where.clause}) "
        f"GROUP BY conversation {kind} ORDER BY max(started_at + coalesce(duration, 0)) DESC, conversation DESC",
        where.values,
    )
    return [row[0] for row in rows]


def summaries(db: sqlite3.Connection, idents: Sequence[str]) -> list[ConversationSummary]:
    """What these conversations came to, in this order; those that are gone are left out."""
    calls: dict[str, list[Call]] = {}
    children: Counter[str] = Counter()
    for batch in batches(idents):
        calls |= _calls_of(db, batch)
        children |= _children_count(db, batch)
    return [_summary(ident, calls[ident], children[ident]) for ident in idents if ident in calls]


def load_tree(db: sqlite3.Connection, conversation: str, title: Callable[[str], str | None]) -> ConversationTree | None:
    """The conversation with all that came from it; None when there is none. `title` finds the words of a first call."""
    family = _family(db, conversation)
    if conversation not in family:
        return None
    calls = [call for group in family.values() for call in group]
    return _Planter(db, family, _cache_reports(db, calls), title).plant(conversation, 0)


def _family(db: sqlite3.Connection, conversation: str) -> dict[str, list[Call]]:
    """The calls of a conversation and of all that came from it, by conversation."""
    found: dict[str, list[Call]] = {}
    wanted = [conversation]
    for _ in range(MAX_DEPTH):
        found |= _calls_of(db, wanted)
        if sum(map(len, found.values())) > MAX_CALLS:
            break
        wanted = [ident for ident in _children_of(db, wanted) if ident not in found]
        if not wanted:
            break
    return found


class _Planter:
    def __init__(
        self,
        db: sqlite3.Connection,
        family: dict[str, list[Call]],
        reports: dict[str, CacheReport],
        title: Callable[[str], str | None],
    ) -> None:
        self._family = family
        self._reports = reports
        self._title = title
        self._planted: set[str] = set()
        self._children = _children_count(db, list(family))
        self._by_origin: dict[str, list[str]] = defaultdict(list)
        for ident, calls in family.items():
            if calls[0].origin:
                self._by_origin[calls[0].origin].append(ident)

    def plant(self, ident: str, depth: int) -> ConversationTree:
        self._planted.add(ident)
        calls = self._family[ident]
        turns = [call for call in calls if call.relation != "retry"] or calls[:1]
        known = {call.id for call in turns}
        retries: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            if call.id not in known:
                retries[call.parent if call.parent in known else turns[0].id].append(call)
        children = self._grow(ident, turns, {call.id: call.parent or "" for call in calls}, depth)
        nodes = tuple(
            TurnNode(call, self._reports.get(call.id), tuple(retries[call.id]), tuple(children[call.id]))
            for call in turns
        )
        return ConversationTree(_summary(ident, calls, self._children[ident]), self._title(ident), nodes)

    def _grow(
        self, ident: str, turns: Sequence[Call], parents: dict[str, str], depth: int
    ) -> dict[str, list[ConversationTree]]:
        """What came from a conversation, by the turn it started at."""
        grown: dict[str, list[ConversationTree]] = defaultdict(list)
        known = {call.id for call in turns}
        for child in self._by_origin.get(ident, ()):
            if child in self._planted or depth >= MAX_DEPTH:
                continue
            at = self._family[child][0].parent or ""
            # What started at a retry hangs on the turn that was tried.
            at = at if at in known else parents.get(at, "")
            grown[at if at in known else turns[0].id].append(self.plant(child, depth + 1))
        return grown


def _summary(ident: str, calls: Sequence[Call], children: int) -> ConversationSummary:
    first = next((call for call in calls if call.id == ident), calls[0])
    spent = [call for call in calls if call.kind != "count_tokens"]
    contexts = [call.counts.context for call in spent if call.counts.input is not None] or [0]
    models = Counter(call.model for call in calls if call.model)
    priced = [call.price.dollars for call in spent if call.price.dollars is not None]
    return ConversationSummary(
        id=ident,
        started_at=calls[0].started_at,
        ended_at=max(call.started_at + (call.duration or 0.0) for call in calls),
        relation=first.relation or "root",
        origin=first.origin,
        purpose=first.purpose,
        agent=first.agent,
        provider=first.provider,
        models=tuple(model for model, _ in models.most_common()),
        run=first.run,
        project=first.project,
        calls=len(calls),
        turns=sum(call.relation != "retry" for call in calls),
        context_first=contexts[0],
        context_last=contexts[-1],
        context_peak=max(contexts),
        counts=add_up([call.counts for call in spent]),
        dollars=sum(priced, Decimal(0)) if priced else None,
        unpriced=len(spent) - len(priced),
        errors=sum(call.error_kind is not None for call in calls),
        children=children,
    )


def add_up(counts: Sequence[Counts]) -> Counts:
    """Sums; what nobody told stays None, and one estimate makes the sum one."""

    def total(values: Sequence[int | None]) -> int | None:
        told = [value for value in values if value is not None]
        return sum(told) if told else None

    estimated = any(one.basis is Basis.ESTIMATED and one.input is not None for one in counts)
    return Counts(
        Basis.ESTIMATED if estimated else Basis.PROVIDER,
        total([one.input for one in counts]),
        total([one.cache_read for one in counts]),
        total([one.cache_write for one in counts]),
        total([one.output for one in counts]),
        total([one.reasoning for one in counts]),
    )


def load_cache_report(db: sqlite3.Connection, call: Call) -> CacheReport | None:
    return _cache_reports(db, [call]).get(call.id)


def _cache_reports(db: sqlite3.Connection, calls: Sequence[Call]) -> dict[str, CacheReport]:
    found: dict[str, CacheReport] = {}
    for batch in batches([call.id for call in calls]):
        for ident, report in db.execute(
            "SELECT calls.id, report FROM cache_findings JOIN calls ON calls.number = cache_findings.call "
            f"WHERE calls.id IN ({placeholders(batch)})",
            batch,
        ):
            found[ident] = CacheReport.from_json(json.loads(report))
    return found


def _calls_of(db: sqlite3.Connection, conversations: Sequence[str]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = defaultdict(list)
    for batch in batches(conversations):
        clause = f"conversation IN ({placeholders(batch)}) AND EXISTS (SELECT 1 FROM flows WHERE uuid = calls.flow)"
        for call in load_calls(db, Where(clause, batch)):
            found[call.conversation or ""].append(call)
    return dict(found)


def _children_of(db: sqlite3.Connection, conversations: Sequence[str]) -> list[str]:
    found: list[str] = []
    for batch in batches(conversations):
        rows = db.execute(
            f"SELECT DISTINCT conversation FROM calls WHERE origin IN ({placeholders(batch)}) ORDER BY number",
            batch,
        )
        found += [row[0] for row in rows]
    return found


def _children_count(db: sqlite3.Connection, conversations: Sequence[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for batch in batches(conversations):
        rows = db.execute(
            "SELECT origin, count(DISTINCT conversation) FROM calls "
            f"WHERE origin IN ({placeholders(batch)}) GROUP BY origin",
            batch,
        )
        counts.update(dict(rows))
    return counts
