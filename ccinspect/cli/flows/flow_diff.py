"""`flows diff`: each request of a selection against the one before it: a unified diff of the pretty-printed bodies."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.flows.body_text import MAX_DEPTH, MAX_PRETTY, body_lines
from ccinspect.cli.flows.compare_view import Room
from ccinspect.cli.flows.flow_table import SHORT_ID
from ccinspect.cli.flows.flows import DEFAULT_LIMIT
from ccinspect.cli.flows.message_diff import BodyDifference, Side, compare_bodies
from ccinspect.cli.flows.sides import Role, side
from ccinspect.cli.flows.text_diff import line_differences
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import BOLD, CYAN, DIM, GREEN, RED, json_text, paint, say, terminal_width, write
from ccinspect.cli.pager import page
from ccinspect.cli.reading import default_filters, open_store
from ccinspect.errors import CcinspectError
from ccinspect.store.har_entry import url_of
from ccinspect.store.query import StoreReader
from ccinspect.store.record import header
from ccinspect.store.selection import Selection
from ccinspect.wire.jsontext import deeper_than, parse

_COLOURS = {"added": GREEN, "removed": RED, "hunk": CYAN, "same": ""}
_MARKS = {"added": "+", "removed": "-", "hunk": "", "same": " "}


def show(
    instance: Instance,
    flows: Sequence[str],
    chosen: Selection,
    filters: Sequence[str],
    *,
    clients: bool,
    as_json: bool,
    context: int,
) -> None:
    """Print how each request differs from the one before; `clients`: as the client sent it, not as forwarded.

    Raises FlowNotFound, AmbiguousFlowId, FilterError, and CcinspectError when there are fewer than two requests.
    """
    role: Role = "client_request" if clients else "request"
    with open_store(instance) as store:
        records = [store.get(flow) for flow in flows] or _selected(instance, store, chosen, filters)
        requests = [record for record in records if record.get("type") == "http" and record.get("request")]
        if len(requests) < 2:
            raise CcinspectError(
                f"two requests are needed to compare, and {len(requests) or 'none'} is selected",
                "`ccinspect flows list` shows what there is; name flows, or choose with --run, --host, --limit",
            )
        if as_json:
            write(json_text([_as_record(store, *pair, role) for pair in pairwise(requests)]))
            return
        room = Room(terminal_width(), everything=not sys.stdout.isatty())
        page(_lines(store, requests, role, room, context))


def _selected(
    instance: Instance, store: StoreReader, chosen: Selection, filters: Sequence[str]
) -> list[dict[str, Any]]:
    from ccinspect.store.jqfilter import apply

    limit = chosen.limit or DEFAULT_LIMIT
    texts = store.select_text(replace(chosen, type=chosen.type or "http", limit=limit))
    if len(texts) == limit and chosen.limit is None:
        say(f"ccinspect: these are the newest {limit:,}; more with --limit")
    all_filters = [*default_filters(instance), *filters]
    values = apply(all_filters, texts) if all_filters else [json.loads(record) for record in texts]
    if not all(isinstance(value, dict) and "id" in value for value in values):
        raise CcinspectError("the filters made something else of the flows: it cannot be compared", "leave --jq out")
    return [store.get(str(value["id"])) for value in values]


def _as_record(store: StoreReader, before: dict[str, Any], after: dict[str, Any], role: Role) -> dict[str, Any]:
    difference = _compared(store, before, after, role)
    return {"from": before["id"], "to": after["id"], "body": difference.as_record()}


def _compared(store: StoreReader, before: dict[str, Any], after: dict[str, Any], role: Role) -> BodyDifference:
    return compare_bodies(_side(store, before, role), _side(store, after, role))


def _side(store: StoreReader, record: dict[str, Any], role: Role) -> Side:
    return side(store, record, role) or Side({})


def _lines(
    store: StoreReader, records: Sequence[dict[str, Any]], role: Role, room: Room, context: int
) -> Iterator[str]:
    held: tuple[Side, list[str]] | None = None
    for number, (before, after) in enumerate(pairwise(records)):
        if number:
            yield ""
        old = held or _pretty(_side(store, before, role))
        held = new = _pretty(_side(store, after, role))
        yield paint(room.cut(f"--- {_title(before, role)}"), BOLD)
        yield paint(room.cut(f"+++ {_title(after, role)}"), BOLD)
        nothing = True
        for line in line_differences(old[1], new[1], context):
            nothing = False
            yield paint(room.cut(_MARKS[line.kind] + line.text), _COLOURS[line.kind])
        if nothing:
            yield paint(_why_nothing(old[0], new[0]), DIM)


def _title(record: dict[str, Any], role: Role) -> str:
    request = record.get(role) or record.get("request") or {}
    when = text.moment((record.get("timing") or {}).get("started_at"))
    return text.clean(f"{str(record['id'])[:SHORT_ID]}  {when}  {request.get('method')} {url_of(request)}")


def _why_nothing(old: Side, new: Side) -> str:
    difference = compare_bodies(old, new)
    if difference.state == "unknown":
        return f"(cannot be compared: {text.clean(difference.note)})"
    return "(not the same bytes, but the same content)" if difference.state == "spelling" else "(the same)"


def _pretty(asked: Side) -> tuple[Side, list[str]]:
    """The body's lines: of JSON with its keys sorted, for their order says nothing."""
    body = asked.body or b""
    if len(body) <= MAX_PRETTY:
        value, problem = parse(body)
        if problem is None and not deeper_than(value, MAX_DEPTH):
            shown = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
            return asked, [text.clean(line) for line in shown.split("\n")]
    return asked, list(body_lines(body, header(asked.message, "content-type"))) if body else []
