"""Applies the proxy's messages to the database, within the caller's transaction. Every one may come twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from ccinspect.store import bodies
from ccinspect.store.bodies import BodyWriter, FileSource, MemorySource, Prepared, Source
from ccinspect.store.changed import is_changed
from ccinspect.store.losses import Losses
from ccinspect.store.record import Record, RecordCodec, add_missing, add_timing, column_text, columns, part, to_json
from ccinspect.store.redaction import Redactor

INLINE_MESSAGE = 4096
_ROLES = ("request", "response", "client_request", "client_response")


class FlowWriter:
    """One database's writer. `redactor` is None when secrets are to be kept."""

    def __init__(
        self,
        db: sqlite3.Connection,
        redactor: Redactor | None,
        losses: Losses,
        interim_commit: Callable[[], None],
        keeps_bodies: bool,
    ) -> None:
        self._db = db
        self._redactor = redactor
        self._losses = losses
        self._keeps_bodies = keeps_bodies
        self._codec = RecordCodec(db)
        self.bodies = BodyWriter(db, interim_commit)
        self._compressor = zstandard.ZstdCompressor(level=bodies.LEVEL)
        self._starting: dict[str, tuple[int, Record]] = {}
        self._last_id = int(db.execute("SELECT coalesce(max(id), 0) FROM flows").fetchone()[0])

    def apply(self, message: dict[str, Any]) -> None:
        """Carry out one message of kind run_started, run_ended, flow_started, flow_ended or message."""
        kind = message["kind"]
        if kind == "flow_started":
            # Kept back until the end of the batch: with luck its flow_ended is in it, and one row is written once.
            self._starting.setdefault(message["flow"]["id"], (self._next_id(), message["flow"]))
        elif kind == "flow_ended":
            self._flow_ended(message)
        elif kind == "message":
            self._message(message)
        elif kind == "run_started":
            self._run_started(message["run"])
        elif kind == "run_ended":
            self._run_ended(message)
        else:
            raise ValueError(f"unknown kind of message: {kind!r}")

    def settle(self) -> None:
        """Write the rows of flows that started in this batch and are still going on."""
        starting, self._starting = self._starting, {}
        for number, record in starting.values():
            self._flow_started(number, record)

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._starting.clear()
        self.bodies.forget()

    def _next_id(self) -> int:
        """Ids are given out in the order in which flows start, even where rows are written in another."""
        self._last_id += 1
        return self._last_id

    def _flow_started(self, number: int, record: Record) -> None:
        if self._db.execute("SELECT 1 FROM flows WHERE uuid = ?", (record["id"],)).fetchone() is None:
            self._insert(number, self._clean({**record, "state": record.get("state") or "started"}), {})

    def _flow_ended(self, message: dict[str, Any]) -> None:
        number, _ = self._starting.pop(message["flow"]["id"], (None, None))
        record = self._clean(message["flow"])
        old = self._db.execute(
            f"SELECT id, {', '.join(f'{role}_body' for role in _ROLES)} FROM flows WHERE uuid = ?", (record["id"],)
        ).fetchone()
        known = dict(zip(_ROLES, old[1:], strict=True)) if old else dict.fromkeys(_ROLES)
        stored = self._store_bodies(message, record, known)
        if old is None:
            self._insert(number or self._next_id(), record, stored)
            return
        values = columns(record) | {f"{role}_body": stored.get(role, known[role]) for role in _ROLES}
        values |= {"changed": int(is_changed(record)), "record": self._codec.pack(record)}
        names = ", ".join(f"{name} = :{name}" for name in values)
        self._db.execute(f"UPDATE flows SET {names} WHERE id = :id", values | {"id": old[0]})
        for role, body in known.items():
            if body is not None and role in stored:
                self.bodies.release(body)

    def _insert(self, number: int, record: Record, stored: dict[str, int]) -> None:
        values = columns(record) | {f"{role}_body": body for role, body in stored.items()}
        values |= {"id": number, "uuid": record["id"], "record": self._codec.pack(record)}
        values["changed"] = int(record["state"] != "started" and is_changed(record))
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        self._db.execute(f"INSERT INTO flows ({names}) VALUES ({marks})", values)

    def _clean(self, flow: Record) -> Record:
        record = self._redactor.flow(flow) if self._redactor else dict(flow)
        add_timing(record)
        add_missing(record)
        return record

    def _store_bodies(self, message: dict[str, Any], record: Record, known: dict[str, Any]) -> dict[str, int]:
        """Store the message's bodies and note in the record what there is of each; the result is ids by role."""
        roles = [role for role in _ROLES if record["type"] == "http" and self._is_told(role, message, record)]
        # All are prepared before the first is counted: preparing may commit.
        prepared = {role: self._prepare(message.get(f"{role}_body"), role) for role in roles}
        stored: dict[str, int] = {}
        for role, body in prepared.items():
            forwarded = role.removeprefix("client_")
            if isinstance(body, Prepared):
                stored[role] = self.bodies.acquire(body)
                facts = _facts(body.size, body.digest, "stored")
            elif isinstance(body, int):
                facts = _facts(body, None, "lost")
            elif role != forwarded:
                facts = {key: part(record, forwarded).get(key) for key in _facts(0, None, "")}
            else:
                # The sizes of a WebSocket are those of its messages, which are stored one by one.
                upgraded = part(record, "response").get("status_code") == 101
                facts = self._facts_of(known[role], 0 if upgraded else part(record, "sizes").get(role) or 0)
            record[role] = {**(part(record, role) or part(record, forwarded)), **facts}
        return stored

    def _is_told(self, role: str, message: dict[str, Any], record: Record) -> bool:
        """Whether the record is to have this block: the client's only where it differs from what was forwarded."""
        if part(record, role):
            return True
        return message.get(f"{role}_body") is not None and bool(part(record, role.removeprefix("client_")))

    def _prepare(self, body: Any, role: str) -> Prepared | int | None:
        """A body's pieces, stored; the size of one that was lost; None when there is nothing to store."""
        if isinstance(body, dict) and body.get("lost"):
            return int(body["size"])
        source = self._source(body)
        if source is None:
            return None
        try:
            return self.bodies.prepare(source, comes_again=role.endswith("request"))
        except FileNotFoundError:
            self._losses.lose_bodies(1, "a body's file was removed before it could be stored")
            return source.size

    def _facts_of(self, known: int | None, wire_size: int) -> dict[str, Any]:
        """Of a body that the message does not bring: it may have come with an earlier one."""
        if known is None:
            return _facts(wire_size, None, "none" if wire_size else "empty")
        size, digest = self._db.execute("SELECT size, hash FROM bodies WHERE id = ?", (known,)).fetchone()
        return _facts(size, digest, "stored")

    def _source(self, body: Any) -> Source | None:
        if not body or not self._keeps_bodies:
            return None
        if isinstance(body, dict):
            if body.get("lost"):
                return None
            return FileSource(Path(body["spool"]), body["size"])
        return MemorySource(bytes(body))

    def _message(self, message: dict[str, Any]) -> None:
        uuid = message["flow_id"]
        if uuid in self._starting:
            self._flow_started(*self._starting.pop(uuid))
        flow = self._db.execute("SELECT id FROM flows WHERE uuid = ?", (uuid,)).fetchone()
        if flow is None:
            return  # removed while it was going on
        content = message.get("content")
        source = self._source(content)
        told = content.get("size") if isinstance(content, dict) else message.get("size")
        size = source.size if source else told or 0
        row = (flow[0], message["seq"], int(message["from_client"]), message["type"], message["timestamp"], size)
        added = self._db.execute("INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)", row).rowcount
        if not added or source is None:
            return
        packed = body = None
        if source.size <= INLINE_MESSAGE:
            with source.open() as file:
                packed = bodies.pack_data(self._compressor, file.read())
        else:
            body = self.bodies.acquire(self.bodies.prepare(source, comes_again=True))
        self._db.execute(
            "UPDATE messages SET content = ?, body = ? WHERE flow = ? AND seq = ?",
            (packed, body, flow[0], message["seq"]),
        )

    def _run_started(self, run: Record) -> None:
        record = self._redactor.run(run) if self._redactor else run
        self._db.execute(
            "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?)",
            (run["id"], column_text(record.get("name")), run.get("started_at"), run.get("ended_at"), to_json(record)),
        )

    def _run_ended(self, message: dict[str, Any]) -> None:
        row = self._db.execute("SELECT record FROM runs WHERE id = ?", (message["id"],)).fetchone()
        if row is None:
            return
        record = json.loads(row[0])
        record |= {"ended_at": message["ended_at"], "exit_code": message.get("exit_code")}
        self._db.execute(
            "UPDATE runs SET ended_at = ?, record = ? WHERE id = ?",
            (message["ended_at"], to_json(record), message["id"]),
        )


def _facts(size: int, digest: bytes | None, state: str) -> dict[str, Any]:
    return {"contentLength": size, "contentHash": digest.hex() if digest else None, "contentState": state}
