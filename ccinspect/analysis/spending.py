"""What model calls came to, read without loading the analyser: budgets ask before each call."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from ccinspect.analysis import schema
from ccinspect.errors import StoreUnavailable

_PICO = Decimal(10) ** -12
_TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "cache_write_other", "output")


class Total(NamedTuple):
    dollars: Decimal
    """Of the calls whose price is known."""
    tokens: int
    unpriced: int
    """Calls without a known price."""


def total(store_dir: Path, *, run: str | None = None, project: str | None = None, since: float | None = None) -> Total:
    """Of the analysed calls that fit; `since` is in seconds since 1970. Raises StoreUnavailable."""
    wanted = {"run = ?": run, "project = ?": project, "started_at >= ?": since}
    clause = " AND ".join(text for text, value in wanted.items() if value is not None) or "1"
    tokens = " + ".join(f"coalesce({part}, 0)" for part in _TOKENS)
    with closing(schema.open_for_reading(store_dir)) as db:
        try:
            spent, read, unpriced = db.execute(
                f"SELECT sum(picodollars), sum({tokens}), sum(picodollars IS NULL) FROM calls "
                f"WHERE kind = 'generate' AND {clause}",
                [value for value in wanted.values() if value is not None],
            ).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the analysis cannot be read: {error}", "try again") from error
    return Total((spent or 0) * _PICO, read or 0, unpriced or 0)
