from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from ccinspect.errors import StoreUnavailable
from ccinspect.store import schema
from ccinspect.store.options import StoreOptions
from ccinspect.store.query import StoreReader
from ccinspect.store.recorder import Recorder
from ccinspect.store.selection import Selection
from tests.store.records import SECONDS, ended, flow, record


def set_version(store_dir: Path, version: int) -> None:
    db = sqlite3.connect(store_dir / schema.DATABASE)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()


def test_a_store_of_a_newer_ccinspect_is_left_alone(tmp_path: Path) -> None:
    asyncio.run(record(tmp_path, ended(flow(), b"x")))
    set_version(tmp_path, len(schema.MIGRATIONS) + 1)
    before = (tmp_path / schema.DATABASE).read_bytes()
    with pytest.raises(StoreUnavailable, match="newer") as caught:
        StoreReader(tmp_path)
    assert "--config" in caught.value.hint

    async def start() -> None:
        recorder = Recorder.start(tmp_path, StoreOptions())
        try:
            with pytest.raises(StoreUnavailable, match="newer"):
                await recorder.ready(SECONDS)
        finally:
            await recorder.close(SECONDS)

    asyncio.run(start())
    assert (tmp_path / schema.DATABASE).read_bytes() == before


@pytest.mark.parametrize("made", ["", "PRAGMA journal_mode = WAL"], ids=["no byte", "no table"])
def test_a_store_whose_making_was_interrupted_is_empty_and_is_made(tmp_path: Path, made: str) -> None:
    (tmp_path / schema.DATABASE).touch()
    db = sqlite3.connect(tmp_path / schema.DATABASE)
    db.execute(made)
    db.close()
    with StoreReader(tmp_path) as store:
        assert store.select(Selection()) == []
    asyncio.run(record(tmp_path, ended(flow(), b"x")))
    with StoreReader(tmp_path) as store:
        assert store.count() == 1


def test_a_store_of_an_older_ccinspect_is_read_after_the_daemon_brought_it_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(record(tmp_path, ended(flow(), b"x")))

    def migrate(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE flows ADD COLUMN later TEXT")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, migrate))
    with pytest.raises(StoreUnavailable, match="older"):
        StoreReader(tmp_path)
    schema.open_for_writing(tmp_path).close()
    schema.open_for_writing(tmp_path).close()
    with StoreReader(tmp_path) as store:
        assert len(store.select(Selection())) == 1


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema.open_for_writing(tmp_path).close()

    def half(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (x)")
        db.execute("CREATE TABLE flows (x)")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, half))
        with pytest.raises(StoreUnavailable, match="already exists"):
            schema.open_for_writing(tmp_path)
    db = schema.open_for_writing(tmp_path)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    db.close()


def test_every_table_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "store.md").read_text()
    db = sqlite3.connect(":memory:", isolation_level=None)
    for migration in schema.MIGRATIONS:
        migration(db)
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    db.close()
    assert tables
    assert [table for table in tables if f"`{table}`" not in page] == []


def test_a_store_that_does_not_exist_reads_as_empty(tmp_path: Path) -> None:
    with StoreReader(tmp_path / "nothing") as store:
        assert store.select(Selection()) == []
        assert store.runs() == []
        assert store.count() == 0
        assert store.stats()["flows"] == 0
    assert not (tmp_path / "nothing").exists()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / schema.DATABASE).write_bytes(b"hello" * 1000)
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        StoreReader(tmp_path)
