"""`report`: where the tokens went, by one thing or another."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from ccinspect.analyser.unused import ToolLedger, ToolWeight, Unused, merge, unused
from ccinspect.analysis.loading import Where, counts_of, counts_sums
from ccinspect.analysis.results import HostSpend, NamedSession, Report, Spend, ToolSpend
from ccinspect.analysis.rows import dollars
from ccinspect.analysis.sessions import calls_in
from ccinspect.errors import BadSelection
from ccinspect.store.selection import Selection

KEYS = {
    "model": "coalesce(model_answered, model_requested, '')",
    "provider": "provider",
    "agent": "coalesce(agent, '')",
    "project": "coalesce(project, '')",
    "run": "coalesce(run, '')",
    "conversation": "coalesce(conversation, '')",
    "day": "strftime('%Y-%m-%d', started_at, 'unixepoch', 'localtime')",
    "hour": "strftime('%Y-%m-%d %H:00', started_at, 'unixepoch', 'localtime')",
}
"""What simple reports group calls by, in SQL."""
REPORTS = (*KEYS, "session", "tool", "mcp-server", "host")

_IN_ORDER = ("day", "hour")
_FAILED = "(outcome = 'error' OR coalesce(status, 0) >= 400)"
_COUNTED = "kind != 'count_tokens'"

# Aggregates over what is spend; `count_tokens` is none, and only counted in the last column.
_SPEND = (
    f"sum({_COUNTED}), coalesce(sum({_COUNTED} AND counts_basis = 'estimated' AND input IS NOT NULL), 0), "
    f"sum(picodollars), sum({_COUNTED} AND picodollars IS NULL), coalesce(sum({_COUNTED} AND {_FAILED}), 0), "
    f"count(DISTINCT iif({_COUNTED}, conversation, NULL)), min(started_at), max(started_at), "
    f"sum(kind = 'count_tokens'), {counts_sums()}"
)


def make_report(
    db: sqlite3.Connection, by: str, where: Where, sessions: Sequence[NamedSession], flows: Selection
) -> Report:
    """Raises BadSelection when nothing is reported by `by`."""
    if by not in REPORTS:
        raise BadSelection(f"nothing is reported by {by!r}", f"use one of {', '.join(REPORTS)}")
    total = spend_of(db, "total", where)
    rows: list[Any]
    if by == "session":
        rows = _by_session(db, where, sessions)
    elif by in ("tool", "mcp-server"):
        rows = _by_tool(db, where, by == "mcp-server")
    elif by == "host":
        rows = _by_host(db, flows, where)
    else:
        rows = [_spend(key, row) for key, *row in _grouped(db, KEYS[by], where)]
        rows = [row for row in rows if row.calls]
        if by not in _IN_ORDER:
            rows.sort(key=_heaviest)
    return Report(by, rows, total)


def spend_of(db: sqlite3.Connection, key: str, where: Where) -> Spend:
    """What all these calls added up to."""
    row = db.execute(f"SELECT {_SPEND} FROM calls WHERE {where.clause}", where.values).fetchone()
    return _spend(key, row)


def _grouped(db: sqlite3.Connection, key: str, where: Where) -> list[Any]:
    return db.execute(
        f"SELECT {key} AS key, {_SPEND} FROM calls WHERE {where.clause} GROUP BY key ORDER BY key", where.values
    ).fetchall()


def _spend(key: str, row: Sequence[Any]) -> Spend:
    calls, estimated, spent, unpriced, errors, conversations, first, last, uncounted, *sums = row
    calls, unpriced = calls or 0, unpriced or 0
    known = dollars(spent) if calls > unpriced else None
    return Spend(
        key,
        calls,
        counts_of(sums, bool(estimated)),
        estimated,
        known,
        unpriced,
        errors,
        conversations,
        first or 0.0,
        last or 0.0,
        uncounted or 0,
    )


def providers_by_model(db: sqlite3.Connection, where: Where) -> dict[str, set[str]]:
    """The providers that calls of each model went to."""
    found: dict[str, set[str]] = {}
    for model, provider in db.execute(
        f"SELECT DISTINCT {KEYS['model']}, provider FROM calls WHERE {where.clause}", where.values
    ):
        found.setdefault(model, set()).add(provider)
    return found


def _heaviest(row: Spend) -> tuple[Decimal, int, str]:
    return -(row.dollars or Decimal(0)), -row.counts.total, row.key


def _by_session(db: sqlite3.Connection, where: Where, sessions: Sequence[NamedSession]) -> list[Spend]:
    """Named sessions, and those that requests named themselves; a call may belong to several."""
    rows: list[Spend] = []
    outside = where
    for session in sessions:
        belongs = calls_in(session)
        rows.append(spend_of(db, session.name, where.also(belongs.clause, *belongs.values)))
        outside = outside.also(f"NOT coalesce({belongs.clause}, 0)", *belongs.values)
    rows += [_spend(key, row) for key, *row in _grouped(db, "coalesce(said_session, '')", outside)]
    return sorted((row for row in rows if row.calls), key=_heaviest)


def _by_tool(db: sqlite3.Connection, where: Where, servers: bool) -> list[ToolSpend]:
    facet = "server" if servers else "tool"
    counted = where.also(_COUNTED)
    taken = db.execute(
        "SELECT names.name, count(DISTINCT composition.call), sum(tokens) FROM composition "
        "JOIN calls ON calls.number = composition.call JOIN names ON names.number = composition.name "
        f"WHERE facet = ? AND {counted.clause} GROUP BY names.name",
        (facet, *counted.values),
    ).fetchall()
    if servers:
        taken.append(("", *_without_server(db, counted)))
    weights = _weights_by_conversation(db, counted)
    rows: dict[str, ToolSpend] = {
        name: ToolSpend(name, turns, tokens, 0, 0, 0, 0, None) for name, turns, tokens in taken if turns
    }
    for key, some in _grouped_weights(weights, servers).items():
        known = rows.get(key, ToolSpend(key, 0, 0, 0, 0, 0, 0, None))
        idle = [weight for weight in some if not weight.calls and weight.turns]
        priced = [weight.cost for weight in idle if weight.unpriced < weight.turns]
        rows[key] = ToolSpend(
            key,
            known.turns or max(weight.turns for weight in some),
            known.tokens or sum(weight.tokens for weight in some),
            sum(weight.tokens for weight in some),
            sum(weight.calls for weight in some),
            sum(weight.turns for weight in idle),
            sum(weight.tokens for weight in idle),
            sum(priced, Decimal(0)) if priced else None,
        )
    return sorted(rows.values(), key=lambda row: (-row.tokens, row.key))


def _without_server(db: sqlite3.Connection, where: Where) -> tuple[int, int]:
    """(calls with tools of no server, tokens of these tools): those of all tools, less those of servers."""
    turns, tokens = db.execute(
        "SELECT count(*), coalesce(sum(rest), 0) FROM (SELECT "
        "sum(CASE facet WHEN 'tool' THEN tokens ELSE -tokens END) AS rest FROM composition "
        "JOIN calls ON calls.number = composition.call "
        f"WHERE facet IN ('tool', 'server') AND {where.clause} GROUP BY composition.call) WHERE rest > 0",
        where.values,
    ).fetchone()
    return turns, tokens


def _grouped_weights(weights: Iterable[ToolWeight], servers: bool) -> dict[str, list[ToolWeight]]:
    grouped: dict[str, list[ToolWeight]] = {}
    for weight in weights:
        name = f"{weight.server}/{weight.name}" if weight.server else weight.name
        grouped.setdefault((weight.server or "") if servers else name, []).append(weight)
    return grouped


def _weights_by_conversation(db: sqlite3.Connection, where: Where) -> list[ToolWeight]:
    """One weight for each tool in each conversation: whether it was called is asked within a conversation."""
    rows = db.execute(_WEIGHTS.format(where=where.clause, group="calls.conversation, tools.tool"), where.values)
    return [_weight(row) for row in rows]


_WEIGHTS = """
SELECT names.name, servers.name, sum(tools.turns), sum(tokens), sum(tools.calls), coalesce(sum(tools.picodollars), 0),
       sum(tools.picodollars IS NULL AND tools.turns > 0)
