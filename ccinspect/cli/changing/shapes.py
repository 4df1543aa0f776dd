"""What the `shapes` commands do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint, say, write, write_json, write_table
from ccinspect.cli.pager import page
from ccinspect.cli.reading import open_store
from ccinspect.cli.table import Cell, Column
from ccinspect.shapes import audit as auditing
from ccinspect.shapes import capture
from ccinspect.shapes.difference import differences
from ccinspect.shapes.library import Entry, Library
from ccinspect.shapes.saving import own_names, save_flow, seen
from ccinspect.shapes.shape import Shape, shape_text

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
    wanted: str | None,
    keep: Sequence[str],
    drop: Sequence[str],
    description: str,
    replace: bool,
    failed: bool,
) -> None:
    """Save a flow's request. Raises ShapeError, FlowNotFound, AmbiguousFlowId."""
    shelf = library(instance)
    with open_store(instance) as store:
        saved = save_flow(
            shelf, store, name, wanted, keep=keep, drop=drop, description=description, replace=replace, failed=failed
        )
    for kind, places in _by_kind(saved.removed).items():
        say(f"  left out, {kind}: {', '.join(places)}", DIM)
    flow = text.clean(saved.flow)
    say(f"ccinspect: shape {name} of flow {flow} is saved in {saved.path}: ccinspect shapes show {name}")


def _by_kind(removed: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place, kind in removed:
        found.setdefault(kind, []).append(place)
    return found


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
        sent = seen(store, store.get(other))
    # What the shape kept is what it is compared by. Nothing is saved, so nothing is refused.
    fields = capture.kept_definitions(before)
    return capture.strip(sent, before.name, before.saved_at or "2000-01-01", keep=fields).shape


def _coloured(line: str) -> str:
    colour = {"+": GREEN, "-": RED, "@": CYAN}.get(line[:1], "")
    return paint(line, colour)


def remove(instance: Instance, name: str) -> None:
    """Delete an own shape. Raises ShapeError."""
    path = library(instance).remove(name)
    say(f"ccinspect: {path} is removed")
