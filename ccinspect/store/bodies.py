"""Bodies by content: each distinct body once, cut into pieces of which each distinct one is stored once.

What comes out is byte for byte what went in: a body is found by the sha256 of its bytes, and checked by it when read.
"""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import BinaryIO, Protocol

import msgpack
import zstandard

from ccinspect.errors import StoreUnavailable
from ccinspect.store import chunking
from ccinspect.store.chunking import Profile

LEVEL = 3
MEDIUM_FROM = 4 << 20
_SAMPLE = 16 << 10
_KNOWN_PIECES = 20_000
_COMMIT_EVERY = 8 << 20


class Source(Protocol):
    """A body to be stored: in memory, or in a spool file."""

    size: int

    def open(self) -> BinaryIO: ...


class MemorySource:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self._data)


class FileSource:
    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self.size = size

    def open(self) -> BinaryIO:
        return self._path.open("rb", buffering=0)


@dataclass(frozen=True)
class Prepared:
    """A body whose pieces are stored; `pieces` is empty when the body itself is there already."""

    digest: bytes
    size: int
    pieces: list[int]


class BodyWriter:
    """Stores and frees bodies within the caller's transaction.

    `interim_commit` is called while a very large body is stored, so that the write-ahead log stays small; pieces
    without a body, should that be all that is left after a crash, are swept by `sweep`.
    """

    def __init__(self, db: sqlite3.Connection, interim_commit: Callable[[], None]) -> None:
        self._db = db
        self._interim_commit = interim_commit
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._known: dict[bytes, int] = {}

    def forget(self) -> None:
        """A transaction was rolled back: what was believed to be stored may not be."""
        self._known.clear()

    def prepare(self, source: Source, comes_again: bool) -> Prepared:
        """Store the pieces of a body that are new. Raises OSError when the source cannot be read.

        `comes_again`: it is of a kind that is likely to be sent again with changes (a request). May commit in between,
        if it is very large: a body counts as used only after `acquire`.
        """
        if source.size <= _COMMIT_EVERY:
            with source.open() as file:
                data = file.read()
            return self._prepare(lambda: io.BytesIO(data), comes_again)
        return self._prepare(source.open, comes_again)

    def acquire(self, prepared: Prepared) -> int:
        """Count one more use of a body; the result is its id."""
        row = self._db.execute(
            "UPDATE bodies SET uses = uses + 1 WHERE hash = ? RETURNING id", (prepared.digest,)
        ).fetchone()
        if row is not None:
            return int(row[0])
        self._db.executemany("UPDATE piece_uses SET uses = uses + 1 WHERE piece = ?", ((i,) for i in prepared.pieces))
        cursor = self._db.execute(
            "INSERT INTO bodies (hash, size, uses, pieces) VALUES (?, ?, 1, ?)",
            (prepared.digest, prepared.size, pack_pieces(prepared.pieces)),
        )
        return int(cursor.lastrowid or 0)

    def release(self, body: int) -> None:
        """One use less; the last one frees the body and the pieces that no other body has."""
        row = self._db.execute(
            "UPDATE bodies SET uses = uses - 1 WHERE id = ? RETURNING uses, pieces", (body,)
        ).fetchone()
        if row is None or row[0] > 0:
            return
        ids = unpack_pieces(row[1])
        self._db.execute("DELETE FROM bodies WHERE id = ?", (body,))
        self._db.executemany("UPDATE piece_uses SET uses = uses - 1 WHERE piece = ?", ((i,) for i in ids))

    def sweep(self, limit: int = 5000) -> int:
        """Remove up to `limit` pieces that no body uses; the result is how many were."""
        found = self._db.execute("SELECT piece FROM piece_uses WHERE uses = 0 LIMIT ?", (limit,)).fetchall()
        if found:
            self._known.clear()
            self._db.executemany("DELETE FROM pieces WHERE id = ?", found)
            self._db.executemany("DELETE FROM piece_uses WHERE piece = ?", found)
        return len(found)

    def _prepare(self, opened: Callable[[], BinaryIO], comes_again: bool) -> Prepared:
        with opened() as file:
            digest, size = _sha256(file)
        if self._db.execute("SELECT 1 FROM bodies WHERE hash = ?", (digest,)).fetchone():
            return Prepared(digest, size, [])
        with opened() as file:
            return Prepared(digest, size, self._store_pieces(file, self._profile(file, size, comes_again)))

    def _profile(self, file: BinaryIO, size: int, comes_again: bool) -> Profile:
        if not comes_again:
            return chunking.WHOLE
        sample = file.read(_SAMPLE)
        file.seek(0)
        if len(sample) > 1024 and len(self._compressor.compress(sample)) > 0.97 * len(sample):
            return chunking.WHOLE
        return chunking.FINE if size < MEDIUM_FROM else chunking.MEDIUM

    def _store_pieces(self, file: BinaryIO, profile: Profile) -> list[int]:
        ids: list[int] = []
        uncommitted = 0
        for piece in chunking.pieces(file.read, profile):
            ids.append(self._store_piece(piece))
            uncommitted += len(piece)
            if uncommitted > _COMMIT_EVERY:
                self._interim_commit()
                uncommitted = 0
        return ids

    def _store_piece(self, piece: bytes) -> int:
        digest = hashlib.sha256(piece).digest()
        known = self._known.get(digest)
        if known is not None:
            return known
        row = self._db.execute("SELECT id FROM pieces WHERE hash = ?", (digest,)).fetchone()
        if row is None:
            cursor = self._db.execute(
                "INSERT INTO pieces (hash, size, data) VALUES (?, ?, ?)",
                (digest, len(piece), pack_data(self._compressor, piece)),
            )
            number = int(cursor.lastrowid or 0)
            self._db.execute("INSERT INTO piece_uses VALUES (?, 0)", (number,))
        else:
            number = int(row[0])
        if len(self._known) >= _KNOWN_PIECES:
            self._known.clear()
        self._known[digest] = number
        return number


