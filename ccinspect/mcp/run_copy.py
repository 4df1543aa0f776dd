"""What `query` reads for one run: a copy in memory of the documented columns of its rows.

SQL can name any table of any file that its connection has open. Here there is none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from ccinspect.analysis import scope


def copied(store_dir: Path, run: str, tables: Mapping[str, frozenset[str]]) -> sqlite3.Connection:
    """A database in memory with these tables and columns, of this run only; an empty set of columns means all.

    Raises StoreUnavailable.
    """
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with closing(scope.open_for_reading(store_dir, run)) as source:
            source.text_factory = lambda data: data.decode("utf-8", "replace")
            for table, columns in tables.items():
                rows = source.execute(f"SELECT {', '.join(sorted(columns)) or '*'} FROM {table}")
                names = [column[0] for column in rows.description]
                copy.execute(f"CREATE TABLE {table} ({', '.join(names)})")
                copy.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})", rows)
    except BaseException:
        copy.close()
        raise
    return copy
