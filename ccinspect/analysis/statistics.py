"""What is kept beside the store, in numbers: the analysis, and the sessions that people named."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from ccinspect.analysis import schema, sessions
from ccinspect.store.schema import cannot_open
from ccinspect.store.statistics import size_of


def analysis_statistics(store_dir: Path) -> dict[str, Any]:
    """`{path, exists, schema, calls, conversations, sessions, file_bytes, log_bytes}`.

    Raises StoreUnavailable, also when it is being brought up to date.
    """
    path = store_dir / schema.DATABASE
    with contextlib.closing(schema.open_for_reading(store_dir)) as db:
        try:
            calls, conversations = db.execute("SELECT count(*), count(DISTINCT conversation) FROM calls").fetchone()
        except sqlite3.Error as error:
            raise cannot_open(path, error) from error
    return {
        "path": str(path),
        "exists": path.exists(),
        "schema": len(schema.MIGRATIONS),
        "calls": calls,
        "conversations": conversations,
        "sessions": len(sessions.load(store_dir)),
        "file_bytes": size_of(path),
        "log_bytes": size_of(path.with_name(path.name + "-wal")),
    }
