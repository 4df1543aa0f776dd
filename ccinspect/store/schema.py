"""The database: its tables, its migrations, and how it is opened.

Anyone may read it with the `sqlite3` program; docs/store.md explains each table.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from ccinspect.errors import StoreUnavailable
from ccinspect.store.record_dictionary import RECORD_DICTIONARY_1

DATABASE = "flows.db"
LOCK = "recorder.lock"
SPOOL = "spool"
BACKUPS = "backups"
_ROOM_FOR_READERS = 1 << 16

_FIRST = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    name TEXT,
    started_at REAL,
    ended_at REAL,
    record TEXT NOT NULL              -- JSON, docs/flow-schema.md
);
CREATE INDEX runs_by_start ON runs (started_at);

CREATE TABLE flows (
    id INTEGER PRIMARY KEY,           -- order of arrival
    uuid TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    source TEXT,
    run TEXT,
    state TEXT NOT NULL,
    started_at REAL,
    ended_at REAL,
    method TEXT,
    scheme TEXT,
    host TEXT,                        -- as in request.pretty_host, lower case; DNS: the name asked for
    port INTEGER,
    path TEXT,
    status INTEGER,
    failed INTEGER NOT NULL,          -- 1: an error, or a status of 400 or more
    request_size INTEGER,
    response_size INTEGER,
    request_body INTEGER,             -- bodies.id
    response_body INTEGER,
    client_request_body INTEGER,      -- only where it differs from request_body
    client_response_body INTEGER,
    record BLOB NOT NULL              -- the whole record: one byte (dictionaries.id), then zstd of JSON
);
CREATE INDEX flows_by_start ON flows (started_at);
CREATE INDEX flows_by_run ON flows (run) WHERE run IS NOT NULL;
CREATE INDEX flows_going_on ON flows (id) WHERE state = 'started';

CREATE TABLE messages (
    flow INTEGER NOT NULL,            -- flows.id
    seq INTEGER NOT NULL,
    from_client INTEGER NOT NULL,
    type TEXT NOT NULL,
    timestamp REAL,
    size INTEGER,
    content BLOB,                     -- zstd, or the bytes themselves when that is not smaller (then length = size)
    body INTEGER,                     -- bodies.id, in place of `content` for a large one
    PRIMARY KEY (flow, seq)
) WITHOUT ROWID;

CREATE TABLE bodies (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,        -- sha256 of the exact bytes
    size INTEGER NOT NULL,
    uses INTEGER NOT NULL,            -- flows and messages that refer to it
    pieces BLOB NOT NULL              -- msgpack array: the ids of its pieces in order, each minus the one before
);

CREATE TABLE pieces (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,        -- sha256 of the piece
    size INTEGER NOT NULL,
    data BLOB NOT NULL                -- zstd, or the bytes themselves when that is not smaller (then length = size)
);

-- Apart from `pieces`, so that counting does not rewrite the pages that hold data.
CREATE TABLE piece_uses (
    piece INTEGER PRIMARY KEY,
    uses INTEGER NOT NULL
);
CREATE INDEX unused_pieces ON piece_uses (piece) WHERE uses = 0;

CREATE TABLE dictionaries (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL                -- a zstd raw-content dictionary
);
"""


def _migrate_1(db: sqlite3.Connection) -> None:
    for statement in _FIRST.split(";\n"):
        db.execute(statement)
    db.execute("INSERT INTO dictionaries VALUES (1, ?)", (RECORD_DICTIONARY_1,))


def _migrate_2(db: sqlite3.Connection) -> None:
    """What was done to a flow on its way. Before there were hooks and routes, nothing was."""
    db.execute("ALTER TABLE flows ADD COLUMN changed INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE flows ADD COLUMN parent TEXT")
    db.execute("CREATE INDEX flows_changed ON flows (id) WHERE changed = 1")
    db.execute("CREATE INDEX flows_by_parent ON flows (parent) WHERE parent IS NOT NULL")


