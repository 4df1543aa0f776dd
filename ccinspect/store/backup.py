"""A copy of the store in one file, taken while others read and write it, and checked before it is trusted.

The file is a SQLite database: all of `flows.db` as it was at one moment, and two tables more. `backup` says what it is,
`backup_files` holds the files that belong to it, in parts, compressed. Anyone may look into it with `sqlite3`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import zstandard

from ccinspect import __version__
from ccinspect.errors import BackupError
from ccinspect.store import schema
from ccinspect.store.bodies import pack_data, unpack_data

Progress = Callable[[int, int], None]
"""Called with (done, all): megabytes of what is copied, or pieces of what is checked."""

FORMAT = 1
_PAGES_AT_ONCE = 1000
_PART = 1 << 20
_PIECES_AT_ONCE = 500
_TABLES = """
CREATE TABLE backup (format INTEGER, made_at REAL, version TEXT, schema INTEGER, flows INTEGER, runs INTEGER);
CREATE TABLE backup_files (
    name TEXT NOT NULL, part INTEGER NOT NULL, size INTEGER NOT NULL, hash BLOB NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (name, part)
);
"""


@dataclass(frozen=True)
class Backup:
    """What a backup says of itself. `made_at` is seconds since the epoch, `size` bytes of the file."""

    path: str
    made_at: float
    version: str
    schema: int
    flows: int
    runs: int
    files: tuple[str, ...]
    size: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def silent(done: int, everything: int) -> None:
    """No progress is shown."""


def write_backup(
    store_dir: Path, target: Path, databases: Sequence[str], files: Sequence[str], progress: Progress = silent
) -> Backup:
    """Write the store, and those of `databases` and `files` that are beside it, to `target` (0600), or nothing.

    May run while the recorder writes: what is copied is the store of one moment. Raises BackupError, StoreUnavailable.
    """
    if not target.parent.is_dir():
        raise BackupError(f"there is no directory {target.parent}: nothing was copied", "make it, or name another file")
    if os.path.lexists(target):
        raise BackupError(f"{target} exists already: it was left as it is", "name another file, or move it away")
    if not schema.exists(store_dir):
        raise BackupError(f"there is no store in {store_dir} yet: nothing was copied", "capture something first")
    partial, side = target.with_name(f".{target.name}.partial"), target.with_name(f".{target.name}.side")
    try:
        _write(store_dir, partial, side, databases, files, progress)
        partial.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise _not_written(target, error) from error
    finally:
        _remove(partial)
    return read_backup(target)


def _write(
    store_dir: Path,
    partial: Path,
    side: Path,
    databases: Sequence[str],
    files: Sequence[str],
    progress: Progress,
) -> None:
    _remove(partial)
    # What was derived comes first, and so is never ahead of what it was derived from.
    parts: list[tuple[str, Path]] = []
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(databases):
            if (store_dir / name).exists():
                copy = side.with_name(f"{side.name}{number}")
                stack.callback(_remove, copy)
                _remove(copy)
                copy_database(store_dir / name, copy)
                parts.append((name, copy))
        parts += [(name, store_dir / name) for name in files if (store_dir / name).exists()]
        copy_database(store_dir / schema.DATABASE, partial, progress)
        with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN")
            for statement in _TABLES.split(";\n"):
                db.execute(statement)
            for name, path in parts:
                db.executemany("INSERT INTO backup_files VALUES (?, ?, ?, ?, ?)", _parts(name, path))
            db.execute(
                "INSERT INTO backup SELECT ?, ?, ?, (SELECT user_version FROM pragma_user_version), "
                "(SELECT count(*) FROM flows), (SELECT count(*) FROM runs)",
                (FORMAT, time.time(), __version__),
            )
            db.execute("COMMIT")
    with partial.open("rb") as file:
        os.fsync(file.fileno())


def copy_database(source: Path, target: Path, progress: Progress = silent) -> None:
    """Copy a database that others may be writing to a new file (0600). Raises OSError, sqlite3.Error."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with (
        contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)) as ours,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as theirs,
    ):
        page = ours.execute("PRAGMA page_size").fetchone()[0]
        # One read transaction for all of it: else each commit of a writer would make the copy begin anew.
        ours.execute("BEGIN")
        ours.execute("SELECT count(*) FROM sqlite_master").fetchone()
        theirs.execute("PRAGMA synchronous = OFF")

        def tell(status: int, remaining: int, total: int) -> None:
            progress((total - remaining) * page >> 20, total * page >> 20)

        ours.backup(theirs, pages=_PAGES_AT_ONCE, progress=tell)
        # The copy says of itself that it has a write-ahead log, as the original does.
        theirs.execute("PRAGMA journal_mode = DELETE")


