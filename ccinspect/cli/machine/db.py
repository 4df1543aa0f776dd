"""What the `db` commands do: the store and what belongs to it as files of this machine."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ccinspect.analysis import schema as analysis_schema
from ccinspect.analysis import sessions
from ccinspect.analysis.statistics import analysis_statistics
from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import confirm, say
from ccinspect.cli.progress import Progress
from ccinspect.control import protocol
from ccinspect.control.client import ControlClient
from ccinspect.errors import BackupError, CcinspectError, DaemonNotRunning
from ccinspect.store import backup, database, maintenance, redaction, restoring, schema, upgrade
from ccinspect.store.statistics import size_of, store_statistics

_LOCKS = (schema.LOCK, analysis_schema.LOCK)
_DATABASES = (analysis_schema.DATABASE, sessions.DATABASE)
_FILES = (redaction.KEY_FILE,)


def statistics(instance: Instance) -> dict[str, Any]:
    """`{store, analysis, backups}`: see `store_statistics`, `analysis_statistics`; a backup is `{path, bytes}`."""
    store_dir = instance.paths.store_dir
    with contextlib.suppress(CcinspectError), ControlClient.connect(instance.paths.control_socket) as client:
        client.call(protocol.FLUSH)
    kept = sorted((store_dir / schema.BACKUPS).glob("*.db"))
    return {
        "store": store_statistics(store_dir),
        "analysis": analysis_statistics(store_dir),
        "backups": [{"path": str(path), "bytes": size_of(path)} for path in kept],
    }


def statistics_lines(found: dict[str, Any]) -> Iterator[str]:
    """The same for a person."""
    store, analysis = found["store"], found["analysis"]
    if not store["exists"]:
        yield f"nothing was captured yet: {text.clean(store['path'])} does not exist"
        return
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in store["by_type"].items())
    yield _line("store", f"{text.size(store['file_bytes'] + store['log_bytes'])}  {text.clean(store['path'])}")
    yield _line("flows", f"{store['flows']:,}" + (f" ({kinds})" if kinds else ""))
    yield _line("from, to", f"{text.moment(store['oldest'])}, {text.moment(store['newest'])}")
    yield _line("runs", f"{store['runs']:,}")
    yield _line("messages", f"{store['messages']:,} of WebSockets, TCP and UDP")
    ratio = "" if store["compression"] is None else f": {store['compression']:.1f} to 1"
    yield _line(
        "bodies",
        f"{text.size(store['captured_bytes'])} captured, {text.size(store['distinct_bytes'])} of them different, "
        f"kept in {text.size(store['stored_bytes'])}{ratio}",
    )
    yield _line("records", f"{text.size(store['record_bytes'])}")
    yield _line("free", f"{text.size(store['free_bytes'])} inside the file")
    yield _line(
        "analysis", f"{text.size(analysis['file_bytes'] + analysis['log_bytes'])}  {text.clean(analysis['path'])}"
    )
    yield _line("calls", f"{analysis['calls']:,} in {text.count(analysis['conversations'], 'conversation')}")
    yield _line("sessions", f"{analysis['sessions']:,}")
    for one in found["backups"]:
        yield _line("backup", f"{text.size(one['bytes'])}  {text.clean(one['path'])}")


def _line(label: str, value: str) -> str:
    return f"{label:<9} {value}"


def back_up(instance: Instance, target: Path | None, with_analysis: bool) -> backup.Backup:
    """Copy everything to one file; also while the daemon runs. Raises BackupError, StoreUnavailable."""
    # A newer one is refused here: nobody could restore what this program made of it.
    upgrade.is_older(instance.paths.store_dir)
    chosen = target or Path()
    if chosen.is_dir():
        chosen /= time.strftime("ccinspect-%Y%m%d-%H%M%S.db")
    with contextlib.suppress(CcinspectError), ControlClient.connect(instance.paths.control_socket) as client:
        client.call(protocol.FLUSH)
    databases = _DATABASES if with_analysis else (sessions.DATABASE,)
    with Progress("megabytes copied") as progress:
        return backup.write_backup(instance.paths.store_dir, chosen.absolute(), databases, _FILES, progress)


def restore(instance: Instance, source: Path, force: bool) -> backup.Backup:
    """Put a backup in the store's place. Raises BackupError, StoreUnavailable."""
    store_dir = instance.paths.store_dir
    backup.read_backup(source)
    with restoring.sole_writer(store_dir, _LOCKS):
        there = _flows_there(store_dir)
        if there is not None and not force:
            raise BackupError(
                f"there is a store already, with {there}: it was left as it is",
                "keep a copy of it first (`ccinspect db backup`), then add --force",
            )
        with Progress("pieces checked") as checked, Progress("megabytes copied") as copied:
            return restoring.restore(
                source,
                store_dir,
                derived=analysis_schema.DATABASE,
                known=(*_DATABASES, *_FILES),
                checked=checked,
                copied=copied,
            )


