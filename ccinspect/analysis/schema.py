"""`analysis.db`: its tables, its migrations, and how it is opened together with the store.

Everything in it was derived from the store and can be made anew: `ccinspect reanalyse`, or remove the file. It holds
names, numbers and hashes, nothing of what was said. docs/analysis.md explains the tables and views.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from ccinspect.errors import StoreUnavailable
from ccinspect.store import schema as store_schema

DATABASE = "analysis.db"
LOCK = "analyst.lock"

PICO = 10**12
"""Amounts of money are whole picodollars, so that sums in SQL stay exact."""

_TABLES = """
-- Every HTTP flow that was looked at.
CREATE TABLE parties (
    flow TEXT PRIMARY KEY,            -- flows.uuid in flows.db
    provider TEXT,                    -- NULL: a host in no table, and no model call
    agent TEXT,
    agent_version TEXT,
    agent_kind TEXT,                  -- agent, sdk or tool
    version INTEGER NOT NULL          -- the analyser that made the flow's rows
) WITHOUT ROWID;
CREATE INDEX parties_by_version ON parties (version);

CREATE TABLE calls (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,          -- the flow's uuid; of the calls of a WebSocket UUID#N
    flow TEXT NOT NULL,
    position INTEGER NOT NULL,        -- 0, or 1, 2, ... in a WebSocket
    version INTEGER NOT NULL,
    started_at REAL NOT NULL,
    duration REAL,
    first_byte REAL,
    provider TEXT NOT NULL,
    dialect TEXT NOT NULL,
    kind TEXT NOT NULL,
    purpose TEXT NOT NULL,
    agent TEXT,
    agent_version TEXT,
    agent_kind TEXT,
    model_requested TEXT,
    model_answered TEXT,
    stream INTEGER NOT NULL,
    conversation TEXT,                -- calls.id of its first call
    relation TEXT,
    parent TEXT,                      -- calls.id
    origin TEXT,                      -- the conversation that this one came from
    tool_call TEXT,
    turn INTEGER NOT NULL,
    certainty TEXT,
    confidence REAL,
    method TEXT,
    fidelity TEXT NOT NULL,
    response_id TEXT,
    counts_basis TEXT NOT NULL,       -- provider or estimated: of the seven counts below
    input INTEGER,                    -- neither read from a cache nor written to one
    cache_read INTEGER,
    cache_write_5m INTEGER,
    cache_write_1h INTEGER,
    cache_write_other INTEGER,
    output INTEGER,
    reasoning INTEGER,                -- a share of output
    web_searches INTEGER,
    context INTEGER,                  -- tokens in the context window
    context_basis TEXT,
    visible INTEGER,                  -- of these, estimated tokens of what can be seen, before scaling
    unattributed INTEGER,
    coverage REAL,                    -- percent of context that is attributed
    answer TEXT,                      -- JSON: what the answer was made of
    picodollars INTEGER,              -- NULL: the price is unknown
    saved INTEGER,                    -- picodollars
    cost_basis TEXT NOT NULL,
    cost_source TEXT NOT NULL,
    stop_reason TEXT,
    outcome TEXT,
    error_kind TEXT,
    status INTEGER,
    run TEXT,
    project TEXT,
    tags TEXT,                        -- JSON object
    said_session TEXT,
    agent_session TEXT,
    host TEXT,
    machine TEXT,
    account TEXT,                     -- keyed fingerprint
    readable INTEGER NOT NULL,        -- 0: only metadata
    note TEXT
);
CREATE INDEX calls_by_flow ON calls (flow);
CREATE INDEX calls_by_start ON calls (started_at);
CREATE INDEX calls_by_conversation ON calls (conversation);
CREATE INDEX calls_by_origin ON calls (origin) WHERE origin IS NOT NULL;
CREATE INDEX calls_by_parent ON calls (parent) WHERE parent IS NOT NULL;
CREATE INDEX calls_by_response ON calls (response_id) WHERE response_id IS NOT NULL;

