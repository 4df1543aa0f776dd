"""diff_flows and compare_flow: what differs between two requests, and what we changed about one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from ccinspect.mcp.answers import Answer, JsonObject, fitting, known, short
from ccinspect.mcp.bodies import Body, Side, read_body
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.flow_content import FLOW, Flow
from ccinspect.mcp.tool import Arguments, Tool
from ccinspect.policy.unreadable import masked, masked_json
from ccinspect.store.har_entry import url_of
from ccinspect.wire.jsondiff import Difference, differences

_MAX_DIFFERENCES = 5_000
_MAX_LINES = 20_000
"""Lines of a body that are compared: difflib takes quadratic time."""


class DiffFlows(Arguments):
    before: str = Field(description=FLOW)
    after: str = Field(description=FLOW)
    side: Side = Field("request", description="Which of their messages.")
    characters: int = Field(200, ge=20, le=5_000, description="Of each value that differs.")
    offset: int = Field(0, ge=0, description="Differences to leave out.")
    limit: int = Field(30, ge=1, le=200, description="Differences in one answer.")


def diff_flows(captured: Captured, asked: DiffFlows) -> Answer:
    """How the body of one flow differs from that of another: by path where both are JSON, else by line.

    Of two requests in a row of one conversation: what was added. Equal bodies give a total of 0.
    """
    with captured.store() as store:
        old, new = (read_body(store, store.get(flow), asked.side) for flow in (asked.before, asked.after))
    found = _differences(old, new, asked.characters)
    chosen = fitting(found[asked.offset : asked.offset + asked.limit])
    end = asked.offset + len(chosen)
    more = end < len(found)
    notes = tuple(filter(None, [old.problem, new.problem]))
    return Answer({"differences": chosen}, len(found), more, {"offset": end} if more else None, notes)


class CompareFlow(Flow):
    characters: int = Field(200, ge=20, le=5_000, description="Of each value that differs.")
    limit: int = Field(30, ge=1, le=200, description="Differences of each body.")


def compare_flow(captured: Captured, asked: CompareFlow) -> Answer:
    """What ccinspect changed about a flow: the client's request against the one forwarded, the provider's answer
    against the one that the client got, and which hooks and routes did it."""
    content: JsonObject = {}
    total = shown = 0
    with captured.store() as store:
        record = store.get(asked.flow)
        pairs: tuple[tuple[str, Side, Side], ...] = (
            ("request", "client_request", "request"),
            ("response", "response", "client_response"),
        )
        for name, first, second in pairs:
            if not record.get(f"client_{name}"):
                content[name] = "not changed"
                continue
            old, new = read_body(store, record, first), read_body(store, record, second)
            found = _differences(old, new, asked.characters)
            chosen = fitting(found[: asked.limit], 5_000)
            total, shown = total + len(found), shown + len(chosen)
            content[name] = known(start=_start(old, new), headers=_headers(old, new), body=chosen)
        if record.get("changes"):
            content["changes"] = masked_json(record["changes"])
    notes = () if shown == total else ("for more of them raise `limit`, or lower `characters`",)
    return Answer(content, total, shown < total, notes=notes)


def _start(old: Body, new: Body) -> list[str] | None:
    def line(body: Body) -> str:
        message = body.message
        if "status_code" in message:
            return str(message["status_code"])
        return masked(f"{message.get('method')} {url_of(message)}")

    return None if line(old) == line(new) else [line(old), line(new)]


def _headers(old: Body, new: Body) -> list[JsonObject]:
    def by_name(body: Body) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in body.message.get("headers") or ():
            low = str(name).lower()
            found[low] = f"{found[low]}, {value}" if low in found else str(value)
        return found

    before, after = by_name(old), by_name(new)
    return [
        known(name=name, old=_shown(before.get(name)), new=_shown(after.get(name)))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _shown(value: str | None) -> str | None:
    return None if value is None else masked(short(value, 200))


def _differences(old: Body, new: Body, most: int) -> list[JsonObject]:
    if old.data == new.data:
        return []
    before, after = old.json(), new.json()
    if before is not None and after is not None:
        return [_as_row(one, most) for one in differences(before, after, _MAX_DIFFERENCES)]
    if old.is_binary or new.is_binary:
        return [{"kind": "changed", "old": f"{len(old.data):,} bytes", "new": f"{len(new.data):,} bytes"}]
    return list(_lines(old.text, new.text, most))


def _as_row(one: Difference, most: int) -> JsonObject:
    record = one.as_record()
    for name in ("old", "new"):
        if name in record:
            record[name] = _value(record[name], most)
    return record


def _value(value: Any, most: int) -> Any:
    """A value that is short as it is; of a long one the beginning of its JSON."""
    clean = masked_json(value)
    text = clean if isinstance(clean, str) else json.dumps(clean, ensure_ascii=False)
    return clean if len(text) <= most else short(text, most)


def _lines(before: str, after: str, most: int) -> Iterator[JsonObject]:
    old, new = before.splitlines()[:_MAX_LINES], after.splitlines()[:_MAX_LINES]
    for line in difflib.unified_diff(old, new, lineterm="", n=0):
        if line.startswith("@@"):
            yield {"at": line.strip("@ ")}
        elif not line.startswith(("---", "+++")):
            yield {"line": short(masked(line), most)}


TOOLS = (Tool(diff_flows, DiffFlows), Tool(compare_flow, CompareFlow))
