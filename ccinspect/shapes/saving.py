"""Saving a shape of a captured flow: which one, what was sent, and which words name this user and this machine."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccinspect.errors import ShapeError
from ccinspect.identity.agents import detect_agent
from ccinspect.shapes import capture
from ccinspect.shapes.envelope import ENVELOPES
from ccinspect.shapes.library import Library, check_name
from ccinspect.store.decode import decode_body
from ccinspect.store.query import StoreReader
from ccinspect.store.record import header
from ccinspect.store.selection import Selection
from ccinspect.wire.registry import recognise

_LOOKED_THROUGH = 500
"""Newest flows in which one is looked for that fits."""


@dataclass(frozen=True, slots=True)
class Saved:
    """`removed` are (place, kind) of what was left out of the request."""

    path: Path
    flow: str
    removed: Sequence[tuple[str, str]]


def save_flow(
    shelf: Library,
    store: StoreReader,
    name: str,
    flow: str | None = None,
    *,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    description: str = "",
    replace: bool = False,
    failed: bool = False,
) -> Saved:
    """Save a flow's request, without a flow that of the newest model call that fits; `failed`: also one that was not
    answered with success. Raises ShapeError, FlowNotFound, AmbiguousFlowId."""
    check_name(name)
    record = store.get(flow) if flow is not None else _newest(store, failed)
    sent = seen(store, record)
    if not failed and not _was_answered(record):
        raise ShapeError(
            f"flow {sent.flow} was not answered with success: no request that is known to be good",
            "choose another flow, or add --failed",
        )
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    names = [*own_names(), *_places(store, record)]
    captured = capture.strip(sent, name, now, keep=keep, drop=drop, names=names)
    shape = capture.checked(captured).model_copy(update={"description": description})
    return Saved(shelf.save(shape, replace=replace), sent.flow, captured.removed)


def seen(store: StoreReader, record: dict[str, Any]) -> capture.Seen:
    """The request as the provider got it. Raises ShapeError."""
    request = record.get("request") or {}
    if record.get("type") != "http" or not request:
        raise ShapeError(f"flow {record['id']} is no request: no shape can be made of it", "choose a model call")
    chunks = store.stream_body(record["id"], "request")
    decoded = decode_body(chunks or (), header(request, "content-encoding"))
    if decoded.problem or decoded.truncated:
        raise ShapeError(
            f"the request's body of flow {record['id']} cannot be read: {decoded.problem or 'too large'}",
            "choose another flow",
        )
    client = record.get("client_request") or request
    pairs = [(str(key), str(value)) for key, value in client.get("headers") or []]
    encoded = [(key.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for key, value in pairs]
    agent = detect_agent(encoded, (record.get("process") or {}).get("argv") or ())
    return capture.Seen(
        method=str(request.get("method")),
        path=str(request.get("path")),
        headers=[(str(key), str(value)) for key, value in request.get("headers") or []],
        body=decoded.data,
        flow=str(record["id"]),
        agent=agent.name if agent and agent.kind != "tool" else None,
    )


def own_names() -> list[str]:
    """The words that name this user and this machine."""
    names = [socket.gethostname(), socket.gethostname().partition(".")[0]]
    # In a container a user often has no entry in the password file.
    with suppress(OSError, KeyError):
        names.append(getpass.getuser())
    return names


def _places(store: StoreReader, record: dict[str, Any]) -> list[str]:
    """Where the run of this flow took place, and what its user is called."""
    for run in store.runs():
        if run["id"] == record.get("run"):
            facts = [run.get("cwd"), run.get("user"), run.get("host"), (run.get("git") or {}).get("root")]
            return [str(fact) for fact in facts if fact and fact != "/"]
    return []


def _newest(store: StoreReader, failed: bool) -> dict[str, Any]:
    for record in reversed(store.select(Selection(method="POST", type="http", limit=_LOOKED_THROUGH))):
        spoken = recognise("POST", str((record.get("request") or {}).get("path")))
        fits = spoken is not None and spoken.dialect in ENVELOPES and spoken.kind == "generate"
        if fits and (failed or _was_answered(record)):
            return record
    raise ShapeError(
        f"none of the newest {_LOOKED_THROUGH} flows is a model call that went well",
        "name a flow: ccinspect shapes save NAME FLOW",
    )


def _was_answered(record: dict[str, Any]) -> bool:
    status = (record.get("response") or {}).get("status_code")
    return isinstance(status, int) and 200 <= status < 300
