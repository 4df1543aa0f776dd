"""From the recorder's message to what is kept of it: the record as JSON, and the columns that SQL selects by."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import zstandard

Record = dict[str, Any]

_DICTIONARY = 1
_LEVEL = 6


class RecordCodec:
    """Packs and unpacks records with the dictionaries that the database holds."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._compressor: zstandard.ZstdCompressor | None = None
        self._decompressors: dict[int, zstandard.ZstdDecompressor] = {}

    def pack(self, record: Record) -> bytes:
        """JSON, compressed. Bytes become text: UTF-8, with what is not UTF-8 kept as lone surrogates (PEP 383)."""
        if self._compressor is None:
            self._compressor = zstandard.ZstdCompressor(
                level=_LEVEL, dict_data=self._dictionary(_DICTIONARY), write_content_size=True
            )
        packed: bytes = self._compressor.compress(to_json(record).encode())
        return bytes((_DICTIONARY,)) + packed

    def unpack_text(self, packed: bytes) -> str:
        """The record's JSON as ASCII text."""
        number = packed[0]
        decompressor = self._decompressors.get(number)
        if decompressor is None:
            decompressor = zstandard.ZstdDecompressor(dict_data=self._dictionary(number))
            self._decompressors[number] = decompressor
        return decompressor.decompress(packed[1:]).decode("ascii")

    def unpack(self, packed: bytes) -> Record:
        record: Record = json.loads(self.unpack_text(packed))
        return record

    def _dictionary(self, number: int) -> zstandard.ZstdCompressionDict:
        row = self._db.execute("SELECT data FROM dictionaries WHERE id = ?", (number,)).fetchone()
        return zstandard.ZstdCompressionDict(row[0], dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def to_json(record: Record) -> str:
    """Compact ASCII JSON."""
    return json.dumps(record, default=text_of, separators=(",", ":"))


def text_of(value: object) -> str:
    """Text for what JSON has no form for: bytes as UTF-8 with surrogate escapes, anything else as Python shows it."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "surrogateescape")
    return repr(value)


def bytes_of(text: str) -> bytes:
    """The bytes that `text_of` made text of."""
    return text.encode("utf-8", "surrogateescape")


def columns(record: Record) -> dict[str, Any]:
    """The columns of table `flows` that are copies of parts of the record."""
    request = part(record, "request")
    response = part(record, "response")
    timing = part(record, "timing")
    sizes = part(record, "sizes")
    host, port = _address(record, request)
    status = response.get("status_code")
    failed = bool(record.get("error")) or record["state"] == "error" or (isinstance(status, int) and status >= 400)
    return {
        "type": record["type"],
        "source": record.get("source"),
        "run": record.get("run"),
        "state": record["state"],
        "started_at": timing.get("started_at"),
        "ended_at": timing.get("ended_at"),
        "method": column_text(request.get("method")),
        "scheme": column_text(request.get("scheme")),
        "host": column_text(host).lower() if host is not None else None,
        "port": port,
        "path": column_text(request.get("path")),
        "status": status,
        "failed": int(failed),
        "request_size": sizes.get("request"),
        "response_size": sizes.get("response"),
        "parent": column_text(record.get("parent")),
    }


def part(record: Record, name: str) -> dict[str, Any]:
    """A block of the record; empty where it has none."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def header(message: dict[str, Any] | None, name: str) -> str:
    """The first value of a header of a message in a record; `name` in small letters. Empty where there is none."""
    values = (str(value) for key, value in (message or {}).get("headers") or () if str(key).lower() == name)
    return next(values, "")


def add_missing(record: Record) -> None:
    """Add the fields that only some flows come with, so that every record has them."""
    for name in ("changes", "parent"):
        record.setdefault(name, None)


def add_timing(record: Record) -> None:
    """Add the spans that readers ask for: `timing.duration` and `timing.first_byte`, in seconds."""
    timing = dict(part(record, "timing"))
    started, ended, first = (timing.get(key) for key in ("started_at", "ended_at", "first_byte_at"))
    timing["duration"] = None if started is None or ended is None else max(0.0, ended - started)
    timing["first_byte"] = None if started is None or first is None else max(0.0, first - started)
    record["timing"] = timing


def _address(record: Record, request: dict[str, Any]) -> tuple[Any, Any]:
    question = request.get("question")
    if isinstance(question, dict):
        return question.get("name"), None
    if request:
        return request.get("pretty_host") or request.get("host"), request.get("port")
    server = part(record, "server_conn")
    address = server.get("address") or server.get("peername") or (None, None)
    return server.get("sni") or address[0], address[1]


def column_text(value: object) -> Any:
    """SQLite takes no lone surrogates: those bytes become `?` in the column, and stay as they are in the record."""
    if value is None:
        return None
    text = value if isinstance(value, str) else text_of(value)
    return text.encode("utf-8", "replace").decode()
