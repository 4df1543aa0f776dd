"""search_flows: finding flows, a page at a time, the newest first."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pydantic import Field

from ccinspect.analysis.finding import flows_with_calls
from ccinspect.analysis.glance import Glance
from ccinspect.errors import CcinspectError
from ccinspect.mcp.answers import Answer, JsonObject, fitting, known, moment, page, short
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.session_span import SESSION, narrowed
from ccinspect.mcp.tool import Arguments, Tool
from ccinspect.policy.unreadable import masked, masked_json
from ccinspect.store.har_entry import url_of
from ccinspect.store.jqfilter import apply
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection, parse_time

JQ_FLOWS = 1_000
"""Of the selected flows, the newest that a jq filter gets."""
_JQ_SECONDS = 10.0
_URL = 120


class SearchFlows(Arguments):
    """Every argument narrows the search."""

    host: str | None = Field(None, description="A host and its subdomains, or a pattern with *.")
    path: str | None = Field(None, description="The beginning of the path, or a pattern with *.")
    method: str | None = Field(None, description="HTTP method.")
    status: str | None = Field(None, description="200, >=400, 4xx, 500-599, or a list: 200,4xx.")
    type: str | None = Field(None, description="http, dns, tcp, udp or tls (a handshake that failed).")
    errors: bool = Field(False, description="Only what failed.")
    changed: bool = Field(False, description="Only what was changed on its way by hooks or routes.")
    run: str | None = Field(None, description="A run's id or name, or `last`.")
    session: str | None = Field(None, description=SESSION)
    since: str | None = Field(None, description="An age (45m, 1h, 7d), `today`, or a date: 2026-01-31T12:00.")
    until: str | None = Field(None, description="The same.")
    model_calls: bool = Field(False, description="Only calls to a model.")
    model: str | None = Field(None, description="Only calls to this model: a name, or a pattern with *.")
    jq: str | None = Field(
        None,
        description="A jq filter over the array of the newest 1,000 selected flow records, oldest first: "
        "`map(select(.sizes.request > 100000))`. Must yield one array. Fields: id, type, state, request.method, "
        ".pretty_host, .path, .headers, response.status_code, sizes, timing, run, error.",
    )
    limit: int = Field(20, ge=1, le=100, description="Flows in one answer.")
    cursor: str | None = Field(None, description="From `next` of the answer before.")
    offset: int = Field(0, ge=0, description="With jq: from `next` of the answer before.")

    def selection(self) -> Selection:
        """Raises BadSelection."""
        return Selection(
            since=None if self.since is None else parse_time(self.since),
            until=None if self.until is None else parse_time(self.until),
            run=self.run,
            host=self.host,
            path=self.path,
            status=self.status,
            method=self.method,
            type=self.type,
            errors=self.errors,
            changed=self.changed,
            before=self.cursor,
        )


def search_flows(captured: Captured, asked: SearchFlows) -> Answer:
    """Find captured requests, the newest first. Start here: each row has the id that the other tools take.

    `tokens` and `model` are there for calls to a model. Bodies are left out: see flow_outline, flow_body.
    """
    selection = narrowed(captured, asked.selection(), asked.session)
    calls_only = asked.model_calls or asked.model is not None
    if calls_only and asked.jq is not None:
        raise CcinspectError("jq does not go with `model_calls` or `model`", "leave one of them out")
    if calls_only:
        with captured.analysis():
            # Opening it brings it up to date.
            pass
    with captured.store() as store:
        if asked.jq is not None:
            return _filtered(captured, store, selection, asked)
        if calls_only:
            found, total = flows_with_calls(
                captured.paths.store_dir,
                replace(selection, limit=asked.limit + 1),
                asked.model,
                only_run=captured.run,
            )
            records = [store.get(uuid) for uuid in found]
        else:
            records = store.select(replace(selection, limit=asked.limit + 1))[::-1]
            total = store.count(replace(selection, before=None))
    return _page(captured, records, total, asked.limit)


def _page(captured: Captured, records: list[JsonObject], total: int, limit: int) -> Answer:
    rows = fitting(_rows(captured, records[:limit]))
    more = len(rows) < len(records)
    cursor = {"cursor": records[len(rows) - 1]["id"]} if more else None
    return Answer({"flows": rows}, total, more, cursor)


def _filtered(captured: Captured, store: StoreReader, selection: Selection, asked: SearchFlows) -> Answer:
    texts = store.select_text(replace(selection, limit=JQ_FLOWS))
    values = apply([asked.jq or "."], texts, _JQ_SECONDS, confined=True)
    notes: tuple[str, ...] = ()
    if len(texts) == JQ_FLOWS:
        notes = (f"the filter saw the newest {JQ_FLOWS:,} selected flows only: select with since, host, run, ...",)
    recorded = {str(record["id"]): record for record in map(json.loads, texts)}
    if values and all(_is_of(value, recorded) for value in values):
        values.reverse()
        rows = _rows(captured, values[asked.offset : asked.offset + asked.limit])
        chosen = fitting(rows)
        end = asked.offset + len(chosen)
        more = end < len(values)
        return Answer({"flows": chosen}, len(values), more, {"offset": end} if more else None, notes)
    answer = page("values", values, asked.offset, asked.limit, masked_json)
    return replace(answer, notes=notes)


def _is_of(value: Any, recorded: dict[str, JsonObject]) -> bool:
    """Whether the filter left a record as it was; what it made of one is a value of its own."""
    return isinstance(value, dict) and _alike(value, recorded.get(str(value.get("id"))))


def _alike(one: Any, other: Any) -> bool:
    """Equal, but for bytes that are no UTF-8: jq makes U+FFFD of them."""
    if one == other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(item, other[name]) for name, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return isinstance(one, str) and isinstance(other, str) and "\ufffd" in one


def _rows(captured: Captured, records: list[JsonObject]) -> list[JsonObject]:
    facts = captured.glance([str(record["id"]) for record in records])
    return [row(record, facts.get(str(record["id"]))) for record in records]


def row(record: JsonObject, facts: Glance | None = None) -> JsonObject:
    """A flow in a few words."""
    request, response, timing = (record.get(name) or {} for name in ("request", "response", "timing"))
    facts = facts or Glance(None)
    return known(
        id=str(record["id"])[:13],
        at=moment(timing.get("started_at")),
        type=None if record["type"] == "http" else record["type"],
        method=request.get("method"),
        url=masked(short(_where(record, request), _URL)),
        status=response.get("status_code") or response.get("response_code"),
        state=None if record["state"] == "complete" else record["state"],
        error=masked(short((record.get("error") or {}).get("msg") or "", _URL)),
        seconds=None if timing.get("duration") is None else round(timing["duration"], 2),
        sent=(record.get("sizes") or {}).get("request"),
        received=(record.get("sizes") or {}).get("response"),
        agent=facts.agent,
        model=facts.model,
        tokens=f"~{facts.tokens}" if facts.estimated and facts.tokens is not None else facts.tokens,
        run=None if record.get("run") is None else str(record["run"])[:8],
    )


def _where(record: JsonObject, request: JsonObject) -> str:
    if record["type"] == "http":
        return url_of(request)
    if record["type"] == "dns":
        question = request.get("question") or {}
        return f"{question.get('type', '')} {question.get('name', '')}"
    server = record.get("server_conn") or {}
    address = server.get("address") or server.get("peername") or [server.get("sni") or ""]
    return ":".join(str(part) for part in address[:2])


TOOLS = (Tool(search_flows, SearchFlows),)
