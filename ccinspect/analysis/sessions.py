"""Named sessions: what a person opened and closed. Kept apart from `analysis.db`, for it cannot be made anew."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ccinspect.analysis.loading import Where
from ccinspect.analysis.results import NamedSession
from ccinspect.errors import SessionError
from ccinspect.store.schema import cannot_open

DATABASE = "sessions.db"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    name TEXT PRIMARY KEY,
    started_at REAL NOT NULL,
    ended_at REAL,
    run TEXT,
    project TEXT,
    archived INTEGER NOT NULL DEFAULT 0
)
"""
_COLUMNS = "name, started_at, ended_at, run, project, archived"
_LONGEST = 200


def start(store_dir: Path, name: str, now: float, run: str | None, project: str | None) -> None:
    """See `query.start_session`."""
    if not name.strip() or len(name) > _LONGEST or not name.isprintable():
        raise SessionError(f"{name[:40]!r} is no name for a session", f"use 1 to {_LONGEST} printable characters")
    with _writing(store_dir) as db:
        known = db.execute("SELECT ended_at FROM sessions WHERE name = ?", (name,)).fetchone()
        if known is not None:
            state = "open" if known[0] is None else "there"
            raise SessionError(
                f"a session {name!r} is {state} already: nothing was changed",
                "end it first: ccinspect session end" if known[0] is None else "choose another name",
            )
        db.execute("INSERT INTO sessions VALUES (?, ?, NULL, ?, ?, 0)", (name, now, run, project))


def end(store_dir: Path, name: str, now: float, *, archive: bool = False) -> None:
    """See `query.end_session` and `query.archive_session`."""
    with _writing(store_dir) as db:
        known = db.execute("SELECT ended_at FROM sessions WHERE name = ?", (name,)).fetchone()
        if known is None:
            raise _unknown(name)
        if known[0] is not None and not archive:
            raise SessionError(f"the session {name!r} has ended already", "`ccinspect session show` shows it")
        db.execute("UPDATE sessions SET ended_at = coalesce(ended_at, ?) WHERE name = ?", (now, name))
        if archive:
            db.execute("UPDATE sessions SET archived = 1 WHERE name = ?", (name,))


def load(store_dir: Path, *, archived: bool = True) -> list[NamedSession]:
    """All sessions, oldest first. Raises StoreUnavailable."""
    path = store_dir / DATABASE
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)) as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM sessions WHERE archived <= ? ORDER BY started_at", (int(archived),)
            ).fetchall()
    except sqlite3.Error as error:
        raise cannot_open(path, error) from error
    return [NamedSession(name, began, ended, run, project, bool(off)) for name, began, ended, run, project, off in rows]


def find(store_dir: Path, name: str) -> NamedSession:
    """Raises SessionError when there is none of this name."""
    found = next((one for one in load(store_dir) if one.name == name), None)
    if found is None:
        raise _unknown(name)
    return found


def calls_in(session: NamedSession) -> Where:
    """The calls that belong to a session: begun while it was open, or said to belong to it."""
    where = Where("calls.started_at >= ?", [session.started_at])
    if session.ended_at is not None:
        where = where.also("calls.started_at < ?", session.ended_at)
    if session.run is not None:
        where = where.also(
            "calls.run IN (SELECT id FROM runs WHERE id = ? OR name = ? OR substr(id, 1, length(?)) = ?)",
            *[session.run] * 4,
        )
    if session.project is not None:
        where = where.also("calls.project = ?", session.project)
    return Where(f"({where.clause} OR calls.said_session = ?)", [*where.values, session.name])


def _unknown(name: str) -> SessionError:
    return SessionError(f"there is no session {name!r}", "`ccinspect session list` shows those there are")


@contextmanager
def _writing(store_dir: Path) -> Iterator[sqlite3.Connection]:
    """One transaction on the sessions' file, which is made when there is none. Raises StoreUnavailable."""
    path = store_dir / DATABASE
    try:
        store_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10.0)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute(_SCHEMA)
            yield db
            db.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise cannot_open(path, error) from error