def _sha256(file: BinaryIO) -> tuple[bytes, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return digest.digest(), size


def pack_data(compressor: zstandard.ZstdCompressor, data: bytes) -> bytes:
    """zstd, or `data` itself when that is not smaller; which of the two, the size stored beside it tells."""
    packed: bytes = compressor.compress(data)
    return packed if len(packed) < len(data) else data


def unpack_data(packed: bytes, size: int, decompressor: zstandard.ZstdDecompressor | None = None) -> bytes:
    """The inverse of `pack_data`. Who unpacks much brings a decompressor: making one takes longer than using it."""
    if len(packed) == size:
        return packed
    data: bytes = (decompressor or zstandard.ZstdDecompressor()).decompress(packed, max_output_size=size)
    return data


def pack_pieces(ids: Iterable[int]) -> bytes:
    """Mostly neighbours, hence mostly one byte each."""
    packed: bytes = msgpack.packb([b - a for a, b in pairwise((0, *ids))])
    return packed


def unpack_pieces(packed: bytes) -> list[int]:
    return list(accumulate(msgpack.unpackb(packed)))


def read_body(db: sqlite3.Connection, body: int) -> Iterator[bytes]:
    """The exact bytes of a body, piece by piece.

    Raises StoreUnavailable, at the end at the latest, when the database no longer holds what was stored.
    """
    row = db.execute("SELECT hash, pieces FROM bodies WHERE id = ?", (body,)).fetchone()
    if row is None:
        raise _damaged(body)
    digest = hashlib.sha256()
    decompressor = zstandard.ZstdDecompressor()
    # CROSS JOIN: in this order, each piece looked up when it is asked for.
    pieces = db.execute(
        "SELECT size, data FROM json_each(?) AS wanted CROSS JOIN pieces ON pieces.id = wanted.value",
        (json.dumps(unpack_pieces(row[1])),),
    )
    for size, data in pieces:
        try:
            piece = unpack_data(data, size, decompressor)
        except zstandard.ZstdError as error:
            raise _damaged(body) from error
        digest.update(piece)
        yield piece
    if digest.digest() != row[0]:
        raise _damaged(body)


def _damaged(body: int) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store is damaged: body {body} is not what was stored", "check the disk; other flows can still be read"
    )
