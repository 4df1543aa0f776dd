from __future__ import annotations

import gzip
import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.errors import StoreUnavailable
from ccinspect.store import bodies, schema
from ccinspect.store.bodies import BodyWriter, FileSource, MemorySource


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = schema.open_for_writing(tmp_path)
    yield connection
    connection.close()


def writer_for(db: sqlite3.Connection) -> BodyWriter:
    return BodyWriter(db, lambda: None)


def store(writer: BodyWriter, data: bytes, comes_again: bool = True) -> int:
    return writer.acquire(writer.prepare(MemorySource(data), comes_again))


def load(db: sqlite3.Connection, body: int) -> bytes:
    return b"".join(bodies.read_body(db, body))


def count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


BODIES = {
    "one byte": b"x",
    "small": b'{"model":"claude"}',
    "invalid UTF-8": b"\xff\xfe\x00\x80" * 5000,
    "noise": random.Random(1).randbytes(300_000),
    "gzip": gzip.compress(random.Random(2).randbytes(50_000) * 3, mtime=0),
    "zeros": bytes(2_000_000),
    "lines": b"\r\n".join(b"line %d" % number for number in range(50_000)),
    "medium pieces": random.Random(3).randbytes(5 << 20),
}


@pytest.mark.parametrize("comes_again", [True, False])
@pytest.mark.parametrize("kind", BODIES)
def test_what_comes_out_is_what_went_in(db: sqlite3.Connection, kind: str, comes_again: bool) -> None:
    assert load(db, store(writer_for(db), BODIES[kind], comes_again)) == BODIES[kind]


def test_a_file_is_stored_like_memory(db: sqlite3.Connection, tmp_path: Path) -> None:
    writer = writer_for(db)
    data = BODIES["noise"] * 40
    path = tmp_path / "body"
    path.write_bytes(data)
    from_file = writer.acquire(writer.prepare(FileSource(path, len(data)), True))
    assert load(db, from_file) == data
    assert store(writer, data) == from_file


def test_equal_bodies_are_stored_once_and_freed_after_their_last_use(db: sqlite3.Connection) -> None:
    writer = writer_for(db)
    one, two = store(writer, BODIES["lines"]), store(writer, BODIES["lines"])
    assert one == two
    writer.release(one)
    writer.sweep()
    assert load(db, two) == BODIES["lines"]
    writer.release(two)
    assert writer.sweep() > 0
    assert [count(db, table) for table in ("bodies", "pieces", "piece_uses")] == [0, 0, 0]


def test_freeing_one_body_leaves_what_another_shares_with_it(db: sqlite3.Connection) -> None:
    writer = writer_for(db)
    first = store(writer, BODIES["lines"])
    longer = BODIES["lines"] + b"and so on"
    pieces = count(db, "pieces")
    second = store(writer, longer)
    assert count(db, "pieces") <= pieces + 2
    writer.release(first)
    writer.sweep()
    assert load(db, second) == longer


def test_a_body_that_repeats_a_piece_is_freed_whole(db: sqlite3.Connection) -> None:
    writer = writer_for(db)
    body = store(writer, BODIES["zeros"])
    assert count(db, "pieces") < 4
    writer.release(body)
    writer.sweep()
    assert count(db, "pieces") == 0


def test_a_body_can_come_back_after_it_was_freed(db: sqlite3.Connection) -> None:
    writer = writer_for(db)
    writer.release(store(writer, BODIES["lines"]))
    writer.sweep()
    assert load(db, store(writer, BODIES["lines"])) == BODIES["lines"]


def test_pieces_without_a_body_are_swept(db: sqlite3.Connection) -> None:
    writer = writer_for(db)
    writer.prepare(MemorySource(BODIES["lines"]), True)
    assert count(db, "pieces") > 0
    writer.sweep()
    assert count(db, "pieces") == 0


def test_a_very_large_body_is_committed_in_between(db: sqlite3.Connection, tmp_path: Path) -> None:
    commits = []
    path = tmp_path / "body"
    path.write_bytes(os.urandom(20 << 20))
    BodyWriter(db, lambda: commits.append(1)).prepare(FileSource(path, 20 << 20), True)
    assert len(commits) == 2


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE pieces SET data = zeroblob(length(data)) WHERE id = 2",
        "UPDATE pieces SET data = substr(data, 2) WHERE id = 2",
        "DELETE FROM pieces WHERE id = 2",
        "DELETE FROM bodies",
    ],
)
def test_damage_is_found(db: sqlite3.Connection, damage: str) -> None:
    body = store(writer_for(db), BODIES["lines"])
    db.execute(damage)
    with pytest.raises(StoreUnavailable, match="damaged"):
        load(db, body)


@given(st.lists(st.integers(1, 2**40), max_size=300))
def test_lists_of_pieces_survive_packing(ids: list[int]) -> None:
    assert bodies.unpack_pieces(bodies.pack_pieces(ids)) == ids
