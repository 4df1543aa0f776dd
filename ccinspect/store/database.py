"""The one writer of a store: its lock, its transactions, what happens when the disk is full."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ccinspect.errors import ControlError, StoreUnavailable
from ccinspect.store import maintenance, redaction, schema, upgrade
from ccinspect.store.losses import Losses
from ccinspect.store.options import StoreOptions
from ccinspect.store.selection import Selection
from ccinspect.store.writer import FlowWriter

# Attempts of 10 seconds each while another program holds a lock on the database.
_PATIENCE = 3


class Database:
    """Owns the store of one directory while it is open. Only one process can: others wait in `open`."""

    def __init__(self, store_dir: Path, options: StoreOptions) -> None:
        self._dir = store_dir
        self._options = options
        self._lock = -1
        self._identity: tuple[int, int] | None = None
        self.losses = Losses()

    def open(self, wait: bool = True) -> None:
        """Lock, open and mend the store: what an earlier writer left unfinished is marked so, and its spool removed.

        With `wait`, blocks until an earlier writer has drained; else raises StoreUnavailable when there is one.
        Raises StoreUnavailable or OSError.
        """
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._dir.chmod(0o700)
        self._lock = os.open(self._dir / schema.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            os.close(self._lock)
            raise StoreUnavailable(
                "the store is being written by a daemon", "ask that daemon, or stop it first (`ccinspect stop`)"
            ) from error
        try:
            upgrade.bring_up_to_date(self._dir)
            self._connect()
            maintenance.mark_interrupted(self._db)
        except BaseException:
            os.close(self._lock)
            raise
        for leftover in (self._dir / schema.SPOOL).glob("*"):
            if (claim := claim_spool(leftover)) is not None:
                shutil.rmtree(leftover, ignore_errors=True)
                os.close(claim)

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        os.close(self._lock)

    def write(self, batch: list[dict[str, Any]]) -> None:
        """Write messages in one transaction; if that fails, each by itself, and count what cannot be kept."""
        self._reconnect_if_gone()
        if not self._written_together(batch):
            for message in batch:
                self._write_one(message)
        for message in batch:
            self._delete_spooled(message)

    def _written_together(self, batch: list[dict[str, Any]]) -> bool:
        for _ in range(_PATIENCE):
            try:
                self._transaction(batch)
                return True
            except sqlite3.OperationalError as error:
                # Another program has locked the database (we alone write to it): that passes.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    return False
                self.losses.error, self.losses.failing = "another program has locked the database", True
            except Exception:
                return False
        return False

    def command(self, name: str, params: dict[str, Any]) -> Any:
        """Carry out a command of the control API. Raises CcinspectError or sqlite3.Error."""
        if name == "clear":
            return maintenance.clear(self._db, self._writer.bodies, params)
        if name == "vacuum":
            return maintenance.vacuum(self._db, self._writer.bodies)
        raise ControlError(f"the recorder knows no command {name!r}")

    def maintain(self) -> Iterator[None]:
        """Retention and housekeeping, in steps between which `write` may be called.

        A failure is noted, and tried again next time.
        """
        try:
            for _ in maintenance.retain(self._db, self._writer.bodies, self._options):
                yield
        except sqlite3.Error as error:
            self.losses.error = f"old flows could not be removed: {error}"

    def _connect(self) -> None:
        self._db = schema.open_for_writing(self._dir)
        key = None if self._options.keep_secrets else redaction.load_key(self._dir)
        redactor = redaction.Redactor(key) if key else None
        self._writer = FlowWriter(self._db, redactor, self.losses, self._commit_interim, self._options.keeps_bodies)
        self._identity = self._identity_on_disk()

    def _reconnect_if_gone(self) -> None:
        """Someone removed the database by hand: begin a new one, instead of writing into a file without a name."""
        if self._identity_on_disk() == self._identity:
            return
        with contextlib.suppress(StoreUnavailable, OSError, sqlite3.Error):
            self._db.close()
            self._connect()

    def _identity_on_disk(self) -> tuple[int, int] | None:
        try:
            info = os.stat(self._dir / schema.DATABASE)
        except OSError:
            return None
        return info.st_dev, info.st_ino

    def _write_one(self, message: dict[str, Any]) -> None:
        try:
            self._transaction([message])
            return
        except Exception as error:
            why = _reason(error)
        bare = {key: value for key, value in message.items() if not key.endswith("_body")}
        lost = {
            key: {"lost": True, "size": _size(message[key])}
            for key in message
            if key.endswith("_body") and message[key]
        }
        try:
            self._transaction([bare | lost])
            self.losses.lose_bodies(len(lost), why)
        except Exception as error:
            self.losses.lose_record(_reason(error))
        self.losses.failing = True

    def _transaction(self, batch: list[dict[str, Any]]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for message in batch:
                self._writer.apply(message)
            self._writer.settle()
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            self._writer.forget()
            raise
        self.losses.failing = False

    def _commit_interim(self) -> None:
        self._db.execute("COMMIT")
        self._db.execute("BEGIN IMMEDIATE")

    def _delete_spooled(self, message: dict[str, Any]) -> None:
        for key, value in message.items():
            if key != "flow" and isinstance(value, dict) and "spool" in value:
                with contextlib.suppress(OSError):
                    os.unlink(value["spool"])


def _size(body: Any) -> int:
    return int(body["size"]) if isinstance(body, dict) else len(body)


def _reason(error: Exception) -> str:
    """Why, without a word of the content."""
    text = str(error) if isinstance(error, sqlite3.Error | OSError) else type(error).__name__
    if "full" in text or "No space" in text or "disk I/O" in text:
        return f"the disk is full or failing: {text}"
    return f"the store could not be written: {text}"


def claim_spool(directory: Path) -> int | None:
    """Lock a spool directory for as long as the descriptor returned is open; None when another process has."""
    descriptor = -1
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    except OSError:
        if descriptor >= 0:
            os.close(descriptor)
        return None


def clear_without_daemon(store_dir: Path, selection: Selection) -> int:
    """Remove flows while no daemon runs; the result is how many.

    Raises BadSelection, and StoreUnavailable when a daemon, or its recorder, is still writing.
    """
    return _command_without_daemon(store_dir, "clear", selection.to_params())


def vacuum_without_daemon(store_dir: Path) -> int:
    """Drop what nothing refers to while no daemon runs; the result is bytes. Raises as `clear_without_daemon`."""
    return _command_without_daemon(store_dir, "vacuum", {})


def _command_without_daemon(store_dir: Path, name: str, params: dict[str, Any]) -> int:
    if not schema.exists(store_dir):
        return 0
    database = Database(store_dir, StoreOptions())
    try:
        database.open(wait=False)
    except OSError as error:
        raise schema.cannot_open(store_dir / schema.DATABASE, error) from error
    try:
        return int(database.command(name, params))
    except sqlite3.Error as error:
        raise schema.cannot_open(store_dir / schema.DATABASE, error) from error
    finally:
        database.close()
