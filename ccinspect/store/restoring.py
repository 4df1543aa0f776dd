"""Putting a store in place of another, and taking one away. No daemon may be writing it meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ccinspect.errors import BackupError, StoreUnavailable
from ccinspect.store import schema
from ccinspect.store.backup import Backup, Progress, extract, silent, verify_backup

_UNPACKED = "restoring"


@contextlib.contextmanager
def sole_writer(store_dir: Path, locks: Sequence[str] = (schema.LOCK,)) -> Iterator[None]:
    """Hold the locks of all who write here. Raises StoreUnavailable when a daemon holds one, or none can be made."""
    with contextlib.ExitStack() as stack:
        try:
            store_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in locks:
                descriptor = os.open(store_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreUnavailable(
                "the store is being written by a daemon: nothing was changed", "stop it first: ccinspect stop"
            ) from error
        except OSError as error:
            raise schema.cannot_open(store_dir, error) from error
        yield


def restore(
    backup: Path,
    store_dir: Path,
    *,
    derived: str,
    known: Collection[str],
    checked: Progress = silent,
    copied: Progress = silent,
) -> Backup:
    """Make a backup the store, once all of it was verified. The caller is the sole writer.

    What was there is gone afterwards; before the last step it is as it was. `derived` names the database that is made
    anew from the store, and must not stay where the backup brings none; `known` are the files that may belong to one.
    Raises BackupError.
    """
    found = verify_backup(backup, checked)
    fresh = store_dir / _UNPACKED
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(mode=0o700)
        written = extract(backup, fresh, known, copied)
        # Of another store it would tell stories; without it, it is made anew.
        _remove_database(store_dir / derived)
        for path in written[1:]:
            _settle(store_dir / path.name)
            path.rename(store_dir / path.name)
        _settle(store_dir / schema.DATABASE)
        written[0].rename(store_dir / schema.DATABASE)
    except OSError as error:
        raise BackupError(
            f"the backup cannot be put in place: {error.strerror}", "make the store's directory writable for you"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return found


def remove_store(store_dir: Path, databases: Sequence[str], files: Sequence[str]) -> None:
    """Take away all that was captured. The caller is the sole writer. Raises OSError."""
    for name in (schema.DATABASE, *databases):
        _remove_database(store_dir / name)
    for name in files:
        (store_dir / name).unlink(missing_ok=True)
    for directory in (schema.SPOOL, schema.BACKUPS, _UNPACKED):
        shutil.rmtree(store_dir / directory, ignore_errors=True)


def _settle(database: Path) -> None:
    """Bring a database's write-ahead log home: it must not be taken for that of the file that comes in its place."""
    if not database.exists() or database.suffix != ".db":
        return
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database, timeout=10.0)) as db:
        db.execute("PRAGMA journal_mode = DELETE").fetchone()
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _remove_database(database: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
