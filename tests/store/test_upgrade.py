"""Stores that older versions really wrote: opened, kept, migrated; whatever interrupts that, nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ccinspect.errors import StoreUnavailable
from ccinspect.store import backup, schema, upgrade
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from tests.store.old import STORES, WEBSOCKET, unpack_old_store
from tests.store.records import ended, flow, record
from tests.store.test_disk_full import fill
from tests.support.namespaces import on_a_disk_of
from tests.support.unprivileged import ROOT

NEWEST = len(schema.MIGRATIONS)


def content(store_dir: Path) -> dict[str, tuple[str, bytes | None, bytes | None]]:
    with StoreReader(store_dir) as store:
        return {
            one["id"]: (one["request"]["path"], store.request_body(one["id"]), store.response_body(one["id"]))
            for one in store.select(Selection())
        }


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def user_version(database: Path, *, immutable: bool = False) -> int:
    db = sqlite3.connect(f"{database.as_uri()}?immutable={int(immutable)}", uri=True)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


def test_there_is_a_store_of_each_older_schema() -> None:
    assert {path.name for path in STORES.glob("*.zst")} == {f"schema-{n}.db.zst" for n in range(1, NEWEST)}


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_an_older_store_is_read_whole_after_it_was_brought_up_to_date(tmp_path: Path, version: int) -> None:
    database = unpack_old_store(tmp_path, version)
    assert upgrade.is_older(tmp_path)
    kept = upgrade.bring_up_to_date(tmp_path)
    assert user_version(database) == NEWEST
    found = content(tmp_path)
    assert len(found) == 7
    sizes = [len(request or b"") for _, request, _ in found.values()]
    assert sizes[:6] == sorted(sizes[:6])
    assert sizes[0] > 5000
    with StoreReader(tmp_path) as store:
        assert [one["content"] for one in store.messages(WEBSOCKET)] == [b"hello 0", b"hello 1", b"hello 2" * 900]
        assert [one["name"] for one in store.runs()] == ["old run"]
    assert kept is not None
    assert kept.stat().st_mode & 0o777 == 0o600
    assert backup.verify_backup(kept).schema == version
    assert upgrade.bring_up_to_date(tmp_path) is None, "once"


def test_the_recorder_keeps_a_backup_too_and_goes_on_writing(tmp_path: Path) -> None:
    unpack_old_store(tmp_path, 1)
    asyncio.run(record(tmp_path, ended(flow(), b"new")))
    assert len(content(tmp_path)) == 8
    assert backup.read_backup(tmp_path / schema.BACKUPS / "schema-1.db").flows == 7


def test_progress_is_told(tmp_path: Path) -> None:
    unpack_old_store(tmp_path, 1)
    told: list[tuple[int, int]] = []
    upgrade.bring_up_to_date(tmp_path, lambda done, everything: told.append((done, everything)))
    assert told
    assert told[-1][0] == told[-1][1]


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    database = unpack_old_store(tmp_path, 1)
    db = sqlite3.connect(database)
    db.execute(f"PRAGMA user_version = {NEWEST + 1}")
    db.close()
    before = digest(database)
    with pytest.raises(StoreUnavailable, match="newer"):
        upgrade.bring_up_to_date(tmp_path)
    assert digest(database) == before


KILLED = """
import os, sys, pathlib
from ccinspect.store import schema, upgrade
directory, until = pathlib.Path(sys.argv[1]), sys.argv[2]

def stop():
    print("here", flush=True)
    sys.stdin.read()

def half(db):
    schema._migrate_2(db)
    stop()

if until == "migration":
    schema.MIGRATIONS = (schema._migrate_1, half)
    upgrade.bring_up_to_date(directory)
else:
    upgrade.bring_up_to_date(directory, lambda done, everything: stop())
"""


@pytest.mark.parametrize("moment", ["backup", "migration"])
def test_killed_in_the_middle_the_old_store_is_what_it_was(tmp_path: Path, moment: str) -> None:
    database = unpack_old_store(tmp_path, 1)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), moment],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    assert user_version(database) == 1
    db = sqlite3.connect(database)
    assert db.execute("SELECT count(*) FROM flows").fetchone() == (7,)
    assert db.execute("SELECT count(*) FROM pragma_table_info('flows') WHERE name = 'changed'").fetchone() == (0,)
    db.close()
    upgrade.bring_up_to_date(tmp_path)
    assert len(content(tmp_path)) == 7
    assert [path.name for path in (tmp_path / schema.BACKUPS).iterdir()] == ["schema-1.db"]


def on_a_small_disk(store_dir: Path) -> None:
    """Run by `test_a_full_disk` on a file system of 400 KB."""
    database = unpack_old_store(store_dir, 1)
    filler = store_dir / "filler"
    fill(filler)
    with pytest.raises(StoreUnavailable, match="disk is full") as caught:
        upgrade.bring_up_to_date(store_dir, backup=False)
    assert "free some space" in caught.value.hint
    assert user_version(database, immutable=True) == 1
    # Room for what SQLite needs to read, none for a copy.
    os.truncate(filler, filler.stat().st_size - (80 << 10))
    with pytest.raises(StoreUnavailable, match="no backup can be made") as caught:
        upgrade.bring_up_to_date(store_dir)
    assert "--no-backup" in caught.value.hint
    assert user_version(database) == 1
    assert list((store_dir / schema.BACKUPS).iterdir()) == []
    filler.unlink()
    upgrade.bring_up_to_date(store_dir)
    assert len(content(store_dir)) == 7
    print("done")


def test_a_full_disk(tmp_path: Path) -> None:
    assert "done" in on_a_disk_of("400k", tmp_path, "tests.store.test_upgrade:on_a_small_disk")