CREATE TABLE names (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- What was in the context window. Of one facet the tokens sum to calls.context less unattributed, or to less where
-- not every part has such a name.
CREATE TABLE composition (
    call INTEGER NOT NULL,            -- calls.number
    facet TEXT NOT NULL,              -- category, kind, source, activity, tool, server or file
    name INTEGER NOT NULL,            -- names.number
    tokens INTEGER NOT NULL,          -- basis: calls.context_basis
    visible INTEGER,                  -- category only: as estimated, before scaling
    PRIMARY KEY (call, facet, name)
) WITHOUT ROWID;

-- Tool definitions sent, and calls made.
CREATE TABLE tools (
    call INTEGER NOT NULL,
    tool INTEGER NOT NULL,            -- names.number: TOOL or SERVER/TOOL
    server INTEGER,                   -- names.number
    turns INTEGER NOT NULL,           -- 1: its definition was sent
    tokens INTEGER NOT NULL,          -- of the definition
    calls INTEGER NOT NULL,           -- in the answer
    picodollars INTEGER,              -- what the definition cost
    PRIMARY KEY (call, tool)
) WITHOUT ROWID;

CREATE TABLE cache_findings (
    call INTEGER PRIMARY KEY,
    verdict TEXT NOT NULL,
    missed INTEGER NOT NULL,
    picodollars INTEGER,              -- what the miss cost
    report TEXT NOT NULL              -- JSON: the whole finding
);

-- What later calls are placed by.
CREATE TABLE turns (
    call INTEGER PRIMARY KEY,
    packed BLOB NOT NULL              -- zstd of JSON
);
CREATE TABLE turn_keys (
    key BLOB NOT NULL,                -- 8 bytes of a hash: of a message chain, a session, a block, a prompt
    call INTEGER NOT NULL,
    PRIMARY KEY (key, call)
) WITHOUT ROWID;
CREATE INDEX turn_keys_by_call ON turn_keys (call);

-- Of the newest calls: the beginning that each left in the provider's cache.
CREATE TABLE prefixes (
    call INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    prefix BLOB NOT NULL              -- zstd of JSON
);

-- Each distinct block is counted once.
CREATE TABLE blocks (
    key BLOB PRIMARY KEY,             -- 16 bytes of a hash
    count TEXT NOT NULL               -- tokens, or JSON where there is more to say
) WITHOUT ROWID;

CREATE TABLE limits (
    account TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    flow TEXT NOT NULL,               -- the newest that told
    seen_at REAL NOT NULL,
    state TEXT NOT NULL               -- JSON
) WITHOUT ROWID;

-- How far the store was read: the newest flow looked at, and those before it that were still going on.
CREATE TABLE progress (
    flow INTEGER NOT NULL,            -- flows.id in flows.db
    uuid TEXT NOT NULL
);
CREATE TABLE waiting (
    uuid TEXT PRIMARY KEY
) WITHOUT ROWID;
CREATE TABLE attempts (
    uuid TEXT PRIMARY KEY             -- being analysed: if it is here at the start, it ended the last analyst
) WITHOUT ROWID;
"""

_VIEWS = """
CREATE VIEW spend AS
SELECT id, flow, datetime(started_at, 'unixepoch', 'localtime') AS at, provider,
       coalesce(model_answered, model_requested) AS model, agent, purpose, project, run, conversation,
       coalesce(input, 0) + coalesce(cache_read, 0) + coalesce(cache_write_5m, 0) + coalesce(cache_write_1h, 0)
           + coalesce(cache_write_other, 0) AS context,
       cache_read, output, counts_basis AS basis, picodollars / 1e12 AS dollars
FROM calls WHERE kind != 'count_tokens';

CREATE VIEW context_parts AS
SELECT calls.id, facet, names.name, tokens, composition.visible, context_basis AS basis
FROM composition JOIN calls ON calls.number = composition.call JOIN names ON names.number = composition.name;

CREATE VIEW conversations AS
SELECT conversation AS id, min(started_at) AS started_at, max(started_at) AS newest_at, count(*) AS calls,
       max(turn) AS turns, max(context) AS context_peak, sum(cache_read) AS cache_read, sum(output) AS output,
       sum(picodollars) / 1e12 AS dollars, sum(picodollars IS NULL) AS unpriced
FROM calls WHERE conversation IS NOT NULL GROUP BY conversation;

CREATE VIEW cache_misses AS
SELECT calls.id, datetime(started_at, 'unixepoch', 'localtime') AS at, conversation, verdict, missed,
       cache_findings.picodollars / 1e12 AS dollars
FROM cache_findings JOIN calls ON calls.number = cache_findings.call WHERE missed > 0;
"""


def _migrate_1(db: sqlite3.Connection) -> None:
    for statement in (_TABLES + _VIEWS).split(";\n"):
        if statement.strip():
            db.execute(statement)


def _migrate_2(db: sqlite3.Connection) -> None:
    """The host beside its provider and agent, so that a report of all hosts looks up no flow. The store is attached."""
    db.execute("ALTER TABLE parties ADD COLUMN host TEXT")
    db.execute("UPDATE parties SET host = (SELECT flows.host FROM flows WHERE uuid = parties.flow)")
    db.execute("CREATE INDEX parties_by_host ON parties (host, provider, agent)")


# Append only: a migration that has been released is never changed. PRAGMA user_version counts those applied.
MIGRATIONS = (_migrate_1, _migrate_2)


def open_for_writing(store_dir: Path) -> sqlite3.Connection:
    """Open, create or migrate `analysis.db` with the store attached. The caller holds the lock; the store is there.

    One that is damaged is made anew. Raises StoreUnavailable when it is newer than this program, or cannot be written.
    """
    path = store_dir / DATABASE
    try:
        return _open_for_writing(store_dir)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise store_schema.cannot_open(path, error) from error
    _remove(store_dir)
    try:
        return _open_for_writing(store_dir)
    except sqlite3.Error as error:
        raise store_schema.cannot_open(path, error) from error


def exists(store_dir: Path) -> bool:
    return (store_dir / DATABASE).exists()


def remove_if_damaged(store_dir: Path, error: sqlite3.Error) -> None:
    """After an error at work: if `analysis.db` is damaged, remove it, so that it is made anew. The caller holds the
    lock. Raises StoreUnavailable when it was removed."""
    if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return
    path = store_dir / DATABASE
    try:
        # It may have been the store that is damaged.
        with contextlib.closing(sqlite3.connect(path)) as db:
            if db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                return
    except sqlite3.DatabaseError as second:
        if isinstance(second, sqlite3.OperationalError):
            return
    _remove(store_dir)
    raise StoreUnavailable(f"the analysis at {path} was damaged, and was removed", "ask again: it is made anew")


def _remove(store_dir: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            (store_dir / (DATABASE + suffix)).unlink()


def _open_for_writing(store_dir: Path) -> sqlite3.Connection:
    path = store_dir / DATABASE
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(path.resolve().as_uri(), uri=True, isolation_level=None, timeout=10.0)
    except OSError as error:
        raise store_schema.cannot_open(path, error) from error
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise _newer(path, version)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = FAST")
        db.execute("PRAGMA cache_size = -8000")
        db.execute("PRAGMA journal_size_limit = 8000000")
        _attach_store(db, store_dir)
        for number in range(version, len(MIGRATIONS)):
            db.execute("BEGIN IMMEDIATE")
            MIGRATIONS[number](db)
            db.execute(f"PRAGMA user_version = {number + 1}")
            db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def open_for_reading(store_dir: Path) -> sqlite3.Connection:
    """The analysis and the store in one read-only connection; what does not exist yet reads as empty.

    No two tables of theirs have the same name, so none needs to be qualified. Raises StoreUnavailable.
    """
    path = store_dir / DATABASE
    # Says what is wrong with the store in its own words.
    store_schema.open_for_reading(store_dir).close()
    try:
        if not exists(store_dir):
            return _empty(store_dir)
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10.0)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise _newer(path, version)
            if version < len(MIGRATIONS):
                raise StoreUnavailable(
                    f"the analysis at {path} is of an older ccinspect, and is being brought up to date",
                    "try again when that is done; see `ccinspect status`",
                )
            _attach_store(db, store_dir)
        except BaseException:
            db.close()
            raise
        return db
    except sqlite3.Error as error:
        raise store_schema.cannot_open(path, error) from error


def _attach_store(db: sqlite3.Connection, store_dir: Path) -> None:
    path = store_dir / store_schema.DATABASE
    db.execute("ATTACH ? AS store", (f"{path.resolve().as_uri()}?mode=ro",))


def _empty(store_dir: Path) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", uri=True, isolation_level=None)
    if store_schema.exists(store_dir):
        _attach_store(db, store_dir)
    else:
        for store_migration in store_schema.MIGRATIONS:
            store_migration(db)
    for migration in MIGRATIONS:
        migration(db)
    return db


def _newer(path: Path, version: int) -> StoreUnavailable:
    return StoreUnavailable(
        f"the analysis at {path} was written by a newer ccinspect (schema {version}, this one knows {len(MIGRATIONS)})",
        "upgrade ccinspect, or remove that file: it is made anew from the store",
    )
