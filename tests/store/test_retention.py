from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from ccinspect.errors import StoreUnavailable
from ccinspect.store import maintenance, schema
from ccinspect.store.bodies import BodyWriter
from ccinspect.store.database import clear_without_daemon
from ccinspect.store.options import StoreOptions
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from tests.store.records import SECONDS, ended, flow, record, recording, run, started


def aged(days: float, **changes: Any) -> dict[str, Any]:
    began = time.time() - days * 86400
    return flow(timing={"started_at": began, "ended_at": began + 1}, **changes)


def ids(store_dir: Path) -> list[str]:
    with StoreReader(store_dir) as store:
        return [one["id"] for one in store.select(Selection())]


def counts(store_dir: Path) -> dict[str, int]:
    db = sqlite3.connect(store_dir / schema.DATABASE)
    found = {
        table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("flows", "messages", "runs", "bodies", "pieces", "piece_uses")
    }
    db.close()
    return found


def test_old_flows_go_at_start_with_all_that_is_theirs(tmp_path: Path) -> None:
    old_run = run(id="old", started_at=1.0, ended_at=time.time() - 9 * 86400)
    new_run = run(id="new", started_at=2.0)
    old, new = aged(10, run="old"), aged(1, run="new")
    piece = {"kind": "message", "seq": 0, "from_client": True, "type": "text", "timestamp": 1.0}
    asyncio.run(
        record(
            tmp_path,
            {"kind": "run_started", "run": old_run},
            {"kind": "run_started", "run": new_run},
            started(old),
            piece | {"flow_id": old["id"], "content": os.urandom(9000)},
            ended(old, os.urandom(9000), b"shared" * 1000),
            ended(new, os.urandom(9000), b"shared" * 1000),
        )
    )
    asyncio.run(record(tmp_path, options=StoreOptions(max_age=5 * 86400)))
    assert ids(tmp_path) == [new["id"]]
    left = counts(tmp_path)
    assert (left["flows"], left["messages"], left["runs"], left["bodies"]) == (1, 0, 1, 2)
    with StoreReader(tmp_path) as store:
        assert store.response_body(new["id"]) == b"shared" * 1000
        assert [one["id"] for one in store.runs()] == ["new"]


def test_the_store_is_held_below_its_size_and_gives_space_back(tmp_path: Path) -> None:
    sent = [flow() for _ in range(60)]
    limit = 3_000_000
    asyncio.run(record(tmp_path, *(ended(one, os.urandom(100_000)) for one in sent)))
    assert (tmp_path / schema.DATABASE).stat().st_size > 6_000_000
    asyncio.run(record(tmp_path, options=StoreOptions(max_bytes=limit)))
    assert (tmp_path / schema.DATABASE).stat().st_size <= limit
    left = ids(tmp_path)
    assert left == [one["id"] for one in sent[-len(left) :]], "the oldest went first"
    assert 20 <= len(left) <= 30, "and no more of them than needed"
    with StoreReader(tmp_path) as store:
        assert all(len(store.request_body(one) or b"") == 100_000 for one in left)


def test_flows_that_share_everything_free_nothing_until_the_last_goes(tmp_path: Path) -> None:
    body = os.urandom(2_000_000)
    asyncio.run(record(tmp_path, *(ended(flow(), body) for _ in range(10))))
    asyncio.run(record(tmp_path, options=StoreOptions(max_bytes=1_000_000)))
    assert counts(tmp_path) == dict.fromkeys(counts(tmp_path), 0)
    assert (tmp_path / schema.DATABASE).stat().st_size < 200_000


def test_a_store_within_its_bounds_is_left_alone(tmp_path: Path) -> None:
    sent = [aged(1) for _ in range(10)]
    asyncio.run(record(tmp_path, *(ended(one, b"x") for one in sent)))
    asyncio.run(record(tmp_path, options=StoreOptions(max_age=2 * 86400, max_bytes=10_000_000)))
    assert ids(tmp_path) == [one["id"] for one in sent]


def test_clear_leaves_flows_that_are_going_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            going_on = flow()
            recorder.put(started(going_on))
            for _ in range(500):
                recorder.put(ended(flow(), os.urandom(2000)))
            assert await recorder.command("clear") == 500
            assert ids(tmp_path) == [going_on["id"]]
            recorder.put(ended(going_on, b"late"))
            await recorder.flush(SECONDS)

    asyncio.run(scenario())
    with StoreReader(tmp_path) as store:
        assert store.request_body(ids(tmp_path)[0]) == b"late"
    assert counts(tmp_path)["pieces"] == 1
    assert (tmp_path / schema.DATABASE).stat().st_size < 200_000, "the space was given back"


def test_clear_by_choice(tmp_path: Path) -> None:
    kept, gone = flow(request={"pretty_host": "a.test"}), flow(request={"pretty_host": "b.test"})
    asyncio.run(record(tmp_path, ended(kept, b"same"), ended(gone, b"same")))
    assert clear_without_daemon(tmp_path, Selection(host="b.test")) == 1
    assert ids(tmp_path) == [kept["id"]]
    with StoreReader(tmp_path) as store:
        assert store.request_body(kept["id"]) == b"same"
    assert clear_without_daemon(tmp_path, Selection()) == 1
    assert clear_without_daemon(tmp_path / "nothing", Selection()) == 0
    assert not (tmp_path / "nothing").exists()


def test_nobody_clears_behind_a_recorders_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recording(tmp_path) as recorder:
            recorder.put(ended(flow(), b"x"))
            await recorder.flush(SECONDS)
            with pytest.raises(StoreUnavailable, match="daemon") as caught:
                clear_without_daemon(tmp_path, Selection())
            assert "ccinspect stop" in caught.value.hint

    asyncio.run(scenario())
    assert len(ids(tmp_path)) == 1


def test_cleared_content_is_not_left_in_the_file(tmp_path: Path) -> None:
    marker = b"unrepeatable-" + os.urandom(16).hex().encode()
    asyncio.run(
        record(
            tmp_path,
            ended(flow(), marker),
            *(ended(flow(request={"pretty_host": "b.test"}), b"y%d" % n) for n in range(50)),
        )
    )
    assert marker in (tmp_path / schema.DATABASE).read_bytes()
    clear_without_daemon(tmp_path, Selection(host="api.example.com"))
    assert not any(marker in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_interrupted_retention_leaves_a_sound_store(tmp_path: Path) -> None:
    """A removal that fails half way is undone whole."""
    asyncio.run(record(tmp_path, *(ended(flow(), os.urandom(5000)) for _ in range(5))))
    db = schema.open_for_writing(tmp_path)
    db.execute("CREATE TRIGGER no BEFORE DELETE ON flows WHEN old.id = 3 BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(sqlite3.Error, match="no"):
        maintenance.clear(db, BodyWriter(db, lambda: None), {})
    db.execute("DROP TRIGGER no")
    db.close()
    with StoreReader(tmp_path) as store:
        assert [len(store.request_body(one) or b"") for one in ids(tmp_path)] == [5000] * 5
