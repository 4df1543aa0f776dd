"""What the store holds, in numbers."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from ccinspect.store import schema


def store_statistics(store_dir: Path) -> dict[str, Any]:
    """`{path, exists, schema, flows, by_type, runs, messages, oldest, newest, bodies, captured_bytes, distinct_bytes,
    stored_bytes, compression, pieces, record_bytes, file_bytes, log_bytes, free_bytes}`.

    Bytes: `captured_bytes` is what all bodies were on the wire, `distinct_bytes` each different one once,
    `stored_bytes` what they take in the file; `compression` is captured / stored, or None. `oldest` and `newest` are
    seconds since the epoch, or None. Raises StoreUnavailable.
    """
    path = store_dir / schema.DATABASE
    with contextlib.closing(schema.open_for_reading(store_dir)) as db:
        try:
            return (
                {"path": str(path), "exists": path.exists(), "schema": len(schema.MIGRATIONS)}
                | _read(db)
                | {
                    "file_bytes": size_of(path),
                    "log_bytes": size_of(path.with_name(path.name + "-wal")),
                }
            )
        except sqlite3.Error as error:
            raise schema.cannot_open(path, error) from error


def _read(db: sqlite3.Connection) -> dict[str, Any]:
    # One transaction: the numbers belong together while a daemon writes.
    db.execute("BEGIN")
    by_type = dict(db.execute("SELECT type, count(*) FROM flows GROUP BY type ORDER BY type").fetchall())
    oldest, newest, records = db.execute(
        "SELECT min(started_at), max(started_at), coalesce(sum(length(record)), 0) FROM flows"
    ).fetchone()
    bodies, captured, distinct = db.execute(
        "SELECT count(*), coalesce(sum(size * uses), 0), coalesce(sum(size), 0) FROM bodies"
    ).fetchone()
    pieces, stored = db.execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM pieces").fetchone()
    pages = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size")}
    runs = db.execute("SELECT count(*) FROM runs").fetchone()[0]
    messages = db.execute("SELECT count(*) FROM messages").fetchone()[0]
    db.execute("COMMIT")
    return {
        "flows": sum(by_type.values()),
        "by_type": by_type,
        "runs": runs,
        "messages": messages,
        "oldest": oldest,
        "newest": newest,
        "bodies": bodies,
        "captured_bytes": captured,
        "distinct_bytes": distinct,
        "stored_bytes": stored,
        "compression": round(captured / stored, 2) if stored else None,
        "pieces": pieces,
        "record_bytes": records,
        "free_bytes": pages["freelist_count"] * pages["page_size"],
    }


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
