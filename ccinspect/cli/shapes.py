"""What the `shapes` commands do."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.flow_table import header
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint, say, write, write_json, write_table
from ccinspect.cli.pager import page
from ccinspect.cli.reading import open_store
from ccinspect.cli.table import Cell, Column
from ccinspect.errors import ShapeError
from ccinspect.identity.agents import detect_agent
from ccinspect.shapes import audit as auditing
from ccinspect.shapes import capture
from ccinspect.shapes.difference import differences
from ccinspect.shapes.envelope import ENVELOPES
from ccinspect.shapes.library import Entry, Library, check_name
from ccinspect.shapes.shape import Shape, shape_text
from ccinspect.store.decode import decode_body
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from ccinspect.wire.registry import recognise

_LOOKED_THROUGH = 500
"""Newest flows in which one is looked for that fits."""
_COLUMNS = (
    Column("Shape", least=8),
    Column("Dialect"),
    Column("Client", sacrifice=1),
    Column("Origin"),
    Column("Saved", sacrifice=2),
    Column("What", least=10, sacrifice=3),
)
_LEVELS = {"private": RED, "wrong": RED, "stale": YELLOW, "note": DIM}


def library(instance: Instance) -> Library:
    """The shapes of this instance."""
    return Library(instance.paths.config_dir / "shapes")


def save(
    instance: Instance,
    name: str,
    flow: str | None,
    keep: Sequence[str],
    drop: Sequence[str],
    description: str,
    replace: bool,
    failed: bool,
) -> None:
    """Save a flow's request. Raises ShapeError, FlowNotFound, AmbiguousFlowId."""
    check_name(name)
    with open_store(instance) as store:
        record = store.get(flow) if flow is not None else _newest(store, failed)
        seen = _seen(store, record)
        places = _places(store, record)
    if not failed and not _was_answered(record):
        raise ShapeError(
            f"flow {seen.flow} was not answered with success: no request that is known to be good",
            "choose another flow, or add --failed",
        )
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    names = [*own_names(), *places]
    captured = capture.strip(seen, name, now, keep=keep, drop=drop, names=names)
    shape = capture.checked(captured).model_copy(update={"description": description})
    path = library(instance).save(shape, replace=replace)
    for kind, places in _by_kind(captured.removed).items():
        say(f"  left out, {kind}: {', '.join(places)}", DIM)
    say(f"ccinspect: shape {name} of flow {text.clean(seen.flow)} is saved in {path}: ccinspect shapes show {name}")


def _places(store: StoreReader, record: dict[str, Any]) -> list[str]:
    """Where the run of this flow took place, and what its user is called."""
    for run in store.runs():
        if run["id"] == record.get("run"):
            facts = [run.get("cwd"), run.get("user"), run.get("host"), (run.get("git") or {}).get("root")]
            return [str(fact) for fact in facts if fact and fact != "/"]
    return []


def _by_kind(removed: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place, kind in removed:
        found.setdefault(kind, []).append(place)
    return found


def own_names() -> list[str]:
    """The words that name this user and this machine."""
    names = [socket.gethostname(), socket.gethostname().partition(".")[0]]
    # In a container a user often has no entry in the password file.
    with suppress(OSError, KeyError):
        names.append(getpass.getuser())
    return names


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


def _seen(store: StoreReader, record: dict[str, Any]) -> capture.Seen:
    """The request as the provider got it. Raises ShapeError."""
    request = record.get("request") or {}
    if record.get("type") != "http" or not request:
        raise ShapeError(f"flow {record['id']} is no request: no shape can be made of it", "choose a model call")
    chunks = store.stream_body(record["id"], "request")
    decoded = decode_body(chunks or (), header(request, "content-encoding") or "")
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


def list_shapes(instance: Instance, as_json: bool) -> None:
    """Print all shapes, also those that cannot be read."""
    entries = library(instance).entries()
    if as_json:
        write_json([_record(entry) for entry in entries])
    else:
        write_table(_COLUMNS, [_row(entry) for entry in entries])


def _record(entry: Entry) -> dict[str, Any]:
    facts = {"name": entry.name, "origin": entry.origin, "file": str(entry.path), "problem": entry.problem or None}
    names = ("dialect", "agent", "saved_from", "saved_at", "description")
    return facts | {name: getattr(entry.shape, name, None) for name in names}


def _row(entry: Entry) -> list[str | Cell]:
    origin = Cell(entry.origin, GREEN if entry.origin == "own" else DIM)
    if entry.shape is None:
        return [Cell(entry.name, RED), "-", "-", origin, "-", Cell(entry.problem, RED)]
    shape = entry.shape
    what = shape.description or f"from flow {(shape.saved_from or '?')[:8]}"
    saved = (shape.saved_at or "-")[:10]
    return [Cell(shape.name, CYAN), shape.dialect, shape.agent or "-", origin, saved, " ".join(what.split())]


def show(instance: Instance, name: str, as_json: bool) -> None:
    """Print one shape. Raises ShapeError."""
    shape = library(instance).load(name)
    if as_json:
        write_json(shape.model_dump(mode="json"))
    else:
        page(text.clean_lines(shape_text(shape)).splitlines())


def audit(instance: Instance, names: Sequence[str], as_json: bool) -> int:
    """Print what is to be said of shapes; 1 when something is private or wrong. Raises ShapeError."""
    shelf = library(instance)
    for name in names:
        shelf.load(name)
    entries = [entry for entry in shelf.entries() if not names or entry.name in names]
    own = own_names()
    found = [(entry, _remarks(entry, own)) for entry in entries]
    if as_json:
        write_json(
            [{"name": entry.name, "remarks": [each.as_record() for each in remarks]} for entry, remarks in found]
        )
    else:
        for entry, remarks in found:
            write(f"{paint(text.clean(entry.name), BOLD)}  {'nothing to say' if not remarks else ''}".rstrip())
            for remark in remarks:
                level = paint(remark.level, _LEVELS[remark.level])
                write(f"  {level}  {text.clean(remark.where)}  {text.clean(remark.text)}")
    return int(any(remark.level in ("private", "wrong") for _, remarks in found for remark in remarks))


def _remarks(entry: Entry, own: list[str]) -> list[auditing.Remark]:
    if entry.shape is None:
        return [auditing.Remark("wrong", "file", entry.problem)]
    return auditing.audit(entry.shape, time.time(), own)


def diff(instance: Instance, name: str, other: str) -> int:
    """Print a unified diff; 1 when there is one. Raises ShapeError, FlowNotFound, AmbiguousFlowId."""
    shelf = library(instance)
    before = shelf.load(name)
    after = _shape_or_flow(instance, shelf, before, other)
    lines = [_coloured(text.clean(line)) for line in differences(before, after, name, other)]
    page(lines)
    return int(bool(lines))


def _shape_or_flow(instance: Instance, shelf: Library, before: Shape, other: str) -> Shape:
    if any(entry.name == other for entry in shelf.entries()):
        return shelf.load(other)
    with open_store(instance) as store:
        seen = _seen(store, store.get(other))
    # What the shape kept is what it is compared by. Nothing is saved, so nothing is refused.
    fields = capture.kept_definitions(before)
    return capture.strip(seen, before.name, before.saved_at or "2000-01-01", keep=fields).shape


def _coloured(line: str) -> str:
    colour = {"+": GREEN, "-": RED, "@": CYAN}.get(line[:1], "")
    return paint(line, colour)


def remove(instance: Instance, name: str) -> None:
    """Delete an own shape. Raises ShapeError."""
    path = library(instance).remove(name)
    say(f"ccinspect: {path} is removed")
