"""Takes out of the recorder's messages what the rules of `redact` mask, before any of it is on disk.

A body is searched without its content encoding, and encoded again where something was masked. One that cannot be
searched (broken, an encoding nobody knows, out of time) is not kept. Of the record all texts are searched: paths,
headers, names of hosts, command lines, what hooks noted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ccinspect.policy.secrets import Redaction, Redactor
from ccinspect.policy.settings import RedactConfig
from ccinspect.store.losses import Losses
from ccinspect.wire.encoding import decode_body, encode_body

NOTE = "stored"
"""In the record's `changes`: what was found, by where it was (`request`, `client_response`, `record`)."""
MOST_UNPACKED = 64 << 20
"""Bytes of a body without its encoding. A search takes several times as much memory."""
_MOST_NOTED = 30
_CUT = "cut before its end"
_SIDES = ("request", "response", "client_request", "client_response")
# Given by us or by the protocol; the rest of the house goes by them.
_STRUCTURE = frozenset(
    {"id", "run", "parent", "type", "source", "state", "mode", "method", "scheme", "http_version", "fingerprint"}
)
# In these the keys too are somebody's words.
_FREE = frozenset({"changes", "said", "tags"})


class NotSearched(Exception):
    """A record could not be searched to its end in time."""


def masked(message: dict[str, Any], rules: bytes, losses: Losses) -> dict[str, Any]:
    """One message (docs/architecture.md) as it may be written. Raises NotSearched for a record, ValueError for rules
    that are none; bodies that cannot be searched are counted as lost."""
    redactor = _redactor(rules)
    kind = message["kind"]
    if kind == "run_started":
        return message | {"run": _record(message["run"], redactor)[0]}
    if kind == "message":
        return message | {"content": _content(message.get("content"), redactor, losses)}
    if kind not in ("flow_started", "flow_ended"):
        return message
    flow, found = _record(message["flow"], redactor)
    notes = {"record": _note(found)} if found.findings else {}
    bodies: dict[str, Any] = {}
    for side in _SIDES:
        field = f"{side}_body"
        if not message.get(field):
            continue
        bodies[field], found = _body(message[field], _encoding(message["flow"], side), redactor, losses)
        if found.findings or found.unsearched:
            notes[side] = _note(found)
    if notes:
        flow["changes"] = {**(flow.get("changes") or {}), NOTE: notes}
    return message | {"flow": flow} | bodies


@lru_cache(maxsize=16)
def _redactor(rules: bytes) -> Redactor:
    return Redactor([RedactConfig.model_validate(rule) for rule in json.loads(rules)])


def _body(body: Any, encoding: str, redactor: Redactor, losses: Losses) -> tuple[Any, Redaction]:
    """The body as it may be written, or a note that it was lost; and what was found in it."""
    if not isinstance(body, bytes):
        # A note of a loss. A file would be on the disk already: nobody writes one where there are rules.
        return {"lost": True, "size": body["size"]}, Redaction(b"")
    decoded = decode_body(body, encoding, MOST_UNPACKED)
    if decoded.problem not in (None, _CUT):
        return _lost(body, losses, f"its content encoding could not be undone ({decoded.problem})"), Redaction(b"")
    found = redactor.redact(decoded.data, "store")
    if found.stopped is not None:
        return _lost(body, losses, "it could not be searched in time"), found
    if found.body is decoded.data:
        return body, found
    return encode_body(found.body, encoding), found


def _content(content: Any, redactor: Redactor, losses: Losses) -> Any:
    """The content of one message of a WebSocket, or a piece of a stream."""
    return _body(content, "", redactor, losses)[0] if content else content


def _lost(body: bytes, losses: Losses, why: str) -> dict[str, Any]:
    losses.lose_bodies(1, f"a body is not kept, for rules of `redact` hold for it and {why}")
    return {"lost": True, "size": len(body)}


def _encoding(flow: dict[str, Any], side: str) -> str:
    block = flow.get(side) or flow.get(side.removeprefix("client_")) or {}
    values = [_text(value) for name, value in block.get("headers") or () if _text(name).lower() == "content-encoding"]
    return ",".join(values)


def _note(found: Redaction) -> dict[str, Any]:
    record = found.as_record()
    return record | {"findings": record["findings"][:_MOST_NOTED]}


def _record(record: dict[str, Any], redactor: Redactor) -> tuple[dict[str, Any], Redaction]:
    """A copy of a record with its texts masked. Raises NotSearched."""
    texts = list(_texts(record))
    # All at once, as one JSON text: each would cost a search of its own.
    found = redactor.redact(json.dumps(texts).encode(), "store")
    if found.stopped is not None:
        raise NotSearched
    clean = iter(json.loads(found.body))
    copy: dict[str, Any] = _with_texts(record, clean)
    return copy, found


def _texts(value: Any, free: bool = False) -> Iterator[str]:
    """All texts of a record, in the order of `_with_texts`."""
    if isinstance(value, dict):
        for name, item in value.items():
            if free:
                yield _text(name)
            if name not in _STRUCTURE or free:
                yield from _texts(item, free or name in _FREE)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, free)
    elif isinstance(value, str | bytes):
        yield _text(value)


def _with_texts(value: Any, texts: Iterator[str], free: bool = False) -> Any:
    if isinstance(value, dict):
        clean = {}
        for name, item in value.items():
            key = next(texts) if free else name
            clean[key] = item if name in _STRUCTURE and not free else _with_texts(item, texts, free or name in _FREE)
        return clean
    if isinstance(value, list | tuple):
        return [_with_texts(item, texts, free) for item in value]
    return next(texts) if isinstance(value, str | bytes) else value


def _text(value: object) -> str:
    """As the store's writer reads bytes."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