def read_backup(path: Path) -> Backup:
    """What the file says of itself. Raises BackupError when it is no backup that this program can read."""
    try:
        with contextlib.closing(_open(path)) as db:
            row = db.execute("SELECT format, made_at, version, schema, flows, runs FROM backup").fetchone()
            names = db.execute("SELECT DISTINCT name FROM backup_files ORDER BY name").fetchall()
            size = path.stat().st_size
    except (OSError, sqlite3.Error) as error:
        if not path.exists():
            raise BackupError(f"there is no file {path}", "name a file that `ccinspect db backup` wrote") from error
        raise BackupError(
            f"{path} is no backup of ccinspect, or a damaged one: {error}",
            "name a file that `ccinspect db backup` wrote",
        ) from error
    if row is None or row[0] > FORMAT or row[3] > len(schema.MIGRATIONS):
        raise BackupError(
            f"{path} was written by a newer ccinspect ({row[2] if row else 'unknown'}): nothing was changed",
            "upgrade ccinspect",
        )
    _, made_at, version, number, flows, runs = row
    return Backup(str(path), made_at, version, number, flows, runs, tuple(name for (name,) in names), size)


def verify_backup(path: Path, progress: Progress = silent) -> Backup:
    """Read all of a backup: its structure, and every piece of every body by its hash. Raises BackupError."""
    backup = read_backup(path)
    try:
        with contextlib.closing(_open(path)) as db:
            told = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if told != "ok":
                raise _damaged(path, str(told))
            if db.execute("SELECT count(*) FROM flows").fetchone()[0] != backup.flows:
                raise _damaged(path, "flows are missing")
            _verify_pieces(path, db, progress)
            for name in backup.files:
                for _ in _unpacked(path, db, name):
                    continue
    except sqlite3.Error as error:
        raise _damaged(path, str(error)) from error
    return backup


def extract(backup: Path, directory: Path, known: Collection[str], progress: Progress = silent) -> list[Path]:
    """Write the database and the files of a backup into an empty directory (0600); the database comes first.

    `known` are the names that such files may have. Raises BackupError.
    """
    database = directory / schema.DATABASE
    written = [database]
    try:
        with contextlib.closing(_open(backup)) as db:
            copy_database(backup, database, progress)
            names = [name for (name,) in db.execute("SELECT DISTINCT name FROM backup_files")]
            for name in names:
                if name not in known:
                    raise _damaged(backup, f"it holds a file {name!r}")
                descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    for part in _unpacked(backup, db, name):
                        file.write(part)
                    file.flush()
                    os.fsync(file.fileno())
                written.append(directory / name)
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as db:
            db.execute("DROP TABLE backup")
            db.execute("DROP TABLE backup_files")
            db.execute("PRAGMA incremental_vacuum").fetchall()
        with database.open("rb") as written_file:
            os.fsync(written_file.fileno())
    except (OSError, sqlite3.Error) as error:
        raise BackupError(
            f"the backup cannot be unpacked into {directory}: {error}; the store is as it was",
            "check that there is room on the disk",
        ) from error
    return written


def _open(path: Path) -> sqlite3.Connection:
    # Nobody writes to it: no lock, and no file beside it is wanted.
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


def _parts(name: str, path: Path) -> Iterator[tuple[str, int, int, bytes, bytes]]:
    compressor = zstandard.ZstdCompressor()
    with path.open("rb") as file:
        number = 0
        while part := file.read(_PART):
            yield name, number, len(part), hashlib.sha256(part).digest(), pack_data(compressor, part)
            number += 1


def _unpacked(backup: Path, db: sqlite3.Connection, name: str) -> Iterator[bytes]:
    rows = db.execute("SELECT part, size, hash, data FROM backup_files WHERE name = ? ORDER BY part", (name,))
    for expected, (number, size, digest, data) in enumerate(rows):
        part = _checked(data, size, digest)
        if part is None or number != expected:
            raise _damaged(backup, f"its {name} is not what it was")
        yield part


def _verify_pieces(path: Path, db: sqlite3.Connection, progress: Progress) -> None:
    total = db.execute("SELECT count(*) FROM pieces").fetchone()[0]
    decompressor = zstandard.ZstdDecompressor()
    rows = db.execute("SELECT size, hash, data FROM pieces")
    done = 0
    while found := rows.fetchmany(_PIECES_AT_ONCE):
        for size, digest, data in found:
            if _checked(data, size, digest, decompressor) is None:
                raise _damaged(path, "a body is not what it was")
        done += len(found)
        progress(done, total)


def _checked(
    data: bytes, size: int, digest: bytes, decompressor: zstandard.ZstdDecompressor | None = None
) -> bytes | None:
    """What was packed; None when it is not what the hash says."""
    try:
        unpacked = unpack_data(data, size, decompressor)
    except zstandard.ZstdError:
        return None
    return unpacked if hashlib.sha256(unpacked).digest() == digest else None


def _damaged(path: Path, why: str) -> BackupError:
    return BackupError(f"the backup {path} is damaged: {why}; nothing was changed", "use another backup")


def _not_written(target: Path, error: Exception) -> BackupError:
    return BackupError(
        f"the backup {target} cannot be written: {error}; nothing of it was kept",
        "free some space, or name a file on another disk",
    )


def _remove(path: Path) -> None:
    for suffix in ("", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
