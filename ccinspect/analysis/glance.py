"""What a list of flows shows beside each, read without loading the analyser: that takes longer than listing may."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from ccinspect.analysis import scope
from ccinspect.analysis.batches import batches, placeholders
from ccinspect.errors import StoreUnavailable
from ccinspect.store import schema as store_schema

_EVER = (1 << 63) - 1
"""Above the number of any flow."""


class Glance(NamedTuple):
    """Who sent a flow; and for a model call, which model answered (of several the newest) and how many tokens."""

    agent: str | None
    model: str | None = None
    tokens: int | None = None
    """All that went in and came out."""
    estimated: bool = False


def glance(store_dir: Path, flows: Sequence[str], run: str | None = None) -> dict[str, Glance]:
    """What is known of these flows (full ids, with `run` of that run only) so far; the others are left out.

    Raises StoreUnavailable.
    """
    known: dict[str, Glance] = {}
    with _reading(store_dir, run) as db:
        for batch in batches(flows):
            known |= _some(db, batch)
    return known


def _some(db: sqlite3.Connection, batch: list[str]) -> dict[str, Glance]:
    senders = db.execute(f"SELECT flow, agent FROM parties WHERE flow IN ({placeholders(batch)})", batch)
    known = {flow: Glance(agent) for flow, agent in senders}
    parts = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "cache_write_other", "output")
    total = " + ".join(f"coalesce({part}, 0)" for part in parts)
    # SQLite takes the bare columns from the row with the greatest position.
    calls = db.execute(
        f"SELECT flow, coalesce(model_answered, model_requested), sum({total}), "
        f"sum(coalesce({', '.join(parts)}) IS NOT NULL), sum(counts_basis = 'estimated'), max(position) "
        f"FROM calls WHERE flow IN ({placeholders(batch)}) GROUP BY flow",
        batch,
    )
    for flow, model, tokens, counted, estimated, _ in calls:
        agent = known[flow].agent if flow in known else None
        known[flow] = Glance(agent, model, tokens if counted else None, bool(estimated))
    return known


class Window(NamedTuple):
    """What was in the context window of a call; `categories` are tokens by category, the largest first."""

    model: str | None
    context: int
    estimated: bool
    cached: int | None
    output: int | None
    categories: dict[str, int]


def windows(store_dir: Path, flow: str) -> list[Window]:
    """The context windows of the calls of a flow (its full id), in order; empty while nothing is known of any.

    Raises StoreUnavailable.
    """
    with _reading(store_dir) as db:
        calls = db.execute(
            "SELECT id, coalesce(model_answered, model_requested), context, context_basis, cache_read, output "
            "FROM calls WHERE flow = ? AND context IS NOT NULL ORDER BY position",
            (flow,),
        ).fetchall()
        return [
            Window(model, context, basis == "estimated", cached, output, _categories(db, ident))
            for ident, model, context, basis, cached, output in calls
        ]


def _categories(db: sqlite3.Connection, call: str) -> dict[str, int]:
    rows = db.execute(
        "SELECT name, tokens FROM context_parts WHERE id = ? AND facet = 'category' AND tokens > 0 "
        "ORDER BY tokens DESC, name",
        (call,),
    )
    return dict(rows.fetchall())


def newest(store_dir: Path) -> int:
    """The number of the newest flow there is (flows.id), 0 where there is none. Raises StoreUnavailable."""
    with closing(store_schema.open_for_reading(store_dir)) as db:
        try:
            (number,) = db.execute("SELECT max(id) FROM flows").fetchone()
        except sqlite3.Error as error:
            raise store_schema.cannot_open(store_dir / store_schema.DATABASE, error) from error
    return int(number or 0)


def behind(store_dir: Path, until: int = _EVER) -> int:
    """How many flows that may be model calls, up to the one of this number, have ended and were not analysed yet.

    Raises StoreUnavailable.
    """
    with _reading(store_dir) as db:
        # CROSS: else SQLite may go through all flows to find the few that wait.
        row = db.execute(
            "SELECT (SELECT count(*) FROM flows WHERE type = 'http' AND state != 'started' "
            "AND (method = 'POST' OR status = 101) AND id <= :until "
            "AND id > coalesce((SELECT max(progress.flow) FROM progress), 0)), "
            "(SELECT count(*) FROM waiting CROSS JOIN flows ON flows.uuid = waiting.uuid "
            "WHERE state != 'started' AND id <= :until)",
            {"until": until},
        ).fetchone()
    return int(row[0]) + int(row[1])


@contextmanager
def _reading(store_dir: Path, run: str | None = None) -> Iterator[sqlite3.Connection]:
    with closing(scope.open_for_reading(store_dir, run)) as db:
        try:
            yield db
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the analysis cannot be read: {error}", "try again") from error
