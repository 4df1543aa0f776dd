"""One run's view of the databases: on such a connection every name means that run's rows, whoever asks for it.

Temporary views hide the tables of the same names, for SQLite looks among the temporary ones first. A table of which
nothing is said here is empty. It protects readers of ours, which never name a schema; SQL of strangers could, and
must not get such a connection.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping

_RUN = re.compile(r"[0-9a-zA-Z-]{1,64}")

CONDITIONS: Mapping[str, str] = {
    "flows": "run = '{run}'",
    "runs": "id = '{run}'",
    "messages": "flow IN (SELECT id FROM temp.flows)",
}
"""Of the store: which rows of a table are a run's."""
REACHED_BY_NUMBER = frozenset(("bodies", "pieces", "dictionaries"))
"""Of the store: found only by a number that stands in a row of the others."""


def narrowed(
    db: sqlite3.Connection,
    run: str | None,
    conditions: Mapping[str, str] = CONDITIONS,
    reached_by_number: frozenset[str] = REACHED_BY_NUMBER,
) -> sqlite3.Connection:
    """The same connection, opened for reading, which now sees this run (its full id) only; None narrows nothing.

    When that fails, it is closed.
    """
    if run is None:
        return db
    try:
        _hide(db, run, conditions, reached_by_number)
    except BaseException:
        db.close()
        raise
    return db


def _hide(db: sqlite3.Connection, run: str, conditions: Mapping[str, str], reached_by_number: frozenset[str]) -> None:
    if not _RUN.fullmatch(run):
        raise ValueError(f"{run!r} is no id of a run")
    schemas = [row[1] for row in db.execute("PRAGMA database_list")]
    found = [
        (schema, *row)
        for schema in schemas
        for row in db.execute(f"SELECT type, name, sql FROM {schema}.sqlite_master WHERE type IN ('table', 'view')")
    ]
    # Views last: they are made anew over what the names mean now.
    for schema, kind, name, sql in sorted(found, key=lambda one: one[1]):
        if kind == "view":
            db.execute(str(sql).replace("CREATE VIEW", "CREATE TEMP VIEW", 1))
        elif name not in reached_by_number:
            rows = f'{schema}."{name}"'
            # Views have none of their own, and runs of the same moment are told apart by it.
            number = ", rowid" if name == "runs" else ""
            condition = conditions.get(name, "0").format(run=run)
            db.execute(f'CREATE TEMP VIEW "{name}" AS SELECT *{number} FROM {rows} WHERE {condition}')
