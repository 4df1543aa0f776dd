"""query: SQL over what is documented, read-only, bounded in time and size."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

from pydantic import Field

from ccinspect.analysis import schema
from ccinspect.errors import CcinspectError
from ccinspect.mcp.answers import Answer, JsonObject, fitting, short
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.run_copy import copied
from ccinspect.mcp.tool import Arguments, Tool
from ccinspect.policy.unreadable import masked

SECONDS = 5.0
_STEPS = 20_000
"""Of SQLite's machine, between two looks at the clock."""
_MAX_ROWS = 10_000
_CELL = 300
_LENGTH = 1_000_000
_VIEWS = ("spend", "context_parts", "conversations", "cache_misses")
# Of real tables, what may be read: flows and runs, and what the views show of the others.
_COLUMNS = {
    "flows": {
        *("id", "uuid", "type", "source", "run", "state", "started_at", "ended_at", "method", "scheme", "host", "port"),
        *("path", "status", "failed", "request_size", "response_size", "changed", "parent"),
    },
    "runs": {"id", "name", "started_at", "ended_at"},
    "calls": {
        *("number", "id", "flow", "started_at", "provider", "model_answered", "model_requested", "agent", "purpose"),
        *("project", "run", "conversation", "turn", "kind", "input", "cache_read", "cache_write_5m", "cache_write_1h"),
        *("cache_write_other", "output", "counts_basis", "context", "context_basis", "picodollars"),
    },
    "composition": {"call", "facet", "name", "tokens", "visible"},
    "names": {"number", "name"},
    "cache_findings": {"call", "verdict", "missed", "picodollars"},
}
_HARMLESS_MODULES = {"json_each", "json_tree", "generate_series"}
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE}


class QueryRefused(CcinspectError):
    """The SQL is wrong, asks for what may not be read, or takes too long."""


class Query(Arguments):
    sql: str = Field(
        max_length=20_000,
        description="One SELECT (SQLite). Views: spend(id, flow, at, provider, model, agent, purpose, project, run, "
        "conversation, context, cache_read, output, basis, dollars); context_parts(id, facet, name, tokens, visible, "
        "basis); conversations(id, started_at, newest_at, calls, turns, context_peak, cache_read, output, dollars, "
        "unpriced); cache_misses(id, at, conversation, verdict, missed, dollars). Tables: flows(uuid, type, source, "
        "run, state, started_at, ended_at, method, scheme, host, port, path, status, failed, request_size, "
        "response_size, changed, parent); runs(id, name, started_at, ended_at).",
    )
    offset: int = Field(0, ge=0, description="Rows to leave out.")
    limit: int = Field(50, ge=1, le=500, description="Rows in one answer.")


def query(captured: Captured, asked: Query) -> Answer:
    """Ask in SQL what the other tools do not answer: sums, groups, joins over flows and model calls. Read-only."""
    with captured.analysis():
        # Opening it brings it up to date.
        pass
    secret_paths = captured.config().store.keep_secrets
    with closing(_opened(captured)) as db:
        columns, rows = _run(db, asked.sql, secret_paths)
    chosen = fitting([[_cell(value) for value in row] for row in rows[asked.offset : asked.offset + asked.limit]])
    end = asked.offset + len(chosen)
    more = end < len(rows)
    notes = (f"only the first {_MAX_ROWS:,} rows were read",) if len(rows) == _MAX_ROWS else ()
    content: JsonObject = {"columns": [masked(short(name, _CELL)) for name in columns], "rows": chosen}
    return Answer(content, len(rows), more, {"offset": end} if more else None, notes)


def _opened(captured: Captured) -> sqlite3.Connection:
    if captured.run is None:
        return schema.open_for_reading(captured.paths.store_dir)
    every: dict[str, frozenset[str]] = dict.fromkeys(_VIEWS, frozenset())
    own = {name: frozenset(_COLUMNS[name]) for name in ("flows", "runs")}
    return copied(captured.paths.store_dir, captured.run, every | own)


def _run(db: sqlite3.Connection, sql: str, secret_paths: bool) -> tuple[list[str], list[tuple[object, ...]]]:
    deadline = time.monotonic() + SECONDS
    refused: list[str] = []
    closed = _closed(db)

    def allow(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action in _ALLOWED:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and second != "load_extension":
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and _may_read(str(first).lower(), str(second or ""), closed, secret_paths):
            return sqlite3.SQLITE_OK
        refused.append(f"{first}.{second}".rstrip(".") if action == sqlite3.SQLITE_READ else "that statement")
        return sqlite3.SQLITE_DENY

    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LENGTH)
    db.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200)
    db.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
    db.text_factory = lambda data: data.decode("utf-8", "replace")
    db.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    db.set_authorizer(allow)
    try:
        cursor = db.execute(sql)
        if cursor.description is None:
            raise QueryRefused("this is no SELECT: nothing was done", "the store can only be read")
        return [column[0] for column in cursor.description], cursor.fetchmany(_MAX_ROWS)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _explain(error, refused, time.monotonic() > deadline) from error


def _closed(db: sqlite3.Connection) -> set[str]:
    """Names of what must not be read: all tables but ours above, and all modules that are tables of their own."""
    schemas = [row[1] for row in db.execute("PRAGMA database_list")]
    tables = {row[0] for name in schemas for row in db.execute(f"SELECT name FROM {name}.sqlite_master")}
    modules = {row[0] for row in db.execute("PRAGMA module_list")}
    return ((tables | modules) - _HARMLESS_MODULES - set(_VIEWS)) - _COLUMNS.keys()


def _may_read(table: str, column: str, closed: set[str], secret_paths: bool) -> bool:
    """What is no real table is a view or was named in the query itself: what it is made of is asked for apart."""
    if table == "flows" and column == "path" and secret_paths:
        # Kept with the secrets in it: SQL could cut them so that they are not known by their form any more.
        return False
    if table in _COLUMNS:
        # Counting rows reads a column without a name.
        return not column or column in _COLUMNS[table]
    return table not in closed and not table.startswith(("sqlite_", "pragma_"))


def _explain(error: Exception, refused: list[str], late: bool) -> QueryRefused:
    if refused:
        return QueryRefused(
            f"{refused[0]} may not be read here: nothing was done",
            f"views: {', '.join(_VIEWS)}; tables: flows, runs, their documented columns by name, no *",
        )
    if late:
        return QueryRefused(f"the query took more than {SECONDS:g} s and was stopped", "select fewer rows; add a LIMIT")
    return QueryRefused(f"SQLite says: {error}", "see the description of `sql` for views and columns")


def _cell(value: object) -> object:
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if isinstance(value, float):
        return round(value, 6)
    return masked(short(value, _CELL)) if isinstance(value, str) else value


TOOLS = (Tool(query, Query),)
