"""From rows of `analysis.db` to the records of `results`; which calls a question is about."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from ccinspect.analyser.composition import Basis
from ccinspect.analysis.batches import batches, placeholders
from ccinspect.analysis.results import Call, Counts, FlowFacts, Price
from ccinspect.analysis.rows import dollars
from ccinspect.errors import AmbiguousFlowId, FlowNotFound, NoModelCall
from ccinspect.store.selection import Selection

_CANDIDATES = 8

CACHE_WRITE = "coalesce(cache_write_5m, cache_write_1h, cache_write_other)"
"""NULL when nothing is told of writing; else it is to be replaced by the sum."""
SUM_OF_WRITES = "coalesce(cache_write_5m, 0) + coalesce(cache_write_1h, 0) + coalesce(cache_write_other, 0)"


class Where(NamedTuple):
    """A condition over table `calls`."""

    clause: str
    values: list[Any]

    def also(self, clause: str, *values: Any) -> Where:
        return Where(f"{self.clause} AND {clause}", [*self.values, *values])


def selected(db: sqlite3.Connection, selection: Selection) -> Where:
    """Calls of the selected flows. Raises BadSelection."""
    where, values = selection.where(db)
    if where == "1" and selection.limit is None:
        # Flows that were removed a moment ago have rows until the analyst comes by.
        return Where("EXISTS (SELECT 1 FROM flows WHERE uuid = calls.flow)", [])
    limit = "" if selection.limit is None else f" ORDER BY id DESC LIMIT {int(selection.limit)}"
    return Where(f"calls.flow IN (SELECT uuid FROM flows WHERE {where}{limit})", values)


def load_calls(db: sqlite3.Connection, where: Where, order: str = "started_at, number") -> list[Call]:
    cursor = db.execute(f"SELECT * FROM calls WHERE {where.clause} ORDER BY {order}", where.values)
    names = [column[0] for column in cursor.description]
    return [_call(dict(zip(names, row, strict=True))) for row in cursor]


def load_by_id(db: sqlite3.Connection, idents: Sequence[str]) -> dict[str, Call]:
    """The calls with these full ids, as far as there are."""
    found: dict[str, Call] = {}
    for batch in batches(idents):
        calls = load_calls(db, Where(f"id IN ({placeholders(batch)})", batch))
        found |= {call.id: call for call in calls}
    return found


def find_call(db: sqlite3.Connection, ident: str) -> Call:
    """One call by its id or its flow's, shortened or not; of several the newest that generated something.

    Raises FlowNotFound, AmbiguousFlowId, NoModelCall.
    """
    flow, _, position = ident.strip().lower().partition("#")
    uuid = find_flow(db, flow)
    calls = load_calls(db, Where("flow = ?", [uuid]), "position")
    if position:
        calls = [call for call in calls if call.id == f"{uuid}#{position}"]
        if not calls:
            raise FlowNotFound(f"the flow {flow} has no model call number {position}", "leave the number away")
    if not calls:
        raise NoModelCall(
            f"the flow {ident} is no call to a model, as far as can be told",
            "`ccinspect flows show` shows what it is; a provider of your own is declared in `providers`",
        )
    generated = [call for call in calls if call.kind == "generate"]
    return (generated or calls)[-1]


def find_flow(db: sqlite3.Connection, ident: str) -> str:
    """The whole uuid of a flow. Raises FlowNotFound, AmbiguousFlowId."""
    key = ident.strip().lower()
    rows = db.execute(
        f"SELECT uuid FROM flows WHERE uuid >= ? AND uuid < ? ORDER BY uuid LIMIT {_CANDIDATES + 1}",
        (key, key + "\U0010ffff"),
    ).fetchall()
    if not key or not rows:
        raise FlowNotFound(f"no flow has the id {ident!r}", "`ccinspect flows list` shows the ids there are")
    if len(rows) > 1 and rows[0][0] != key:
        more = ", ..." if len(rows) > _CANDIDATES else ""
        fit = ", ".join(row[0] for row in rows[:_CANDIDATES])
        raise AmbiguousFlowId(f"{ident!r} fits more than one flow: {fit}{more}", "give more of the id")
    return str(rows[0][0])


def load_facts(db: sqlite3.Connection, flows: Sequence[str]) -> dict[str, FlowFacts]:
    facts: dict[str, FlowFacts] = {}
    for batch in batches(flows):
        for row in db.execute(
            f"SELECT flow, provider, agent, agent_version FROM parties WHERE flow IN ({placeholders(batch)})", batch
        ):
            facts[row[0]] = FlowFacts(*row)
        rows = db.execute(
            "SELECT flow, count(*), coalesce(model_answered, model_requested), max(counts_basis = 'estimated'), "
            f"{counts_sums()}, max(position) FROM calls WHERE flow IN ({placeholders(batch)}) GROUP BY flow",
            batch,
        )
        for flow, calls, model, estimated, *sums in rows:
            known = facts.get(flow) or FlowFacts(flow, None, None, None)
            counts = counts_of(sums[:5], bool(estimated))
            facts[flow] = FlowFacts(flow, known.provider, known.agent, known.agent_version, calls, model, counts)
    return facts


def counts_sums() -> str:
    """Columns of an aggregate over `calls`, for `counts_of`."""
    return f"sum(input), sum(cache_read), sum({writes()}), sum(output), sum(reasoning)"


def writes() -> str:
    return f"iif({CACHE_WRITE} IS NULL, NULL, {SUM_OF_WRITES})"


def counts_of(sums: Sequence[int | None], estimated: bool) -> Counts:
    return Counts(Basis.ESTIMATED if estimated else Basis.PROVIDER, *sums)


def _call(row: dict[str, Any]) -> Call:
    told = [row[name] for name in ("cache_write_5m", "cache_write_1h", "cache_write_other")]
    written = None if all(count is None for count in told) else sum(count or 0 for count in told)
    return Call(
        id=row["id"],
        flow=row["flow"],
        started_at=row["started_at"],
        duration=row["duration"],
        first_byte=row["first_byte"],
        provider=row["provider"],
        dialect=row["dialect"],
        kind=row["kind"],
        purpose=row["purpose"],
        agent=row["agent"],
        agent_version=row["agent_version"],
        agent_kind=row["agent_kind"],
        model_requested=row["model_requested"],
        model_answered=row["model_answered"],
        stream=bool(row["stream"]),
        conversation=row["conversation"],
        relation=row["relation"],
        parent=row["parent"],
        origin=row["origin"],
        tool_call=row["tool_call"],
        turn=row["turn"],
        certainty=row["certainty"],
        confidence=row["confidence"],
        method=row["method"],
        fidelity=row["fidelity"],
        counts=Counts(
            Basis(row["counts_basis"]), row["input"], row["cache_read"], written, row["output"], row["reasoning"]
        ),
        price=Price(dollars(row["picodollars"]), Basis(row["cost_basis"]), row["cost_source"], dollars(row["saved"])),
        stop_reason=row["stop_reason"],
        outcome=row["outcome"],
        error_kind=row["error_kind"],
        status=row["status"],
        run=row["run"],
        project=row["project"],
        tags=json.loads(row["tags"]) if row["tags"] else {},
        said_session=row["said_session"],
        agent_session=row["agent_session"],
        host=row["host"],
        machine=row["machine"],
        account=row["account"],
        readable=bool(row["readable"]),
        note=row["note"],
        version=row["version"],
    )
