"""`ccinspect db`: with a daemon that writes, and without one."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from ccinspect.cli.instance import Instance
from ccinspect.cli.machine import db
from ccinspect.demo.provider import Provider
from ccinspect.errors import BackupError, StoreUnavailable
from ccinspect.store import schema
from ccinspect.store.query import StoreReader
from tests.cli.conftest import Place, http_flow
from tests.store.old import unpack_old_store
from tests.support.daemon import Daemon, settings_for


@pytest.fixture
def instance(place: Place) -> Instance:
    return Instance(place.paths.config_dir)


def flows(place: Place) -> int:
    with StoreReader(place.paths.store_dir) as store:
        return store.count()


def test_stats(place: Place, instance: Instance) -> None:
    assert "nothing was captured yet" in next(db.statistics_lines(db.statistics(instance)))
    place.record(*(http_flow(n, request_body=b"same" * 5000, response_body=b"answer") for n in range(3)))
    found = place.json("db", "stats")
    store = found["store"]
    assert (store["flows"], store["by_type"], store["bodies"]) == (3, {"http": 3}, 2)
    assert (store["captured_bytes"], store["distinct_bytes"]) == (60_018, 20_006)
    assert store["stored_bytes"] < 1000
    assert store["compression"] > 60
    assert store["newest"] - store["oldest"] == 2
    assert found["backups"] == []
    assert any(line.startswith("flows     3 (3 http)") for line in db.statistics_lines(found))


def test_backup_restore_and_reset(place: Place, instance: Instance, tmp_path: Path) -> None:
    place.record(http_flow(request_body=b"precious"))
    assert place.run("session", "start", "kept").returncode == 0
    assert place.run("report").returncode == 0, "makes the analysis"
    target = tmp_path / "copy.db"
    written = place.json("db", "backup", str(target))
    assert (written["flows"], written["files"]) == (1, ["analysis.db", "fingerprint.key", "sessions.db"])
    with pytest.raises(BackupError, match="exists already"):
        db.back_up(instance, target, True)
    with pytest.raises(BackupError, match="with 1 flow") as caught:
        db.restore(instance, target, force=False)
    assert "--force" in caught.value.hint
    unasked = place.run("db", "reset")
    assert unasked.returncode == 1
    assert b"--yes" in unasked.stderr
    assert db.reset(instance, ask=False)
    assert sorted(path.name for path in place.paths.store_dir.iterdir()) == ["analyst.lock", "recorder.lock"]
    restored = place.run("db", "restore", str(target))
    assert restored.returncode == 0, restored.stderr
    assert flows(place) == 1
    assert [one["name"] for one in place.json("session", "list")] == ["kept"]
    db.restore(instance, target, force=True)
    smaller = db.back_up(instance, tmp_path, False)
    assert smaller.files == ("fingerprint.key", "sessions.db")
    assert re.fullmatch(r"ccinspect-\d{8}-\d{6}\.db", Path(smaller.path).name)


@pytest.mark.parametrize("words", [b"hello", b""])
def test_what_is_no_backup_is_refused(instance: Instance, tmp_path: Path, words: bytes) -> None:
    (tmp_path / "file").write_bytes(words)
    with pytest.raises(BackupError, match="no backup of ccinspect"):
        db.restore(instance, tmp_path / "file", force=False)


def test_vacuum_without_a_daemon(place: Place, instance: Instance) -> None:
    assert db.vacuum(instance) == {"freed": 0, "rewritten": True}
    place.record(*(http_flow(n, request_body=bytes(str(n), "ascii") * 50_000) for n in range(10)))
    # Gaps that nobody gave back yet.
    with sqlite3.connect(place.paths.store_dir / schema.DATABASE) as raw:
        raw.execute("CREATE TABLE filler AS SELECT zeroblob(500000) AS data")
        raw.execute("DROP TABLE filler")
    raw.close()
    assert place.json("db", "vacuum")["freed"] > 490_000
    assert flows(place) == 10


def test_an_older_store_is_brought_up_to_date(place: Place, instance: Instance) -> None:
    unpack_old_store(place.paths.store_dir, 1)
    refused = place.run("flows", "list")
    assert refused.returncode == 1
    assert b"ccinspect db upgrade" in refused.stderr
    done = place.run("db", "upgrade")
    assert done.returncode == 0
    assert b"from schema 1 to 3" in done.stderr
    assert b"schema-1.db" in done.stderr
    assert flows(place) == 7
    assert "no upgrade" in db.bring_up_to_date(instance, with_backup=True)
    (kept,) = db.statistics(instance)["backups"]
    db.restore(instance, Path(kept["path"]), force=True)
    assert "schema-1.db" not in db.bring_up_to_date(instance, with_backup=False)
    assert flows(place) == 7


def test_the_daemon_upgrades_when_it_starts_and_refuses_what_is_newer(provider: Provider, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "instance", settings_for(provider, tmp_path))
    database = unpack_old_store(daemon.paths.store_dir, 1)
    try:
        daemon.start()
        go_on_while_it_runs(daemon, tmp_path / "copy.db")
    finally:
        daemon.stop()
    with sqlite3.connect(database) as raw:
        raw.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    raw.close()
    newer = daemon.run("start", "--detach")
    assert newer.returncode == 1
    assert "newer ccinspect" in newer.stderr


def go_on_while_it_runs(daemon: Daemon, target: Path) -> None:
    """A backup and a vacuum; but nothing is put in place of its store."""
    assert len(daemon.flows()) == 7
    assert (daemon.paths.store_dir / schema.BACKUPS / "schema-1.db").exists()
    assert "brought up to date" in daemon.log()
    backup = daemon.run("db", "backup", str(target), "--json", check=True)
    assert json.loads(backup.stdout)["flows"] == 7
    instance = Instance(daemon.paths.config_dir)
    with pytest.raises(StoreUnavailable, match="written by a daemon") as caught:
        db.restore(instance, target, force=True)
    assert "ccinspect stop" in caught.value.hint
    with pytest.raises(StoreUnavailable, match="written by a daemon"):
        db.reset(instance, ask=False)
    assert not json.loads(daemon.run("db", "vacuum", "--json", check=True).stdout)["rewritten"]
