"""What the analyser remembers, kept in `analysis.db`: turns, counts of blocks, prefixes of contexts.

They fill the interfaces of `ccinspect.analyser`; all belong to the one connection that writes.
"""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

import zstandard

from ccinspect.analyser.cache_misses import Prefix
from ccinspect.analyser.tokens import Count, MemoryCache
from ccinspect.analyser.turns import Turn
from ccinspect.analysis.batches import batches, placeholders

KEPT_PREFIXES = 500
KEPT_BLOCKS = 400_000
_TURNS_A_KEY = 50
_TURNS_IN_MEMORY = 2_000
_PREFIXES_IN_MEMORY = 16

_compress = zstandard.ZstdCompressor(level=1).compress
_decompress = zstandard.ZstdDecompressor().decompress


def pack(value: object) -> bytes:
    """JSON, compressed."""
    return _compress(json.dumps(value, separators=(",", ":")).encode())


def unpack(data: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(_decompress(data))
    return found


def key_of(kind: str, value: str) -> bytes:
    """8 bytes: a wrong match in a store of a million turns is a matter of one in a million, and is then looked at."""
    return blake2b(f"{kind}:{value}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


class StoredTurns:
    """A `ConversationIndex` over tables `turns`, `turn_keys` and `calls`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[str, Turn] = {}
        self._numbers: dict[int, str] = {}

    def add(self, number: int, turn: Turn) -> None:
        """Keep the turn of the call with this number."""
        self._db.execute("INSERT INTO turns VALUES (?, ?)", (number, pack(turn.to_json())))
        keys = {key_of("tip", turn.tip)}
        keys |= {key_of("mark", mark) for mark in turn.marks} | {key_of("prompt", text) for text in turn.prompts}
        if turn.session:
            keys.add(key_of("session", turn.session))
        self._db.executemany("INSERT OR IGNORE INTO turn_keys VALUES (?, ?)", [(key, number) for key in sorted(keys)])
        self._remember(number, turn)

    def forget(self) -> None:
        """What is known in memory may not be in the database any more."""
        self._known.clear()
        self._numbers.clear()

    def turn(self, flow_id: str) -> Turn | None:
        known = self._known.get(flow_id)
        return known or next(iter(self._load("calls.id = ?", (flow_id,))), None)

    def by_response(self, response_id: str) -> Turn | None:
        found = self._load("calls.response_id = ?", (response_id,), 1)
        return found[0] if found else None

    def by_tips(self, tips: Sequence[str]) -> Sequence[Turn]:
        wanted = set(tips)
        return [turn for turn in self._by_keys("tip", tips, _TURNS_A_KEY) if turn.tip in wanted]

    def by_session(self, session: str, limit: int) -> Sequence[Turn]:
        found = self._by_keys("session", (session,), limit)
        return [turn for turn in found if turn.session == session][:limit]

    def by_marks(self, marks: Sequence[str], limit: int) -> Sequence[Turn]:
        return self._most("mark", marks, limit)

    def by_prompts(self, prompts: Sequence[str], limit: int) -> Sequence[Turn]:
        return self._most("prompt", prompts, limit)

    def followers(self, flow_id: str) -> Sequence[Turn]:
        return self._load("calls.parent = ?", (flow_id,), _TURNS_A_KEY)

    def _by_keys(self, kind: str, values: Sequence[str], limit: int) -> list[Turn]:
        """The newest turns with any of these keys; keys are asked for last value first, in bounded numbers."""
        found: dict[int, None] = {}
        for batch in batches([key_of(kind, value) for value in reversed(values)]):
            rows = self._db.execute(
                f"SELECT call FROM turn_keys WHERE key IN ({placeholders(batch)}) ORDER BY call DESC LIMIT ?",
                (*batch, limit * 4),
            )
            found.update((row[0], None) for row in rows)
        return self._numbered(sorted(found, reverse=True)[: limit * 4])

    def _most(self, kind: str, values: Sequence[str], limit: int) -> list[Turn]:
        shared: dict[int, int] = {}
        for batch in batches([key_of(kind, value) for value in dict.fromkeys(values)]):
            rows = self._db.execute(
                f"SELECT call, count(*) FROM turn_keys WHERE key IN ({placeholders(batch)}) GROUP BY call", batch
            )
            for call, times in rows:
                shared[call] = shared.get(call, 0) + times
        best = sorted(shared, key=lambda call: (shared[call], call), reverse=True)[:limit]
        turns = {number: turn for number, turn in self._load_numbered(best)}
        return [turns[number] for number in best if number in turns]

    def _numbered(self, numbers: Sequence[int]) -> list[Turn]:
        found = sorted(self._load_numbered(numbers), reverse=True, key=lambda pair: pair[1].started_at)
        return [turn for _, turn in found]

    def _load_numbered(self, numbers: Sequence[int]) -> list[tuple[int, Turn]]:
        near = {number: self._known[self._numbers[number]] for number in numbers if number in self._numbers}
        found = list(near.items())
        for batch in batches([number for number in numbers if number not in near]):
            rows = self._db.execute(f"SELECT call, packed FROM turns WHERE call IN ({placeholders(batch)})", batch)
            found += [(number, self._parse(number, packed)) for number, packed in rows]
        return found

    def _load(self, where: str, values: Sequence[object], limit: int = 1) -> list[Turn]:
        rows = self._db.execute(
            "SELECT number, packed FROM calls JOIN turns ON turns.call = calls.number "
            f"WHERE {where} ORDER BY started_at DESC LIMIT ?",
            (*values, limit),
        ).fetchall()
        return [self._parse(number, packed) for number, packed in rows]

    def _parse(self, number: int, packed: bytes) -> Turn:
        known = self._numbers.get(number)
        return self._known[known] if known else self._remember(number, Turn.from_json(unpack(packed)))

    def _remember(self, number: int, turn: Turn) -> Turn:
        if len(self._known) >= _TURNS_IN_MEMORY:
            self.forget()
        self._known[turn.id] = turn
        self._numbers[number] = turn.id
        return turn


class StoredCounts:
    """A `CountCache` over table `blocks`, with the newest counts in memory. Without `writable` it only reads."""

    def __init__(self, db: sqlite3.Connection, writable: bool = True) -> None:
        self._db = db
        self._writable = writable
        self._near = MemoryCache()

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Count]:
        found = self._near.get_many(keys)
        missing = {_block_key(key): key for key in keys if key not in found}
        if not missing:
            return found
        read: dict[str, Count] = {}
        for batch in batches(list(missing)):
            rows = self._db.execute(f"SELECT key, count FROM blocks WHERE key IN ({placeholders(batch)})", batch)
            read |= {missing[key]: _read_count(text) for key, text in rows}
        if read:
            self._near.put_many(read)
        return {**found, **read}

    def put_many(self, counts: Mapping[str, Count]) -> None:
        self._near.put_many(counts)
        if self._writable:
            rows = [(_block_key(key), _write_count(count)) for key, count in counts.items()]
            self._db.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?)", rows)

    def forget(self) -> None:
        """A transaction was rolled back: what is in memory is not in the database."""
        self._near = MemoryCache()


class StoredPrefixes:
    """A `PrefixKeeper` over table `prefixes`. The caller gives each its call's number with `settle`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._put: Prefix | None = None
        self._near: OrderedDict[str, Prefix] = OrderedDict()

    def get(self, flow_id: str) -> Prefix | None:
        if flow_id in self._near:
            return self._near[flow_id]
        row = self._db.execute("SELECT prefix FROM prefixes WHERE id = ?", (flow_id,)).fetchone()
        return Prefix.from_json(unpack(row[0])) if row else None

    def put(self, prefix: Prefix) -> None:
        self._put = prefix

    def settle(self, number: int) -> None:
        """Write the prefix that was put last, and let go of the oldest."""
        prefix, self._put = self._put, None
        if prefix is None or not prefix.hashes:
            return
        self._near[prefix.flow_id] = prefix
        if len(self._near) > _PREFIXES_IN_MEMORY:
            self._near.popitem(last=False)
        self._db.execute(
            "INSERT OR REPLACE INTO prefixes VALUES (?, ?, ?)", (number, prefix.flow_id, _pack_prefix(prefix))
        )
        self._db.execute("DELETE FROM prefixes WHERE call <= ?", (number - 4 * KEPT_PREFIXES,))

    def forget(self) -> None:
        """What is known in memory may not be in the database any more."""
        self._near.clear()


def _pack_prefix(prefix: Prefix) -> bytes:
    """As `Prefix.to_json` has it; its long tuples as they are, for JSON knows no difference."""
    long = {name: getattr(prefix, name) for name in ("hashes", "tokens", "paths")}
    return pack(replace(prefix, hashes=(), tokens=(), paths=()).to_json() | long)


def trim(db: sqlite3.Connection) -> None:
    """Keep prefixes and counts in bounds: counts are made anew when they are needed again."""
    db.execute(
        "DELETE FROM prefixes WHERE call NOT IN (SELECT call FROM prefixes ORDER BY call DESC LIMIT ?)",
        (KEPT_PREFIXES,),
    )
    (blocks,) = db.execute("SELECT count(*) FROM blocks").fetchone()
    if blocks > KEPT_BLOCKS:
        db.execute("DELETE FROM blocks")


def _block_key(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _write_count(count: Count) -> str:
    return json.dumps(count.to_json()) if count.spans or count.opaque else str(count.tokens)


def _read_count(text: str) -> Count:
    return Count.from_json(json.loads(text)) if text.startswith("{") else Count(int(text))
