"""Reading the store, with or without a daemon: read-only, and never in the recorder's way.

A record is a dict as in docs/flow-schema.md. What came as bytes is text: UTF-8, other bytes as lone surrogates (PEP
383).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from ccinspect.errors import AmbiguousFlowId, FlowNotFound, StoreUnavailable
from ccinspect.store import bodies, schema
from ccinspect.store.record import Record, RecordCodec
from ccinspect.store.scope import narrowed
from ccinspect.store.selection import Selection

_AT_ONCE = 500
_BODY_COLUMNS = frozenset(("request_body", "response_body", "client_request_body", "client_response_body"))
_CANDIDATES = 8


class StoreReader:
    """A read-only view of the store in one directory; use as a context manager, in one thread.

    A store that does not exist yet reads as an empty one. Raises StoreUnavailable when it cannot be read.
    """

    def __init__(self, store_dir: Path, run: str | None = None) -> None:
        """With `run`, the full id of one, nothing else can be seen than what belongs to it."""
        self._db = narrowed(schema.open_for_reading(store_dir), run)
        self._codec = RecordCodec(self._db)
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a body or a stream of messages that is still being read ends."""
        self._open = False
        self._db.close()

    def count(self, selection: Selection | None = None) -> int:
        """How many flows are selected; `limit` does not count."""
        with self._reading():
            where, values = (selection or Selection()).where(self._db)
            return int(self._db.execute(f"SELECT count(*) FROM flows WHERE {where}", values).fetchone()[0])

    def select(self, selection: Selection) -> list[Record]:
        """The newest `limit` selected flows, oldest first: the newest of all is the last."""
        return [json.loads(text) for text in self.select_text(selection)]

    def select_text(self, selection: Selection) -> list[str]:
        """The same, each record as JSON text: for jq, which parses it itself."""
        with self._reading():
            return [self._codec.unpack_text(packed) for _, packed in self._chosen(selection)]

    def iter_records(self, selection: Selection) -> Iterator[Record]:
        """The same, one after the other, for any number of flows in little memory.

        What is removed meanwhile is left out; what is added meanwhile, too.
        """
        with self._reading():
            where, values = selection.where(self._db)
            first, last = self._span(where, values, selection.limit)
        while first <= last:
            with self._reading():
                rows = self._db.execute(
                    f"SELECT id, record FROM flows WHERE id BETWEEN ? AND ? AND ({where}) ORDER BY id LIMIT {_AT_ONCE}",
                    (first, last, *values),
                ).fetchall()
            if not rows:
                return
            for _, packed in rows:
                yield self._codec.unpack(packed)
            first = rows[-1][0] + 1

    def get(self, flow_id: str) -> Record:
        """The flow with this id, which may be shortened. Raises FlowNotFound, AmbiguousFlowId."""
        with self._reading():
            return self._codec.unpack(self._row(flow_id, "record")[0])

    def request_body(self, flow_id: str) -> bytes | None:
        """The request's body as forwarded, exactly; None when it was empty or not kept.

        This and the two below raise FlowNotFound, AmbiguousFlowId and StoreUnavailable.
        """
        return _whole(self.stream_body(flow_id, "request"))

    def response_body(self, flow_id: str) -> bytes | None:
        """The response's body as it came from upstream."""
        return _whole(self.stream_body(flow_id, "response"))

    def stream_body(self, flow_id: str, role: str) -> Iterator[bytes] | None:
        """A body in pieces of up to 1 MB. `role`: request, response, client_request or client_response.

        None when it was empty or not kept. The client's view is the forwarded one where they do not differ.
        """
        forwarded = role.removeprefix("client_")
        with self._reading():
            body, other = self._row(flow_id, f"{_column(role)}, {_column(forwarded)}")
        chosen = body if body is not None else other
        return None if chosen is None else self._stream(chosen)

    def messages(self, flow_id: str) -> Iterator[dict[str, Any]]:
        """The WebSocket messages, or TCP or UDP pieces, of a flow in order.

        Each is {seq, from_client, type, timestamp, size, content}; content is bytes, or None when it was not kept.
        """
        with self._reading():
            (flow,) = self._row(flow_id, "id")
        last = -1
        while True:
            rows = self._db.execute(
                "SELECT seq, from_client, type, timestamp, size, content, body FROM messages "
                f"WHERE flow = ? AND seq > ? ORDER BY seq LIMIT {_AT_ONCE}",
                (flow, last),
            ).fetchall()
            if not rows:
                return
            for seq, from_client, kind, timestamp, size, content, body in rows:
                yield {
                    "seq": seq,
                    "from_client": bool(from_client),
                    "type": kind,
                    "timestamp": timestamp,
                    "size": size,
                    "content": self._content(size, content, body),
                }
                last = seq

    def runs(self, limit: int | None = None) -> list[Record]:
        """The run records, oldest first; with `limit`, the newest so many."""
        with self._reading():
            rows = self._db.execute(
                "SELECT record FROM runs ORDER BY started_at DESC, rowid DESC LIMIT ?",
                (-1 if limit is None else limit,),
            ).fetchall()
        return [json.loads(row[0]) for row in reversed(rows)]

    def stats(self) -> dict[str, int]:
        """{flows, runs, bodies, body_bytes (as captured), stored_bytes (database and write-ahead log on disk)}."""
        with self._reading():
            flows, runs, number, size = self._db.execute(
                "SELECT (SELECT count(*) FROM flows), (SELECT count(*) FROM runs), count(*), "
                "coalesce(sum(size * uses), 0) FROM bodies"
            ).fetchone()
            name = self._db.execute("PRAGMA database_list").fetchone()[2]
        files = [Path(name + suffix) for suffix in ("", "-wal")] if name else []
        stored = sum(path.stat().st_size for path in files if path.exists())
        return {"flows": flows, "runs": runs, "bodies": number, "body_bytes": size, "stored_bytes": stored}

    def _chosen(self, selection: Selection) -> list[tuple[int, bytes]]:
        where, values = selection.where(self._db)
        rows = self._db.execute(
            f"SELECT id, record FROM flows WHERE {where} ORDER BY id DESC LIMIT ?",
            (*values, -1 if selection.limit is None else selection.limit),
        ).fetchall()
        rows.reverse()
        return rows

    def _span(self, where: str, values: list[Any], limit: int | None) -> tuple[int, int]:
        """First and last id of the newest `limit` selected flows; (1, 0) when there is none."""
        first, last = self._db.execute(
            f"SELECT min(id), max(id) FROM (SELECT id FROM flows WHERE {where} ORDER BY id DESC LIMIT ?)",
            (*values, -1 if limit is None else limit),
        ).fetchone()
        return (1, 0) if first is None else (first, last)

    def _row(self, flow_id: str, wanted: str) -> Any:
        key = flow_id.strip().lower()
        rows = self._db.execute(
            f"SELECT uuid, {wanted} FROM flows WHERE uuid >= ? AND uuid < ? ORDER BY uuid LIMIT {_CANDIDATES + 1}",
            (key, key + "\U0010ffff"),
        ).fetchall()
        exact = [row for row in rows if row[0] == key]
        if not key or not rows:
            raise FlowNotFound(f"no flow has the id {flow_id!r}", "`ccinspect flows list` shows the ids there are")
        if len(rows) > 1 and not exact:
            more = ", ..." if len(rows) > _CANDIDATES else ""
            fit = ", ".join(row[0] for row in rows[:_CANDIDATES])
            raise AmbiguousFlowId(f"{flow_id!r} fits more than one flow: {fit}{more}", "give more of the id")
        return (exact or rows)[0][1:]

    def _stream(self, body: int) -> Iterator[bytes]:
        with self._reading():
            yield from bodies.read_body(self._db, body)

    def _content(self, size: int, content: bytes | None, body: int | None) -> bytes | None:
        if body is not None:
            return b"".join(self._stream(body))
        return None if content is None else bodies.unpack_data(content, size)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One consistent view for several statements; SQLite's errors as ours."""
        outermost = not self._db.in_transaction
        try:
            if outermost:
                self._db.execute("BEGIN")
            try:
                yield
            finally:
                if outermost and self._open:
                    self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"the store cannot be read: {error}",
                "try again; if it stays so, move the store away to begin a new one",
            ) from error


def _column(role: str) -> str:
    column = f"{role}_body"
    if column not in _BODY_COLUMNS:
        raise ValueError(f"no body is called {role!r}")
    return column


def _whole(chunks: Iterator[bytes] | None) -> bytes | None:
    return None if chunks is None else b"".join(chunks)
