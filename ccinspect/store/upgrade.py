"""Bringing a store of an older ccinspect up to date, with a backup of what it was.

Each migration is one transaction: whatever interrupts it, a full disk or a kill -9, leaves the store of the version
before, which this program brings up to date the next time and the older one still reads.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from ccinspect.errors import BackupError, StoreUnavailable
from ccinspect.store import schema
from ccinspect.store.backup import Progress, silent, write_backup
from ccinspect.store.redaction import KEY_FILE


def version_of(store_dir: Path) -> int | None:
    """The schema's number of the store there; None where there is none. Raises StoreUnavailable."""
    path = store_dir / schema.DATABASE
    if not schema.exists(store_dir):
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)) as db:
            return int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise schema.cannot_open(path, error) from error


def is_older(store_dir: Path) -> bool:
    """Whether there is a store that has to be brought up to date. Raises StoreUnavailable when it is a newer one."""
    version = version_of(store_dir)
    if version is not None and version > len(schema.MIGRATIONS):
        raise schema.other_version(store_dir / schema.DATABASE, version)
    return version is not None and 0 < version < len(schema.MIGRATIONS)


def bring_up_to_date(store_dir: Path, progress: Progress = silent, *, backup: bool = True) -> Path | None:
    """Migrate an older store; the result is the backup that was made of it. The caller is the sole writer.

    Raises StoreUnavailable when there is no room for the backup, or for the migration; the store is as it was.
    """
    version = version_of(store_dir)
    if not is_older(store_dir):
        return None
    kept = _keep(store_dir, int(version or 0), progress) if backup else None
    schema.open_for_writing(store_dir).close()
    return kept


def _keep(store_dir: Path, version: int, progress: Progress) -> Path:
    directory = store_dir / schema.BACKUPS
    target = directory / f"schema-{version}.db"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        # One for each schema is enough: a second one means that the migration did not come to its end.
        target.unlink(missing_ok=True)
        write_backup(store_dir, target, (), (KEY_FILE,), progress)
    except (BackupError, OSError) as error:
        why = error.message if isinstance(error, BackupError) else str(error)
        raise StoreUnavailable(
            f"the store in {store_dir} is of an older ccinspect, and no backup can be made of it before it is brought "
            f"up to date: {why}; the store is as it was",
            "free some space, or do it without a backup: ccinspect db upgrade --no-backup",
        ) from error
    return target
