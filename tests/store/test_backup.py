from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from ccinspect.errors import BackupError, StoreUnavailable
from ccinspect.store import backup, restoring, schema
from ccinspect.store.query import StoreReader
from ccinspect.store.redaction import KEY_FILE
from ccinspect.store.selection import Selection
from tests.store.old import unpack_old_store
from tests.store.records import SECONDS, ended, flow, record, recording, run
from tests.store.test_upgrade import content

FILES = (KEY_FILE,)


def restored(found: Path, store_dir: Path) -> backup.Backup:
    with restoring.sole_writer(store_dir):
        return restoring.restore(found, store_dir, derived="analysis.db", known=FILES)


def test_what_is_restored_is_what_was_backed_up(tmp_path: Path) -> None:
    bodies = [os.urandom(3_000_000), b"", b"hello" * 1000]
    messages = [ended(flow(), body, body[::-1]) for body in bodies]
    asyncio.run(record(tmp_path / "store", {"kind": "run_started", "run": run()}, *messages))
    before = content(tmp_path / "store")
    target = tmp_path / "copy.db"
    told: list[tuple[int, int]] = []
    found = backup.write_backup(tmp_path / "store", target, (), FILES, lambda *numbers: told.append(numbers))
    assert (found.flows, found.runs, found.files) == (3, 1, (KEY_FILE,))
    assert target.stat().st_mode & 0o777 == 0o600
    assert told[-1][0] == told[-1][1]
    restored(target, tmp_path / "other")
    assert content(tmp_path / "other") == before
    assert (tmp_path / "other" / KEY_FILE).read_bytes() == (tmp_path / "store" / KEY_FILE).read_bytes()
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == [
        KEY_FILE, schema.DATABASE, schema.LOCK
    ]  # fmt: skip
    # The recorder goes on with it.
    asyncio.run(record(tmp_path / "other", ended(flow(), b"later")))
    assert len(content(tmp_path / "other")) == 4


def test_a_backup_taken_while_flows_are_written_is_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PAGES_AT_ONCE", 20)

    async def scenario() -> None:
        async with recording(tmp_path / "store") as recorder:
            for _ in range(30):
                recorder.put(ended(flow(), os.urandom(20_000)))
            assert await recorder.flush(SECONDS)
            loop = asyncio.get_running_loop()
            steps = 0

            def write_meanwhile(done: int, everything: int) -> None:
                nonlocal steps
                steps += 1
                if steps <= 5:
                    # Committed between two steps of the copy.
                    loop.call_soon_threadsafe(recorder.put, ended(flow(), os.urandom(20_000)))
                    assert asyncio.run_coroutine_threadsafe(recorder.flush(SECONDS), loop).result(SECONDS)

            found = await asyncio.to_thread(
                backup.write_backup, tmp_path / "store", tmp_path / "copy.db", (), FILES, write_meanwhile
            )
            assert steps > 5
            assert found.flows == 30

    asyncio.run(scenario())
    backup.verify_backup(tmp_path / "copy.db")
    restored(tmp_path / "copy.db", tmp_path / "other")
    assert len(content(tmp_path / "store")) == 35
    assert len(content(tmp_path / "other")) == 30


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    unpack_old_store(tmp_path, 1)
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(BackupError, match="exists already"):
        backup.write_backup(tmp_path, target, (), FILES)
    assert target.read_text() == "precious"


def test_a_backup_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    unpack_old_store(tmp_path / "store", 1)
    with pytest.raises(BackupError, match="there is no directory"):
        backup.write_backup(tmp_path / "store", tmp_path / "missing" / "copy.db", (), FILES)
    assert not (tmp_path / "missing").exists()
    with pytest.raises(BackupError, match="no store"):
        backup.write_backup(tmp_path / "empty", tmp_path / "copy.db", (), FILES)


@pytest.mark.parametrize("damage", ["piece", "page", "file", "name", "short", "text", "newer"])
def test_a_damaged_backup_is_found_before_anything_is_replaced(tmp_path: Path, damage: str) -> None:
    asyncio.run(record(tmp_path / "store", ended(flow(), b"precious" * 100)))
    target = tmp_path / "copy.db"
    backup.write_backup(tmp_path / "store", target, (), FILES)
    statements = {
        "piece": "UPDATE pieces SET data = zeroblob(length(data))",
        "file": "UPDATE backup_files SET data = zeroblob(length(data))",
        "name": "UPDATE backup_files SET name = '../../evil'",
        "newer": f"UPDATE backup SET schema = {len(schema.MIGRATIONS) + 1}",
    }
    if damage in statements:
        db = sqlite3.connect(target)
        db.execute(statements[damage])
        db.commit()
        db.close()
    elif damage == "page":
        data = bytearray(target.read_bytes())
        data[8192:12288] = os.urandom(4096)
        target.write_bytes(data)
    else:
        target.write_bytes(b"hello" if damage == "text" else target.read_bytes()[:20_000])
    before = content(tmp_path / "store")
    with pytest.raises(BackupError):
        restored(target, tmp_path / "store")
    assert content(tmp_path / "store") == before
    assert not list(tmp_path.rglob("evil"))


def test_nobody_restores_under_a_recorder(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recording(tmp_path / "store"):
            with pytest.raises(StoreUnavailable, match="daemon"), restoring.sole_writer(tmp_path / "store"):
                raise AssertionError("two writers")

    asyncio.run(scenario())


def test_what_the_old_store_had_not_written_home_does_not_reach_the_new_one(tmp_path: Path) -> None:
    asyncio.run(record(tmp_path / "store", ended(flow(), b"first")))
    backup.write_backup(tmp_path / "store", tmp_path / "copy.db", (), FILES)
    # A daemon that was killed leaves a write-ahead log behind.
    db = sqlite3.connect(tmp_path / "store" / schema.DATABASE)
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("INSERT INTO runs (id, record) VALUES ('later', '{}')")
    db.commit()
    wal = tmp_path / "store" / f"{schema.DATABASE}-wal"
    log = wal.read_bytes()
    db.close()
    wal.write_bytes(log)
    (tmp_path / "store" / "analysis.db").write_bytes(b"of another store")
    restored(tmp_path / "copy.db", tmp_path / "store")
    assert not (tmp_path / "store" / "analysis.db").exists()
    with StoreReader(tmp_path / "store") as store:
        assert store.runs() == []
        assert len(store.select(Selection())) == 1
