"""Keeping the store in bounds: removing flows by age, by size, by choice; giving the space back."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ccinspect.errors import BadSelection
from ccinspect.store.bodies import BodyWriter
from ccinspect.store.options import StoreOptions
from ccinspect.store.record import RecordCodec, to_json
from ccinspect.store.selection import Selection

_AT_ONCE = 200
_PAGES_AT_ONCE = 2000
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
    """Remove the selected flows but those still going on; the result is how many. Raises BadSelection."""
    selection = Selection.from_params(params)
    if selection.limit is not None:
        raise BadSelection("flows are not removed by number", "select them by time, run, host, path, status or type")
    where, values = selection.where(db)
    removed = sum(_remove_oldest(db, bodies, where, values))
    _forget_runs(db, time.time())
    for _ in give_back(db, bodies):
        continue
    return removed


def retain(db: sqlite3.Connection, bodies: BodyWriter, options: StoreOptions) -> Iterator[int]:
    """Remove what is older than `max_age`, then the oldest until the store fits `max_bytes`.

    In steps of a fraction of a second, between which others may write; each yields how many flows were removed.
    """
    if options.max_age is not None:
        oldest = time.time() - options.max_age
        yield from _remove_oldest(db, bodies, "started_at < ?", (oldest,))
        _forget_runs(db, oldest)
    if options.max_bytes is not None and used_bytes(db) > options.max_bytes:
        yield from _shrink(db, bodies, int(_SHRINK_TO * options.max_bytes))
        oldest = db.execute("SELECT min(started_at) FROM flows").fetchone()[0]
        _forget_runs(db, oldest if oldest is not None else time.time())
    yield from give_back(db, bodies)


def vacuum(db: sqlite3.Connection, bodies: BodyWriter) -> int:
    """Give back to the file system whatever holds nothing; the result is how many bytes."""
    before = _file_bytes(db)
    for _ in give_back(db, bodies):
        continue
    return max(0, before - _file_bytes(db))


def compact(database: Path) -> int:
    """Write a database anew without gaps, in the order of its tables; the result is how many bytes shorter it is.

    Takes as much room again for as long as it lasts. The caller is the sole writer. Raises sqlite3.Error.
    """
    with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=10.0)) as db:
        before = _file_bytes(db)
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return max(0, before - _file_bytes(db))


def _file_bytes(db: sqlite3.Connection) -> int:
    pages, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size)


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes of the database that hold something."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def give_back(db: sqlite3.Connection, bodies: BodyWriter) -> Iterator[int]:
    """Free pieces that no body uses any more, and return free pages to the file system; in steps, as `retain`."""
    while _sweep(db, bodies):
        yield 0
    if not _free_pages(db):
        return
    while free := _free_pages(db):
        db.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
        yield 0
        if _free_pages(db) >= free:
            break
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _free_pages(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA freelist_count").fetchone()[0])


def _sweep(db: sqlite3.Connection, bodies: BodyWriter) -> int:
    db.execute("BEGIN IMMEDIATE")
    try:
        found = bodies.sweep()
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return found


def _shrink(db: sqlite3.Connection, bodies: BodyWriter, target: int) -> Iterator[int]:
    """Remove the oldest flows until no more than `target` bytes are used; what they share with others frees nothing."""
    while (excess := used_bytes(db) - target) > 0:
        oldest = db.execute(
            "SELECT id, coalesce(request_size, 0) + coalesce(response_size, 0) FROM flows WHERE state != 'started' "
            "ORDER BY id LIMIT ?",
            (_AT_ONCE,),
        ).fetchall()
        if not oldest:
            return
        chosen = []
        for flow, size in oldest:
            chosen.append(flow)
            excess -= size
            if excess <= 0:
                break
        yield _remove(db, bodies, chosen)
        while _sweep(db, bodies):
            yield 0


def _remove_oldest(db: sqlite3.Connection, bodies: BodyWriter, where: str, values: Sequence[Any]) -> Iterator[int]:
    last = 0
    while True:
        found = db.execute(
            f"SELECT id FROM flows WHERE ({where}) AND state != 'started' AND id > ? ORDER BY id LIMIT {_AT_ONCE}",
            (*values, last),
        ).fetchall()
        if not found:
            return
        last = found[-1][0]
        yield _remove(db, bodies, [row[0] for row in found])


def _forget_runs(db: sqlite3.Connection, before: float) -> None:
    """Remove the runs that ended before a time and of which no flow is left."""
    db.execute(
        "DELETE FROM runs WHERE ended_at < ? AND NOT EXISTS (SELECT 1 FROM flows WHERE run = runs.id)", (before,)
    )


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
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return len(flows)