FROM tools JOIN calls ON calls.number = tools.call JOIN names ON names.number = tools.tool
     LEFT JOIN names AS servers ON servers.number = tools.server
WHERE {where} GROUP BY {group}
"""


def _weight(row: Sequence[Any]) -> ToolWeight:
    name, server, turns, tokens, calls, spent, unpriced = row
    bare = name.removeprefix(f"{server}/") if server else name
    return ToolWeight(bare, server, turns, tokens, calls, dollars(spent) or Decimal(0), unpriced or 0)


def unused_tools(db: sqlite3.Connection, where: Where) -> Unused:
    """Definitions never called over all of these calls together."""
    where = where.also(_COUNTED)
    rows = db.execute(_WEIGHTS.format(where=where.clause, group="tools.tool"), where.values)
    weights = [_weight(row) for row in rows]
    tools = {f"{one.server}/{one.name}" if one.server else one.name: one for one in weights}
    (turns,) = db.execute(f"SELECT count(*) FROM calls WHERE {where.clause} AND readable", where.values).fetchone()
    return unused(merge([ToolLedger(turns, tools)]))


def _by_host(db: sqlite3.Connection, flows: Selection, where: Where) -> list[HostSpend]:
    clause, values = flows.where(db)
    limit = "" if flows.limit is None else f" ORDER BY id DESC LIMIT {int(flows.limit)}"
    chosen = f"(SELECT * FROM flows WHERE {clause}{limit})"
    types: dict[str, Counter[str]] = {}
    sums: dict[str, list[Any]] = {}
    # By bare columns, so that an index gives them in order.
    for host, kind, number, sent, received, failed, first, last in db.execute(
        "SELECT host, type, count(*), coalesce(sum(request_size), 0), coalesce(sum(response_size), 0), "
        f"sum(failed), min(started_at), max(started_at) FROM {chosen} GROUP BY host, type",
        values,
    ):
        host = host or ""
        types.setdefault(host, Counter())[kind] += number
        known = sums.setdefault(host, [0, 0, 0, first or 0.0, last or 0.0])
        known[0] += sent
        known[1] += received
        known[2] += failed
        known[3] = min(known[3], first or known[3])
        known[4] = max(known[4], last or 0.0)
    everything = clause == "1" and not limit
    parties = _parties_by_host(db, "" if everything else f"WHERE flow IN (SELECT uuid FROM {chosen})", values)
    spent = {
        host: (calls, sum(count or 0 for count in counts[:4]), dollars(money) if calls > (unpriced or 0) else None)
        for host, calls, money, unpriced, *counts in db.execute(
            f"SELECT coalesce(host, ''), sum({_COUNTED}), sum(picodollars), sum({_COUNTED} AND picodollars IS NULL), "
            f"{counts_sums()} FROM calls WHERE {where.clause} GROUP BY 1",
            where.values,
        )
    }
    rows: list[HostSpend] = []
    for host, kinds in types.items():
        sent, received, failed, first, last = sums[host]
        calls, tokens, money = spent.get(host, (0, 0, None))
        providers, agents = parties.get(host, ((), ()))
        number, opaque = sum(kinds.values()), _opaque(kinds)
        fixed = (host, number, dict(kinds), sent, received, failed, opaque, calls, tokens, money)
        rows.append(HostSpend(*fixed, providers, agents, first, last))
    return sorted(rows, key=lambda row: (-row.sent - row.received, -row.flows, row.key))


def _opaque(kinds: Counter[str]) -> int:
    """Raw streams are what was not decrypted, or is no HTTP."""
    return kinds["tcp"] + kinds["udp"] + kinds["tls"]


def _parties_by_host(
    db: sqlite3.Connection, which: str, values: Sequence[Any]
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    providers: dict[str, Counter[str]] = {}
    agents: dict[str, Counter[str]] = {}
    for host, provider, agent, number in db.execute(
        f"SELECT host, provider, agent, count(*) FROM parties {which} GROUP BY host, provider, agent", values
    ):
        host = host or ""
        for table, name in ((providers, provider), (agents, agent)):
            counts = table.setdefault(host, Counter())
            if name:
                counts[name] += number
    return {
        host: tuple(tuple(name for name, _ in table[host].most_common()) for table in (providers, agents))  # type: ignore[misc]
        for host in providers
    }
