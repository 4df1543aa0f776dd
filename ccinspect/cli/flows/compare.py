"""`flows compare`: what the client sent against what was forwarded, and what was answered against what it got."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ccinspect.cli import text
from ccinspect.cli.flows.changes_view import change_lines
from ccinspect.cli.flows.compare_view import Room, message_lines
from ccinspect.cli.flows.flow_table import SHORT_ID, code_cell
from ccinspect.cli.flows.message_diff import MessageDifference, compare
from ccinspect.cli.flows.sides import side
from ccinspect.cli.instance import Instance
from ccinspect.cli.output import BOLD, DIM, json_text, paint, terminal_width, write
from ccinspect.cli.pager import page
from ccinspect.cli.reading import open_store
from ccinspect.errors import FlowNotFound
from ccinspect.store.har_entry import url_of
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection

PIPE_COLUMNS = 120


def show(instance: Instance, flows: Sequence[str], everything: bool, as_json: bool) -> None:
    """Print what was changed of these flows; of none, of the newest that was changed.

    Raises FlowNotFound, AmbiguousFlowId.
    """
    with open_store(instance) as store:
        records = [store.get(flow) for flow in flows] or _newest(store)
        if as_json:
            write(json_text([_as_record(store, record) for record in records]))
            return
        room = Room(terminal_width() if sys.stdout.isatty() else PIPE_COLUMNS, everything)
        page(_lines(store, records, room))


def _newest(store: StoreReader) -> list[dict[str, Any]]:
    found = store.select(Selection(changed=True, limit=1))
    if not found:
        raise FlowNotFound(
            "no flow in the store was changed on its way: everything went through as it came",
            "name a flow to compare it all the same: ccinspect flows compare ID",
        )
    return found


def _differences(store: StoreReader, record: dict[str, Any]) -> dict[str, MessageDifference]:
    """By `request` and `response`; what there is no message of, or what is no HTTP, is left out."""
    found = {}
    if record.get("type") == "http":
        asked, forwarded = side(store, record, "client_request"), side(store, record, "request")
        if asked and forwarded:
            found["request"] = compare(asked, forwarded)
        answered, given = side(store, record, "response"), side(store, record, "client_response")
        if answered and given:
            found["response"] = compare(answered, given)
    return found


def _as_record(store: StoreReader, record: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"id": record["id"], "parent": record.get("parent"), "changes": record.get("changes")}
    found = _differences(store, record)
    return made | {name: found[name].as_record() if name in found else None for name in ("request", "response")}


def _lines(store: StoreReader, records: Sequence[dict[str, Any]], room: Room) -> Iterator[str]:
    for number, record in enumerate(records):
        if number:
            yield ""
        yield from _flow_lines(store, record, room)


def _flow_lines(store: StoreReader, record: dict[str, Any], room: Room) -> Iterator[str]:
    request = record.get("client_request") or record.get("request") or {}
    when = text.moment((record.get("timing") or {}).get("started_at"))
    words = [str(record["id"])[:SHORT_ID], str(request.get("method") or record["type"]), code_cell(record).text, when]
    yield paint(text.clean("  ".join(words)), BOLD)
    if record.get("type") != "http":
        yield paint(f"  a {text.clean(str(record['type']))} flow is never changed", DIM)
        return
    yield room.cut("  " + text.clean(url_of(request)))
    if record.get("parent"):
        yield f"  replay of {text.clean(str(record['parent']))}"
    found = _differences(store, record)
    for name, title in (
        ("request", "request: client → forwarded"),
        ("response", "response: provider → client"),
    ):
        yield paint(title, BOLD)
        if name in found:
            yield from message_lines(found[name], room)
        else:
            yield paint("  there is none", DIM)
    ran = list(change_lines(record.get("changes")))
    if ran:
        yield paint("what ran", BOLD)
        yield from ran
