"""`analysis.db` in every state that a disk, a person or another version can leave it in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ccinspect.analysis import schema
from ccinspect.analysis.analyst import Analyst
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.query import Analysis, open_analysis, start_session
from ccinspect.analysis.results import HostSpend
from ccinspect.errors import StoreUnavailable
from ccinspect.store import upgrade
from ccinspect.store.selection import Selection
from tests.analysis.old import ANALYSES, unpack_old_analysis
from tests.analysis.stored import analysed, anthropic_call, fill, user

EVERYTHING = Selection()
OPTIONS = AnalysisOptions()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with ten calls."""
    directory = tmp_path / "store"
    fill(directory, *(message for at in range(10) for message in anthropic_call(user(f"question {at}"))))
    return directory


def test_files_are_for_their_owner_alone(store: Path) -> None:
    start_session(store, "work", 0.0)
    with Analyst.open(store, OPTIONS) as analyst:
        assert analyst is not None
        analyst.catch_up()
        made = [
            path for path in store.iterdir() if path.name.startswith(("analysis.db", "analyst.lock", "sessions.db"))
        ]
        assert {path.name for path in made} >= {"analysis.db", "analysis.db-wal", "analyst.lock", "sessions.db"}
        assert {path.name: path.stat().st_mode & 0o777 for path in made} == {path.name: 0o600 for path in made}


@pytest.mark.parametrize("leftovers", [(), ("analysis.db-wal", "analysis.db-shm")])
def test_a_file_that_was_removed_is_made_anew(store: Path, leftovers: tuple[str, ...]) -> None:
    with analysed(store) as analysis:
        before = analysis.calls(EVERYTHING)
    (store / "analysis.db").unlink()
    for name in leftovers:
        (store / name).write_bytes(b"left by somebody" * 1000)
    with open_analysis(store, OPTIONS) as analysis:
        assert analysis.calls(EVERYTHING) == before


def test_a_page_that_the_disk_has_lost_makes_it_anew(store: Path) -> None:
    """It can be opened; only using it shows what is wrong."""
    with analysed(store) as analysis:
        before = analysis.calls(EVERYTHING)
    _destroy(store / "analysis.db", "calls")
    fill(store, *anthropic_call(user("one more")))
    with open_analysis(store, OPTIONS) as analysis:
        calls = analysis.calls(EVERYTHING)
    assert calls[:10] == before
    assert len(calls) == 11


def test_a_damaged_store_does_not_cost_the_analysis(store: Path) -> None:
    with analysed(store) as analysis:
        before = len(analysis.calls(EVERYTHING))
    kept = (store / "analysis.db").stat().st_ino
    fill(store, *anthropic_call(user("one more")))
    _destroy(store / "flows.db", "flows")
    with pytest.raises(StoreUnavailable):
        open_analysis(store, OPTIONS).close()
    assert before == 10
    assert (store / "analysis.db").stat().st_ino == kept


def _destroy(path: Path, table: str) -> None:
    """Overwrite the first page of a table."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x5a" * size)


def test_an_older_file_is_brought_up_to_date_and_keeps_its_rows(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with analysed(store) as analysis:
        before = analysis.calls(EVERYTHING)

    def migrate(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE of_a_later_version (number INTEGER PRIMARY KEY)")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, migrate))
    with pytest.raises(StoreUnavailable, match="older ccinspect"):
        Analysis(store, OPTIONS)
    with open_analysis(store, OPTIONS) as analysis:
        assert analysis.calls(EVERYTHING) == before
    with closing(sqlite3.connect(store / "analysis.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert db.execute("SELECT count(*) FROM of_a_later_version").fetchone() == (0,)


def test_there_is_an_analysis_of_each_older_schema() -> None:
    assert {path.name for path in ANALYSES.glob("*.zst")} == {
        f"analysis-{version}.db.zst" for version in range(1, len(schema.MIGRATIONS))
    }


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
def test_an_older_analysis_is_brought_up_to_date_and_says_the_same(tmp_path: Path, version: int) -> None:
    old = unpack_old_analysis(tmp_path, version)
    with closing(sqlite3.connect(old)) as db:
        calls = [row[0] for row in db.execute("SELECT id FROM calls ORDER BY started_at, number")]
    upgrade.bring_up_to_date(tmp_path)
    with open_analysis(tmp_path, OPTIONS) as analysis:
        assert [call.id for call in analysis.calls(EVERYTHING)] == calls
        (host,) = analysis.report("host", EVERYTHING).rows
        made_anew = analysis.needs_reanalysis()
    assert isinstance(host, HostSpend)
    assert (host.key, host.flows, host.calls, host.providers) == ("api.example.com", 7, 6, ("unknown",))
    assert made_anew == 0
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)


def test_a_migration_that_fails_leaves_the_file_as_it_was(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with analysed(store) as analysis:
        before = analysis.calls(EVERYTHING)
    migrations = schema.MIGRATIONS

    def migrate(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM calls")
        db.execute("INSERT INTO nowhere VALUES (1)")

    monkeypatch.setattr(schema, "MIGRATIONS", (*migrations, migrate))
    with pytest.raises(StoreUnavailable, match="nowhere"):
        open_analysis(store, OPTIONS).close()
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    with open_analysis(store, OPTIONS) as analysis:
        assert analysis.calls(EVERYTHING) == before


def test_rows_of_an_older_analyser_say_so(store: Path) -> None:
    with analysed(store):
        pass
    with closing(sqlite3.connect(store / "analysis.db")) as db:
        db.execute("UPDATE parties SET version = 0 WHERE flow IN (SELECT flow FROM calls LIMIT 3)")
        db.commit()
    with open_analysis(store, OPTIONS) as analysis:
        assert analysis.needs_reanalysis() == 3