def _migrate_3(db: sqlite3.Connection) -> None:
    """What sums of all flows by host need, without the records that lie between. In order of time, so that what is new
    comes to the end of its host's pages."""
    db.execute("CREATE INDEX flows_by_host ON flows (host, type, started_at, failed, request_size, response_size)")


# Append only: a migration that has been released is never changed. PRAGMA user_version counts those applied.
MIGRATIONS = (_migrate_1, _migrate_2, _migrate_3)


def exists(store_dir: Path) -> bool:
    """Whether there is a database. A file without a byte is what is left where making one was interrupted."""
    try:
        return (store_dir / DATABASE).stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False


def open_for_writing(store_dir: Path) -> sqlite3.Connection:
    """Open, create or migrate the database in `store_dir`. The caller holds the lock.

    Raises StoreUnavailable when it is newer than this program, damaged, or cannot be written.
    """
    path = store_dir / DATABASE
    try:
        store_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
    except (OSError, sqlite3.Error) as error:
        raise cannot_open(path, error) from error
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise other_version(path, version)
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = FAST")
        db.execute("PRAGMA cache_size = -4000")
        db.execute("PRAGMA journal_size_limit = 8000000")
        _migrate(db, version)
    except sqlite3.Error as error:
        db.close()
        raise cannot_open(path, error) from error
    except StoreUnavailable:
        db.close()
        raise
    return db


def open_for_reading(store_dir: Path) -> sqlite3.Connection:
    """Open the database read-only, also while a recorder writes it; one that does not exist reads as empty.

    Raises StoreUnavailable when it is damaged, or of another version.
    """
    path = store_dir / DATABASE
    if not exists(store_dir):
        return _empty()
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10.0)
    except sqlite3.Error as error:
        raise cannot_open(path, error) from error
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        db.close()
        raise cannot_open(path, error) from error
    if version == 0:
        # It is being made at this moment.
        db.close()
        return _empty()
    if version != len(MIGRATIONS):
        db.close()
        raise other_version(path, version)
    return db


def _empty() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    for migration in MIGRATIONS:
        migration(db)
    return db


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for number in range(version, len(MIGRATIONS)):
        db.execute("BEGIN IMMEDIATE")
        try:
            MIGRATIONS[number](db)
            db.execute(f"PRAGMA user_version = {number + 1}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise


def other_version(path: Path, version: int) -> StoreUnavailable:
    """What to say of a store that another version of this program wrote."""
    if version > len(MIGRATIONS):
        return StoreUnavailable(
            f"the store at {path} was written by a newer ccinspect (schema {version}, this one knows "
            f"{len(MIGRATIONS)}): nothing is read from it or written to it",
            "upgrade ccinspect, or use another directory with --config DIR",
        )
    return StoreUnavailable(
        f"the store at {path} is of an older ccinspect (schema {version}, this one needs {len(MIGRATIONS)})",
        "the daemon brings it up to date when it starts (`ccinspect start --detach`), or: ccinspect db upgrade",
    )


def cannot_open(path: Path, error: Exception) -> StoreUnavailable:
    """What to say of a database that SQLite or the file system refuses."""
    if _is_full(path, error):
        return StoreUnavailable(
            f"the store at {path} cannot be written: the disk is full; it is as it was",
            "free some space, and try again",
        )
    return StoreUnavailable(
        f"the store at {path} cannot be used: {error}",
        "check that the disk is not full and that the file is yours; move it away to begin a new one",
    )


def _is_full(path: Path, error: Exception) -> bool:
    """SQLite calls it an I/O error when there is no room for the file that readers share."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code != sqlite3.SQLITE_IOERR:
        return code == sqlite3.SQLITE_FULL
    try:
        return shutil.disk_usage(path.parent).free < _ROOM_FOR_READERS
    except OSError:
        return False
