"""Keeping the store in bounds: removing flows by age, by size, by choice; giving the space back."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from ccinspect.store.bodies import BodyWriter
from ccinspect.store.options import StoreOptions
from ccinspect.store.record import RecordCodec, to_json
from ccinspect.store.selection import Selection

_AT_ONCE = 200
# Shrinking goes this far below the limit, so that it need not be done again with every flow.
_SHRINK_TO = 0.9


def mark_interrupted(db: sqlite3.Connection) -> int:
    """Flows and runs that were going on when the last writer ended will never be finished: say so in their records."""
    codec = RecordCodec(db)
    db.execute("BEGIN IMMEDIATE")
    rows = db.execute("SELECT id, record FROM flows WHERE state = 'started'").fetchall()
    for number, packed in rows:
        record = codec.unpack(packed) | {"state": "interrupted"}
        db.execute("UPDATE flows SET state = 'interrupted', record = ? WHERE id = ?", (codec.pack(record), number))
    for run, text in db.execute("SELECT id, record FROM runs WHERE ended_at IS NULL").fetchall():
        last = db.execute("SELECT max(coalesce(ended_at, started_at)) FROM flows WHERE run = ?", (run,)).fetchone()[0]
        record = json.loads(text)
        record["ended_at"] = last or record.get("started_at")
        db.execute("UPDATE runs SET ended_at = ?, record = ? WHERE id = ?", (record["ended_at"], to_json(record), run))
    db.execute("COMMIT")
    return len(rows)


def clear(db: sqlite3.Connection, bodies: BodyWriter, params: dict[str, Any]) -> int:
    """Remove the selected flows but those still going on; the result is how many."""
    where, values = Selection.from_params(params).where(db)
    removed = 0
    while True:
        found = db.execute(
            f"SELECT id FROM flows WHERE ({where}) AND state != 'started' ORDER BY id DESC LIMIT {_AT_ONCE}", values
        ).fetchall()
        removed += _remove(db, bodies, [row[0] for row in found])
        if len(found) < _AT_ONCE:
            break
    give_back(db, bodies)
    return removed


def retain(db: sqlite3.Connection, bodies: BodyWriter, options: StoreOptions) -> int:
    """Remove what is older than `max_age`, then the oldest until the store fits `max_bytes`; the result is how many."""
    removed = 0
    if options.max_age is not None:
        removed += _remove_oldest(db, bodies, "started_at < ?", (time.time() - options.max_age,))
    if options.max_bytes is not None and used_bytes(db) > options.max_bytes:
        while used_bytes(db) > _SHRINK_TO * options.max_bytes:
            found = _remove_oldest(db, bodies, "1", (), at_most=_AT_ONCE)
            _sweep(db, bodies)
            removed += found
            if not found:
                break
    give_back(db, bodies)
    return removed


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes of the database that hold something."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def give_back(db: sqlite3.Connection, bodies: BodyWriter) -> None:
    """Free pieces that no body uses any more, and return free pages to the file system."""
    _sweep(db, bodies)
    if db.execute("PRAGMA freelist_count").fetchone()[0]:
        db.execute("PRAGMA incremental_vacuum").fetchall()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _sweep(db: sqlite3.Connection, bodies: BodyWriter) -> None:
    while True:
        db.execute("BEGIN IMMEDIATE")
        found = bodies.sweep()
        db.execute("COMMIT")
        if not found:
            return


def _remove_oldest(
    db: sqlite3.Connection, bodies: BodyWriter, where: str, values: tuple[Any, ...], at_most: int | None = None
) -> int:
    removed = 0
    while at_most is None or removed < at_most:
        found = db.execute(
            f"SELECT id FROM flows WHERE {where} AND state != 'started' ORDER BY id LIMIT {_AT_ONCE}", values
        ).fetchall()
        removed += _remove(db, bodies, [row[0] for row in found])
        if len(found) < _AT_ONCE:
            break
    return removed


def _remove(db: sqlite3.Connection, bodies: BodyWriter, flows: list[int]) -> int:
    db.execute("BEGIN IMMEDIATE")
    try:
        for flow in flows:
            row = db.execute(
                "SELECT request_body, response_body, client_request_body, client_response_body FROM flows WHERE id = ?",
                (flow,),
            ).fetchone()
            held = [*row, *(body for (body,) in db.execute("SELECT body FROM messages WHERE flow = ?", (flow,)))]
            for body in held:
                if body is not None:
                    bodies.release(body)
            db.execute("DELETE FROM messages WHERE flow = ?", (flow,))
            db.execute("DELETE FROM flows WHERE id = ?", (flow,))
        db.execute(
            "DELETE FROM runs WHERE ended_at IS NOT NULL AND id NOT IN (SELECT run FROM flows WHERE run IS NOT NULL)"
        )
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return len(flows)
