"""Which flows a command is about: the flags that run in SQL, understood and put into a WHERE clause."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from ccinspect.errors import BadSelection

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d|w)(?:\s+ago)?", re.IGNORECASE)
_AGE_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_STATUS = re.compile(r"(>=|<=|!=|>|<|==?)?\s*(\d{3})|([1-5])xx|(\d{3})\s*-\s*(\d{3})", re.IGNORECASE)
_TYPES = ("http", "dns", "tcp", "udp", "tls")


@dataclass(frozen=True)
class Selection:
    """Every field narrows the selection; None (or False) does not. Times are seconds since the epoch.

    `host`: the host itself and its subdomains, or a pattern with `*`. `path`: its beginning, or a pattern with `*`.
    `run`: a run's id or the beginning of it, its name, or `last`. `status`: see `parse_status`.
    `errors`: only flows that failed, by an error, a status of 400 or more, or a refused handshake.
    `changed`: only flows that were changed on their way (`store/changed.py`). `parent`: only those that were sent for
    this flow (its full id): replays and further attempts. `before`: only those that arrived before this flow (its full
    id), to page backwards. `limit`: only the newest so many.
    """

    since: float | None = None
    until: float | None = None
    run: str | None = None
    host: str | None = None
    path: str | None = None
    status: str | None = None
    method: str | None = None
    type: str | None = None
    errors: bool = False
    changed: bool = False
    parent: str | None = None
    before: str | None = None
    limit: int | None = None

    def to_params(self) -> dict[str, Any]:
        """As JSON-ready parameters, for the control socket."""
        return {key: value for key, value in asdict(self).items() if value not in (None, False)}

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Selection:
        """The inverse of `to_params`. Raises BadSelection."""
        known = {field.name for field in fields(cls)}
        for key in params:
            if key not in known:
                raise BadSelection(f"there is no selection by {key!r}", f"known: {', '.join(sorted(known))}")
        return cls(**params)

    def where(self, db: sqlite3.Connection) -> tuple[str, list[Any]]:
        """A WHERE clause over table `flows`, and its values. Raises BadSelection."""
        clauses: list[str] = []
        values: list[Any] = []

        def add(clause: str, *parts: Any) -> None:
            clauses.append(clause)
            values.extend(parts)

        if self.since is not None:
            add("started_at >= ?", self.since)
        if self.until is not None:
            add("started_at < ?", self.until)
        if self.run is not None:
            runs = _find_runs(db, self.run)
            add(f"run IN ({', '.join('?' * len(runs))})", *runs)
        if self.host is not None:
            host = self.host.lower()
            if "*" in host or "?" in host:
                add("host GLOB ?", _glob(host))
            else:
                add("(host = ? OR host GLOB ?)", host, "*." + _glob(host))
        if self.path is not None:
            add("path GLOB ?", _glob(self.path) if "*" in self.path else _glob(self.path) + "*")
        if self.method is not None:
            add("method = ? COLLATE NOCASE", self.method)
        if self.type is not None:
            add("type = ?", parse_type(self.type))
        if self.errors:
            add("failed = 1")
        if self.changed:
            add("changed = 1")
        if self.parent is not None:
            add("parent = ?", self.parent)
        if self.before is not None:
            add("id < ?", _place(db, self.before))
        if self.status is not None:
            clause, parts = parse_status(self.status)
            add(clause, *parts)
        return " AND ".join(clauses) or "1", values


def parse_time(text: str, now: float | None = None) -> float:
    """Understand `1h` (ago), `today`, `yesterday`, `now`, seconds since the epoch, or ISO 8601 (local time by default).

    The result is seconds since the epoch. Raises BadSelection.
    """
    moment = time.time() if now is None else now
    word = text.strip().lower()
    midnight = datetime.fromtimestamp(moment).replace(hour=0, minute=0, second=0, microsecond=0)
    if word == "now":
        return moment
    if word == "today":
        return midnight.timestamp()
    if word == "yesterday":
        return (midnight - timedelta(days=1)).timestamp()
    if age := _AGE.fullmatch(word):
        return moment - float(age[1]) * _AGE_UNITS[age[2]]
    if re.fullmatch(r"\d{9,11}(\.\d+)?", word):
        return float(word)
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise BadSelection(
            f"{text!r} is no time", "use an age (45m, 1h, 7d), `today`, `yesterday`, or a date like 2026-01-31T12:00"
        ) from error


def parse_status(text: str) -> tuple[str, list[int]]:
    """Understand `200`, `>=400`, `!=200`, `4xx`, `500-599`, and lists of these (`200,4xx`; any may fit).

    The result is an SQL condition and its values. Raises BadSelection.
    """
    clauses: list[str] = []
    values: list[int] = []
    for word in text.split(","):
        match = _STATUS.fullmatch(word.strip())
        if match is None:
            raise BadSelection(f"{word.strip()!r} is no status", "use 200, '>=400', 4xx, 500-599 or a list: 200,4xx")
        operator, code, family, first, last = match.groups()
        if code:
            clauses.append(f"status {operator or '='} ?")
            values.append(int(code))
        else:
            clauses.append("status BETWEEN ? AND ?")
            values += [int(family) * 100, int(family) * 100 + 99] if family else [int(first), int(last)]
    return f"({' OR '.join(clauses)})", values


def parse_type(text: str) -> str:
    """One of http, dns, tcp, udp, tls. Raises BadSelection."""
    word = text.strip().lower()
    if word not in _TYPES:
        raise BadSelection(f"{text!r} is no type of flow", f"use one of {', '.join(_TYPES)}")
    return word


def _place(db: sqlite3.Connection, uuid: str) -> int:
    row = db.execute("SELECT id FROM flows WHERE uuid = ?", (uuid,)).fetchone()
    if row is None:
        raise BadSelection(f"the flow {uuid!r} is not there (any more): what came before it is not known", "begin anew")
    return int(row[0])


def _find_runs(db: sqlite3.Connection, text: str) -> list[str]:
    if text in ("last", "latest"):
        rows = db.execute("SELECT id FROM runs ORDER BY started_at DESC, rowid DESC LIMIT 1").fetchall()
    else:
        rows = db.execute(
            "SELECT id FROM runs WHERE id = :text OR name = :text OR substr(id, 1, length(:text)) = :text",
            {"text": text},
        ).fetchall()
    if not rows:
        raise BadSelection(f"no run {text!r} is known", "see `ccinspect flows list --json`, field `run`; or use `last`")
    return [row[0] for row in rows]


def _glob(text: str) -> str:
    """Only `*` is special to us; SQLite's GLOB also knows `?` and `[`."""
    return text.replace("[", "[[]").replace("?", "[?]")