def _flows_there(store_dir: Path) -> str | None:
    """What a store holds, in words; None when there is none, or nothing in it."""
    path = store_dir / schema.DATABASE
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            flows, runs = db.execute("SELECT (SELECT count(*) FROM flows), (SELECT count(*) FROM runs)").fetchone()
    except sqlite3.Error:
        return "content that cannot be read"
    return f"{text.count(flows, 'flow')} and {text.count(runs, 'run')}" if flows or runs else None


def bring_up_to_date(instance: Instance, with_backup: bool) -> str:
    """Migrate the store of an older ccinspect; what was done, in words. Raises StoreUnavailable."""
    store_dir = instance.paths.store_dir
    if not upgrade.is_older(store_dir):
        return "the store needs no upgrade"
    before = upgrade.version_of(store_dir)
    with restoring.sole_writer(store_dir, _LOCKS), Progress("megabytes copied") as progress:
        kept = upgrade.bring_up_to_date(store_dir, progress, backup=with_backup)
    done = f"the store was brought from schema {before} to {len(schema.MIGRATIONS)}"
    return f"{done}; what it was is kept in {kept}" if kept else done


def vacuum(instance: Instance) -> dict[str, Any]:
    """Give back unused space: `{freed: bytes, rewritten: bool}`. The daemon's store stays as it lies, only its gaps go;
    without a daemon all files are written anew. Raises StoreUnavailable."""
    store_dir = instance.paths.store_dir
    try:
        with ControlClient.connect(instance.paths.control_socket) as client:
            client.set_timeout(None)
            return {"freed": int(client.call(protocol.VACUUM)["freed"]), "rewritten": False}
    except DaemonNotRunning:
        freed = database.vacuum_without_daemon(store_dir)
    with restoring.sole_writer(store_dir, _LOCKS):
        for name in (schema.DATABASE, *_DATABASES):
            path = store_dir / name
            if path.exists():
                try:
                    freed += maintenance.compact(path)
                except sqlite3.Error as error:
                    raise schema.cannot_open(path, error) from error
    return {"freed": freed, "rewritten": True}


def reset(instance: Instance, ask: bool) -> bool:
    """Remove everything that was captured; False when the answer was no. Raises StoreUnavailable."""
    store_dir = instance.paths.store_dir
    if not store_dir.exists():
        say("ccinspect: nothing was captured yet")
        return True
    with restoring.sole_writer(store_dir, _LOCKS):
        there = _flows_there(store_dir) or "no flows"
        kept = len(list((store_dir / schema.BACKUPS).glob("*.db")))
        backups = f", {text.count(kept, 'backup')} of earlier versions" if kept else ""
        question = f"Remove {there}, their analysis, all named sessions{backups} in {store_dir}?"
        if ask and not (sys.stdin.isatty() and confirm(question)):
            say("ccinspect: nothing was removed" + ("" if sys.stdin.isatty() else ": say --yes to have it removed"))
            return False
        try:
            restoring.remove_store(store_dir, _DATABASES, _FILES)
        except OSError as error:
            raise schema.cannot_open(store_dir, error) from error
    say(f"ccinspect: {there} removed")
    return True
