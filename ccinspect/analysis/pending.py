"""Which flows of the store are to be analysed: how far it was read, and what was still going on then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

_AT_ONCE = 500
_OF_CALLS = ("composition", "tools", "cache_findings", "turns", "turn_keys", "prefixes")


class Flow(NamedTuple):
    number: int
    """flows.id in the store: the order of arrival."""
    uuid: str
    state: str


def batches(db: sqlite3.Connection) -> Iterator[list[Flow]]:
    """Flows to look at, in the order in which they began; also those that are still going on, to be marked.

    Each batch is to be marked before the next is asked for.
    """
    ended = db.execute(
        "SELECT flows.id, waiting.uuid, flows.state FROM waiting JOIN flows ON flows.uuid = waiting.uuid "
        "WHERE state != 'started' ORDER BY flows.id"
    ).fetchall()
    if ended:
        yield [Flow(*row) for row in ended]
    while True:
        rows = db.execute(
            "SELECT id, uuid, state FROM flows WHERE id > ? AND type = 'http' "
            "AND NOT EXISTS (SELECT 1 FROM parties WHERE parties.flow = flows.uuid) "
            "AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.uuid = flows.uuid) ORDER BY id LIMIT ?",
            (_reached(db), _AT_ONCE),
        ).fetchall()
        if not rows:
            _reach_end(db)
            return
        yield [Flow(*row) for row in rows]


def _reach_end(db: sqlite3.Connection) -> None:
    """All flows are known: also when the one that was marked as the newest is gone."""
    row = db.execute("SELECT id, uuid FROM flows ORDER BY id DESC LIMIT 1").fetchone()
    if row is not None and row[0] > _reached(db):
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM progress")
        db.execute("INSERT INTO progress VALUES (?, ?)", row)
        db.execute("COMMIT")


def count(db: sqlite3.Connection, batch: list[Flow]) -> int:
    """How many flows there are to look at: this batch, and those behind it."""
    last = max(batch[-1].number, _reached(db))
    row = db.execute("SELECT count(*) FROM flows WHERE id > ? AND type = 'http'", (last,)).fetchone()
    return len(batch) + int(row[0])


def mark(db: sqlite3.Connection, flow: Flow) -> None:
    """The flow was looked at: never again, unless it is still going on."""
    if flow.number > _reached(db):
        db.execute("DELETE FROM progress")
        db.execute("INSERT INTO progress VALUES (?, ?)", (flow.number, flow.uuid))
    if flow.state == "started":
        db.execute("INSERT OR IGNORE INTO waiting VALUES (?)", (flow.uuid,))
    else:
        db.execute("DELETE FROM waiting WHERE uuid = ?", (flow.uuid,))
    # What an interrupted reanalysis left.
    forget_flow(db, flow.uuid)


def attempt(db: sqlite3.Connection, flow: Flow) -> None:
    db.execute("INSERT OR IGNORE INTO attempts VALUES (?)", (flow.uuid,))


def was_attempted(db: sqlite3.Connection, flow: Flow) -> bool:
    return db.execute("SELECT 1 FROM attempts WHERE uuid = ?", (flow.uuid,)).fetchone() is not None


def done(db: sqlite3.Connection, flow: Flow) -> None:
    db.execute("DELETE FROM attempts WHERE uuid = ?", (flow.uuid,))


def start_over(db: sqlite3.Connection, since: float | None) -> None:
    """Forget all flows (that began since then), so that they are looked at again."""
    if since is None:
        for table in (*_OF_CALLS, "calls", "parties", "names", "blocks", "attempts", "progress"):
            db.execute(f"DELETE FROM {table}")
        return
    (first,) = db.execute("SELECT min(id) FROM flows WHERE started_at >= ?", (since,)).fetchone()
    if first is None:
        return
    _forget_flows(db, "flow IN (SELECT uuid FROM flows WHERE id >= ?)", first)
    db.execute("DELETE FROM attempts")
    db.execute("DELETE FROM progress")
    db.execute("INSERT INTO progress SELECT id, uuid FROM flows WHERE id < ? ORDER BY id DESC LIMIT 1", (first,))


def remove_gone(db: sqlite3.Connection) -> None:
    """Remove all rows of flows that the store does not have any more."""
    gone = _forget_flows(db, "NOT EXISTS (SELECT 1 FROM flows WHERE flows.uuid = flow)")
    for table in ("waiting", "attempts"):
        db.execute(f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM flows WHERE flows.uuid = {table}.uuid)")
    db.execute("DELETE FROM limits WHERE NOT EXISTS (SELECT 1 FROM flows WHERE flows.uuid = limits.flow)")
    if gone:
        # Names and counts may be all that is left of what was removed.
        db.execute(
            "DELETE FROM names WHERE number NOT IN (SELECT name FROM composition) "
            "AND number NOT IN (SELECT tool FROM tools) "
            "AND number NOT IN (SELECT server FROM tools WHERE server IS NOT NULL)"
        )
        if not db.execute("SELECT 1 FROM calls LIMIT 1").fetchone():
            db.execute("DELETE FROM blocks")


def _forget_flows(db: sqlite3.Connection, which: str, *values: object) -> int:
    """Remove all rows of the flows for which a condition on the column `flow` holds; how many flows."""
    for table in _OF_CALLS:
        db.execute(f"DELETE FROM {table} WHERE call IN (SELECT number FROM calls WHERE {which})", values)
    db.execute(f"DELETE FROM calls WHERE {which}", values)
    return db.execute(f"DELETE FROM parties WHERE {which}", values).rowcount


def forget_flow(db: sqlite3.Connection, uuid: str) -> None:
    for (number,) in db.execute("SELECT number FROM calls WHERE flow = ?", (uuid,)).fetchall():
        for table in _OF_CALLS:
            db.execute(f"DELETE FROM {table} WHERE call = ?", (number,))
    db.execute("DELETE FROM calls WHERE flow = ?", (uuid,))
    db.execute("DELETE FROM parties WHERE flow = ?", (uuid,))


def _reached(db: sqlite3.Connection) -> int:
    """The newest flow that was looked at; 0 when it is not there any more, for then its number may be given again."""
    row = db.execute(
        "SELECT progress.flow FROM progress JOIN flows ON flows.id = progress.flow AND flows.uuid = progress.uuid"
    ).fetchone()
    return int(row[0]) if row else 0
